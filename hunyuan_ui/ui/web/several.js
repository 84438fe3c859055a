// The button from the form to the prompt list; shows the state of a list that is running or has ended early.

import { piecesOf } from "./dom.js";
import { emit, on } from "./events.js";
import { words } from "./language.js";

export function several({ element }) {
  const part = piecesOf(element);
  const box = element.querySelector(".several");
  let isWished = false; // pressed before the dialog was rendered

  function show(line) {
    part("open").textContent = line || words["batch.title"];
    box.classList.toggle("told", Boolean(line));
  }

  part("open").addEventListener("click", () => {
    isWished = true;
    emit("list-open");
  });
  on("list-opened", () => (isWished = false));
  on("list-drawn", () => isWished && emit("list-open"));
  on("list-line", show);
  show("");
}
