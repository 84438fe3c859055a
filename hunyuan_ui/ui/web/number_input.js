// Input events of numbers: those of the form are handled before Gradio does.

import { words } from "./language.js";

/** Limit a typed number to its range; an empty box gets its previous value. */
export function withinRange({ value, min, max }, before) {
  if (value === "") return before;
  if (max !== "" && Number(value) > Number(max)) return max;
  return min !== "" && Number(value) < Number(min) ? min : value;
}

/** Whether a box takes parts of a number. */
const takesParts = ({ type, step }) => type === "number" && !Number.isInteger(Number(step || 1));

/** Return a number that was typed or pasted with a decimal comma as one with a point; null for any other text. */
export const withPoint = (text) =>
  /^\s*-?\p{Nd}*[,，٫]\p{Nd}*\s*$/u.test(text) ? text.replace(/[,，٫]/, ".").trim() : null;

/**
 * Whether a number's signs may separate thousands: there are two, or one of another language before three digits.
 * @param {string} value @param {string} signs As entered. @param {string} own The decimal sign of the browser's language.
 */
export const isDoubtful = (value, signs, own) =>
  signs.length > 1 ? /\.\d{3}/.test(value) : !own.includes(signs) && /^-?[1-9]\d{0,2}\.\d{3}$/.test(value);

/**
 * Take a decimal comma as a point: a browser whose language has points drops commas, and makes 250 of 2,50. An amount
 * that may be a thousand times as high is not sent: its form asks for it without doubt.
 */
export function takeCommas() {
  const own = (1.5).toLocaleString().includes(",") ? "," : ".";
  const signs = new WeakMap(); // entered since a box had a whole number
  let found = "";
  let entered = NaN;
  let isTaking = false;

  document.addEventListener("beforeinput", (event) => {
    if (isTaking || !takesParts(/** @type {HTMLInputElement} */ (event.target))) return;
    const text = event.data || "";
    const point = own === "." ? withPoint(text) : null;
    found += (text.match(/[.,，٫]/g) || []).join(""); // a second one is dropped without an event of its own
    entered = Number(point ?? text);
    if (point === null) return;
    event.preventDefault();
    isTaking = true;
    document.execCommand("insertText", false, point);
    isTaking = false;
  });
  document.addEventListener("focusin", () => (found = ""));
  document.addEventListener("input", ({ target }) => {
    const box = /** @type {HTMLInputElement} */ (target);
    if (!takesParts(box)) return;
    if (!found && !box.value.includes(".") && !box.validity.badInput) signs.delete(box);
    else signs.set(box, box.valueAsNumber === entered ? found : (signs.get(box) || "") + found);
    found = "";
    box.setCustomValidity(isDoubtful(box.value, signs.get(box) || "", own) ? words.thousands : "");
  });
}

/** Call `hide` when a value that affects the price changes, and `touched` when any may have changed. */
export function onTyping(pricedIds, touched, hide) {
  const boxOf = (event) => (event.target instanceof Element && event.target.closest("#form") ? event.target : null);
  const atFocus = new WeakMap(); // numbers when their boxes got the focus

  for (const name of ["input", "click"])
    document.addEventListener(
      name,
      (event) => {
        const box = boxOf(event);
        if (!box) return;
        touched();
        if (pricedIds.some((id) => box.closest(`#${id}`)) && (name === "input" || box.closest("button"))) hide();
      },
      true,
    );
  document.addEventListener("focusin", (event) => {
    const box = boxOf(event);
    if (box && box.type === "number" && box.value) atFocus.set(box, box.value);
  });
  // Gradio limits a number to its range only after its events have fired with the old one, and ignores empty boxes.
  document.addEventListener(
    "change",
    (event) => {
      const box = boxOf(event);
      if (box?.type !== "number") return;
      const fit = withinRange(box, atFocus.get(box) || "");
      if (fit === box.value) return;
      box.value = fit;
      box.dispatchEvent(new Event("input", { bubbles: true }));
    },
    true,
  );
}
