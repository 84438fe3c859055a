// Why a click was refused, and which field is to blame.

import { fill, keepingFocus, piecesOf, withControl } from "./dom.js";
import { hear, send } from "./events.js";
import { words } from "./language.js";

const TEXTS = ["prompt", "negative_prompt"];

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
  /** @type {any} */
  let cause = null; // the field that is to blame

  function show(text, { field = null, isConfirmable = false } = {}) {
    keepingFocus(box, () => {
      box.hidden = !text;
      part("text").textContent = text || "";
      part("confirm").hidden = !isConfirmable;
    });
    cause = field;
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
  // What is said goes when its cause goes: the field was changed, the price is another one, somebody else pays.
  hear("prompt", () => TEXTS.includes(cause) && show(""));
  hear("priced-anew", () => {
    if (!part("confirm").hidden || (cause && !TEXTS.includes(cause))) show("");
  });
  hear("settings", () => cause && show(""));
  hear("paid-anew", () => !cause && show(""));
  document.addEventListener("input", ({ target }) => {
    if (cause && target instanceof Element && target.closest(`#field-${cause.replaceAll("_", "-")}`)) show("");
  });
  watch("value", () => {
    const value = props.value || {};
    send("reply", value);
    window.hunyuan.answered(value.answer);
    show(value.text, { field: value.field, isConfirmable: value.is_confirmable });
  });
}
