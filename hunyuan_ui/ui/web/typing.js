// What a person does with the form, heard before Gradio hears it.

/** Return a typed number as it fits into its range; an empty box takes what it held before. */
export function withinRange({ value, min, max }, before) {
  if (value === "") return before;
  if (max !== "" && Number(value) > Number(max)) return max;
  return min !== "" && Number(value) < Number(min) ? min : value;
}

/** Call `hide` as soon as somebody changes what has a price, and `touched` with what they do. */
export function onTyping(pricedIds, touched, hide) {
  const boxOf = (event) => (event.target instanceof Element && event.target.closest("#form") ? event.target : null);
  const atFocus = new WeakMap(); // numbers as they were when their boxes were entered

  for (const name of ["input", "click"])
    document.addEventListener(
      name,
      (event) => {
        const box = boxOf(event);
        if (!box) return;
        touched(name);
        if (pricedIds.some((id) => box.closest(`#${id}`)) && (name === "input" || box.closest("button"))) hide();
      },
      true,
    );
  document.addEventListener("focusin", (event) => {
    const box = boxOf(event);
    if (box && box.type === "number" && box.value) atFocus.set(box, box.value);
  });
  // Gradio brings a number into its range after all its events have been told the old one, and knows no empty box.
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
