// Input events of the form, handled before Gradio does.

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

/** Take a decimal comma as a point: a browser whose language has points drops commas, and makes 250 of 2,50. */
export function takeCommas() {
  if ((1.5).toLocaleString().includes(",")) return;
  document.addEventListener("beforeinput", (event) => {
    const text = takesParts(/** @type {HTMLInputElement} */ (event.target)) ? withPoint(event.data || "") : null;
    if (text === null) return;
    event.preventDefault();
    document.execCommand("insertText", false, text);
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
