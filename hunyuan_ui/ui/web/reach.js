// Whether the page says in its own place that its server cannot be reached. Gradio's own message of the same trouble,
// which would cover that, is not shown meanwhile.

const said = new Set(); // the places that say so

/** @param {"notice" | "card"} place @param {boolean} isSaid */
export function sayUnreachable(place, isSaid) {
  if (isSaid) said.add(place);
  else said.delete(place);
  document.querySelector(".gradio-container")?.toggleAttribute("data-unreachable", said.size > 0);
}
