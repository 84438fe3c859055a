// A checked list: its total, faults and rows, and the label of its Generate button.

import { isShort, SHOWN } from "./batch_state.js";
import { node, showText, showUnbroken } from "./dom.js";
import { filled, words } from "./language.js";
import { languageOf } from "./text_language.js";

function row({ row: number, prompt, state, time, price }, isFree) {
  const made = node("tr");
  const texts = [number, prompt, state, ...(isFree ? [] : [time, price])];
  made.append(...texts.map((text, at) => node("td", text ?? "", at === 1 ? "text" : "")));
  made.querySelector(".text").lang = languageOf(prompt ?? "");
  return made;
}

const faultText = ({ line, problem }) => (line ? filled("batch.fault", { line, problem }) : problem);

/** Show the server's answer on a list. */
export function showChecked(part, { table, faults, is_free: isFree, sum, confirm }, isRetried) {
  part("sum").textContent = sum;
  showUnbroken(part("send"), confirm);
  const told = faults.slice(0, SHOWN).map(faultText);
  if (faults.length > SHOWN) told.push(filled("batch.and_more", { count: faults.length - SHOWN }));
  part("faults").hidden = !faults.length;
  part("faults").replaceChildren(...told.map((text) => node("li", text)));
  part("table").hidden = !table.length;
  part("time-head").hidden = part("price-head").hidden = isFree;
  part("rows").replaceChildren(...table.slice(0, SHOWN).map((one) => row(one, isFree)));
  part("more").hidden = table.length <= SHOWN;
  part("more").textContent = filled("batch.more", { count: table.length - SHOWN });
  part("retry").hidden = !isRetried && !table.some(({ status }) => status === "failed");
}

/** Show the rows that were hidden at first. */
export function showOtherRows(part, { table, is_free: isFree }) {
  part("rows").append(...table.slice(SHOWN).map((one) => row(one, isFree)));
  part("more").hidden = true;
  part("table").focus();
}

/** Show whether the list can be sent, and whether the budget suffices. */
export function showNote(part, checked, budget) {
  const canSend = !checked.faults.length && checked.to_make > 0;
  part("send").hidden = !canSend;
  const isTight = canSend && budget !== "" && isShort(checked, budget);
  const done = checked.faults.length || canSend ? "" : words["batch.nothing_left"];
  showText(part("note"), isTight ? words["batch.short"] : done);
}
