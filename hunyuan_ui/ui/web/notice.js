// Why a click was refused, and which field is to blame.

import { fill, keepingFocus, piecesOf, withControl } from "./dom.js";
import { hear, send } from "./events.js";
import { words } from "./language.js";

function mark(field) {
  for (const marked of document.querySelectorAll("[data-wrong]")) {
    marked.removeAttribute("data-wrong");
    for (const input of marked.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
  }
  if (!field) return;
  withControl(field, (control, input) => {
    control.dataset.wrong = "";
    input?.setAttribute("aria-invalid", "true");
    input?.focus({ preventScroll: true });
  });
}

export function notice({ element, props, trigger, watch }) {
  const part = piecesOf(element);
  const box = element.querySelector(".notice");

  function show(text, { field = null, isConfirmable = false } = {}) {
    keepingFocus(box, () => {
      box.hidden = !text;
      part("text").textContent = text || "";
      part("confirm").hidden = !isConfirmable;
    });
    mark(field);
    if (text) box.scrollIntoView({ block: "nearest" });
  }

  fill(element, words);
  part("dismiss").addEventListener("click", () => show(""));
  part("confirm").addEventListener("click", () => {
    show("");
    trigger("confirm");
  });
  hear("unanswered", () => show(words.send_failed));
  hear("answered", () => {
    if (part("text").textContent === words.send_failed) show("");
  });
  // It was about the price of another form.
  hear("priced-anew", () => (part("confirm").hidden = true));
  watch("value", () => {
    const value = props.value || {};
    send("reply", value);
    window.hunyuan.answered(value.answer);
    show(value.text, { field: value.field, isConfirmable: value.is_confirmable });
  });
}
