// The label of Generate: what it makes, with time and price.

import { node, showUnbroken } from "./dom.js";

let labelText = "";

// Gradio would update the label later, and a price must not be beside another form for even one frame.
export function label(text) {
  labelText = text;
  const button = document.getElementById("generate");
  if (!button || button.textContent?.trim() === text) return;
  for (const drawn of button.childNodes) if (drawn instanceof Text) drawn.data = "";
  const own = button.querySelector(".priced") || button.appendChild(node("span", "", "priced"));
  showUnbroken(own, text);
}

/** Restore the label when Gradio has rendered the button, or rerendered its initial label in another language. */
export function keepLabel() {
  const changes = { childList: true, characterData: true, subtree: true };
  new MutationObserver(() => labelText && label(labelText)).observe(document.body, changes);
}
