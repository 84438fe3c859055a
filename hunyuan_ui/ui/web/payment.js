// Who pays.

import { fill, keepingFocus, node, onSecret, piecesOf, showText } from "./dom.js";
import { send } from "./events.js";
import { words } from "./language.js";

export function payment({ element, props, trigger, watch }) {
  const part = piecesOf(element);
  /** @type {string | null} */
  let shownState = "";
  /** @type {string | null} */
  let choice = null; // made on this page; an answer about something else takes it back to no other

  function choose(payer) {
    choice = payer;
    props.value = { ...props.value, chosen: payer, problem: "", accepted: "" };
    show();
  }

  function option({ payer, label }, chosen) {
    const made = node("label", "", "slim");
    const input = node("input", "", "", { type: "radio", name: "payer", value: payer, checked: payer === chosen });
    input.addEventListener("change", () => choose(payer));
    made.append(input, node("span", label));
    return made;
  }

  function tell(event, data = {}) {
    choice = null;
    trigger(event, data);
  }

  function show() {
    const value = { ...props.value, ...(choice ? { chosen: choice } : {}) };
    const choices = value.choices || [];
    const chosen = choices.find((entry) => entry.payer === value.chosen);
    const isFocused = part("choices").contains(document.activeElement);
    element.querySelector(".payment").hidden = choices.length < 2;
    part("choices").replaceChildren(...choices.map((entry) => option(entry, value.chosen)));
    if (isFocused) part("choices").querySelector("input:checked")?.focus();
    part("help").textContent = chosen ? chosen.help : "";
    keepingFocus(element, () => {
      part("key-form").hidden = value.chosen !== "visitor" || value.has_key;
      part("kept").hidden = value.chosen !== "visitor" || !value.has_key;
      part("code-form").hidden = value.chosen !== "owner" || !value.needs_code;
    });
    part("login").hidden = value.chosen !== "owner" || !value.needs_login;
    showText(part("accepted"), value.accepted);
    showText(part("problem"), value.problem);
    const state = JSON.stringify([value.chosen, value.has_key, value.needs_code, value.needs_login]);
    if (state !== shownState) send("paid-anew");
    shownState = state;
    send("payer", value.chosen);
  }

  fill(element, words);
  part("choices").setAttribute("aria-label", words["pay.title"]);
  onSecret(part("key-form"), (key) => tell("bring", { key }));
  onSecret(part("code-form"), (code) => tell("enter", { code }));
  part("forget").addEventListener("click", () => tell("forget"));
  watch("value", show);
  show();
}
