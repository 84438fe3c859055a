// The label of Generate: what it makes, with time and price.

import { node, showUnbroken } from "./dom.js";

const AROUND_PX = 24; // of the page's colour around it, and below it
const MOST_KEPT_FREE = "45vh"; // what has the focus must have room above it

let labelText = "";
/** @type {HTMLElement | null} */
let measured = null;

// Gradio would update the label later, and a price must not be beside another form for even one frame.
export function label(text) {
  labelText = text;
  const button = document.getElementById("generate");
  if (!button || button.textContent?.trim() === text) return;
  for (const drawn of button.childNodes) if (drawn instanceof Text) drawn.data = "";
  const own = button.querySelector(".priced") || button.appendChild(node("span", "", "priced"));
  showUnbroken(own, text);
}

/** Tell the page's styles how much of its foot the button covers: it is as high as its letters are large. */
function measure() {
  const button = document.getElementById("generate");
  if (!button || button === measured) return;
  measured = button;
  const { style } = document.documentElement;
  const update = () => style.setProperty("--kept-free", `min(${button.offsetHeight + AROUND_PX}px, ${MOST_KEPT_FREE})`);
  new ResizeObserver(update).observe(button, { box: "border-box" });
}

/** Restore the label when Gradio has rendered the button, or rerendered its initial label in another language. */
export function keepLabel() {
  const changes = { childList: true, characterData: true, subtree: true };
  new MutationObserver(() => {
    if (labelText) label(labelText);
    measure();
  }).observe(document.body, changes);
  measure();
}
