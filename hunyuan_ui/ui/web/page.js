// The page: handlers of Gradio's events, and the scripts of its parts.

import { address } from "./address.js";
import { batch } from "./batch.js";
import { holdLanguage, keeping, newId, settledVisitor, tab, visitor } from "./browser_storage.js";
import { createClicks, DOUBLE_CLICK_MS, keptClick } from "./click_id.js";
import { compare } from "./compare.js";
import { emit, reload } from "./events.js";
import { examples } from "./examples.js";
import { form } from "./form.js";
import { gallery } from "./gallery.js";
import { header } from "./header.js";
import { language, nameLanguage, translateLabels, translateMessage } from "./language.js";
import { loadAgainWithoutFiles } from "./lost_files.js";
import { createDoubleClicks } from "./misdirected_press.js";
import { notice } from "./notice.js";
import { takeCommas } from "./number_input.js";
import { keepAboveKeyboard } from "./onscreen_keyboard.js";
import { showWhenDrawn, slowClocks } from "./opening.js";
import { owner } from "./owner.js";
import { panel } from "./panel.js";
import { payment } from "./payment.js";
import { player, screen } from "./player.js";
import { result } from "./result.js";
import { arrived, ask } from "./server.js";
import { several } from "./several.js";
import { keepUndoClean } from "./undo_redo.js";
import { variations } from "./variations.js";
import { viewer } from "./viewer.js";
import { announceReturns } from "./wake_up.js";
import { watch } from "./watch.js";

/** @type {() => HTMLButtonElement | null} */
const generate = () => document.querySelector("button#generate");
const CLICK = "hunyuan_click";
const SPENDING = "#generate, [data-spends]";
const doubleClicks = createDoubleClicks(DOUBLE_CLICK_MS);
const HELD = { Enter: "button, a, summary, input", " ": "button, summary" }; // what each key presses

/** Insert each part's template. */
const withTemplates = (parts) =>
  Object.fromEntries(
    Object.entries(parts).map(([name, draw]) => [
      name,
      (given) => {
        given.element.innerHTML = window.hunyuanTemplates[name] ?? "";
        draw(given);
      },
    ]),
  );

window.hunyuan = {
  parts: withTemplates({
    address,
    batch,
    compare,
    examples,
    form,
    gallery,
    header(given) {
      translateLabels(); // it is the first part that Gradio renders
      header(given);
    },
    notice,
    owner,
    panel,
    payment,
    player,
    result,
    several,
    variations,
    viewer,
    watch,
  }),
  browser: { keeping },
  videos: { ask, visitor: () => arrived },
  visitor,
  settledVisitor,
  screen,

  sending(values) {
    emit("sending", values[0]);
    return values;
  },

  /** Handle an event of Gradio's that was refused on its way, as by a proxy: the part that sent it says so. */
  failed(what) {
    emit("failed", what);
    return [];
  },

  prompted(prompt, negative) {
    emit("prompt", { prompt, negative });
    return [];
  },

  ...createClicks({
    newId,
    emit,
    isOffline: () => !navigator.onLine,
    keep: keptClick(tab, CLICK, visitor),
    // Not by the `disabled` property, which would take the focus from it.
    disable(isDisabled) {
      for (const button of document.querySelectorAll(SPENDING))
        if (isDisabled) button.setAttribute("aria-disabled", "true");
        else button.removeAttribute("aria-disabled"); // "false" would hide that its container is disabled
    },
  }),

  /** Render parts once the form can be used. */
  later: (parts) =>
    new Promise((draw) => setTimeout(() => draw(parts.map(() => ({ __type__: "update", visible: true }))))),
};

const spending = ({ target }) => target instanceof Element && target.closest(SPENDING);

document.addEventListener(
  "click",
  (event) => {
    const button = spending(event);
    if (!button) return;
    if (doubleClicks.has(event, button) || button.getAttribute("aria-disabled") === "true")
      event.stopImmediatePropagation();
    else if (button === generate()) window.hunyuan.pressed();
  },
  true,
);
// What was refused on its way is no first half: it may be pressed again at once.
document.addEventListener("click", (event) => doubleClicks.note(event, spending(event)));

/** On paper the page is light: ink is dark there, and backgrounds are left out. */
function printLight() {
  const paper = matchMedia("print");
  let wasDark = false;
  paper.addEventListener("change", ({ matches }) => {
    const { classList } = document.body;
    if (matches) wasDark = classList.contains("dark");
    if (matches) classList.remove("dark");
    else if (wasDark) classList.add("dark"); // Gradio may have removed it first, and then restores it
  });
}

loadAgainWithoutFiles();
nameLanguage();
holdLanguage(language);
printLight();
window.addEventListener("focus", () => holdLanguage(language)); // for Gradio's own requests
slowClocks();
showWhenDrawn();
announceReturns();
keepAboveKeyboard();
keepUndoClean();
takeCommas();
document.addEventListener("DOMContentLoaded", translateMessage);

window.addEventListener("hashchange", () => {
  if (location.hash.startsWith("#visitor=")) reload();
});

document.addEventListener(
  "keydown",
  (event) => {
    if (!(event.key in HELD) || event.isComposing || !(event.target instanceof Element)) return;
    const isShortcut = event.key === "Enter" && (event.ctrlKey || event.metaKey);
    // A key that is held down is one press, wherever the first one has moved the focus to.
    if (event.repeat && (isShortcut || event.target.closest(HELD[event.key]))) event.preventDefault();
    if (event.repeat || !isShortcut) return;
    if (document.querySelector("dialog[open]")) return; // a dialog covers the form
    /** @type {HTMLInputElement | null} */
    const field = event.target.closest("input, textarea, select");
    // Not of a search, a key or an amount, and not where the keys already open a link or press another button.
    if (event.target !== document.body && (!field || field.form || !field.closest("#form"))) return;
    const button = generate();
    if (!button || button.getAttribute("aria-disabled") === "true") return;
    event.preventDefault();
    // The box passes on its text when it loses the focus.
    document.activeElement?.dispatchEvent(new Event("change", { bubbles: true }));
    button.click();
  },
  true,
);
