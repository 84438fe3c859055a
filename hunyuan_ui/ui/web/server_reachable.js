// Whether the page itself shows that its server is unreachable. Gradio's own message about that, which would cover it,
// is then hidden.

const said = new Set(); // the places that show it

/** @param {"notice" | "card"} place @param {boolean} isSaid */
export function sayUnreachable(place, isSaid) {
  if (isSaid) said.add(place);
  else said.delete(place);
  document.querySelector(".gradio-container")?.toggleAttribute("data-unreachable", said.size > 0);
}
