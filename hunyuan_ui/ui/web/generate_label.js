// The text of Generate: what it makes, for how long and for how much.

import { node, showUnbroken } from "./dom.js";

let labelText = "";

// Gradio would draw the button's text later, and a price must not stand beside another form for one frame.
export function label(text) {
  labelText = text;
  const button = document.getElementById("generate");
  if (!button || button.textContent?.trim() === text) return;
  for (const drawn of button.childNodes) if (drawn instanceof Text) drawn.data = "";
  const own = button.querySelector(".priced") || button.appendChild(node("span", "", "priced"));
  showUnbroken(own, text);
}

/** Label the button again as soon as Gradio has drawn it, or drawn its first text once more in another language. */
export function keepLabel() {
  const changes = { childList: true, characterData: true, subtree: true };
  new MutationObserver(() => labelText && label(labelText)).observe(document.body, changes);
}
