// Accessibility of Gradio's own controls: group names, arrow keys, names in this page's language, right-to-left text,
// and the state of accordions. Gradio sometimes rerenders and renames them, so each change is checked.

import { filled, words } from "./language.js";

function set(element, name, value) {
  if (element && element.getAttribute(name) !== value) element.setAttribute(name, value);
}

const titleOf = (block) => block.querySelector('[data-testid="block-info"]')?.textContent.trim() || "";

/** Make one group of a choice's radio buttons: with one name, the browser's own arrow keys move between them. */
function group(choice) {
  set(choice, "role", "radiogroup");
  set(choice, "aria-label", titleOf(choice));
  for (const input of choice.querySelectorAll("input[type=radio]")) set(input, "name", `choice-${choice.id}`);
}

function nameSlider(block) {
  const title = titleOf(block);
  for (const input of block.querySelectorAll("input[type=number], input[type=range]")) set(input, "aria-label", title);
  const reset = block.querySelector(".reset-button");
  if (!reset) return;
  set(reset, "aria-label", filled("reset", { name: title }));
}

function complete(form) {
  form.querySelectorAll(".segmented").forEach(group);
  for (const slider of form.querySelectorAll("input[type=range]")) nameSlider(slider.closest(".block"));
  for (const box of form.querySelectorAll("textarea")) set(box, "dir", "auto");
  const fold = form.querySelector("#advanced > button");
  const generate = document.getElementById("generate");
  set(generate, "aria-keyshortcuts", "Control+Enter");
  // A browser's translator would replace texts that change later: a price, and the length that Gradio then keeps in vain.
  for (const changing of [generate, form.querySelector('#field-video-length [data-testid="block-info"]')])
    set(changing, "translate", "no");
  set(fold, "aria-expanded", String(Boolean(fold?.classList.contains("open"))));
}

/**
 * Make a row of buttons one tab stop, with arrow keys between them.
 * @param {HTMLElement} row
 */
export function asToolbar(row) {
  const buttons = () => /** @type {HTMLElement[]} */ ([...row.querySelectorAll("button")]);
  const stopAt = (/** @type {Element} */ chosen) => {
    for (const one of buttons()) one.tabIndex = one === chosen ? 0 : -1;
  };
  row.setAttribute("role", "toolbar");
  row.addEventListener("focusin", ({ target }) => stopAt(/** @type {Element} */ (target)));
  row.addEventListener("keydown", (event) => {
    const all = buttons();
    const at = all.indexOf(/** @type {HTMLElement} */ (event.target));
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: all.length - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    all[(to + all.length) % all.length].focus();
  });
  stopAt(buttons()[0]);
}

/** The pictures in Gradio's footer are read out besides the adjacent words, and its name is English. */
function nameFoot() {
  for (const image of document.querySelectorAll("footer img")) set(image, "alt", "");
  for (const foot of document.querySelectorAll("footer[aria-label], footer nav")) set(foot, "aria-label", words.foot);
}

/** Complete an element now and whenever Gradio rerenders it. */
function keepComplete(element, completed, attributeFilter) {
  if (!element) return;
  const observer = new MutationObserver(() => completed(element));
  observer.observe(element, { subtree: true, childList: true, characterData: true, attributes: true, attributeFilter });
  completed(element);
}

/** Complete the form's controls and the footer. */
export function completeControls() {
  keepComplete(document.querySelector("footer"), nameFoot, ["alt", "aria-label"]);
  keepComplete(document.getElementById("form"), complete, ["aria-label", "class", "dir", "name"]);
}
