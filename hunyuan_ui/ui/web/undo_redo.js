// The browser's own undo and redo. They replay edits at their former places, whatever a script has put there since, and
// would mix the two texts (Chromium).

/** Let undo go back to what a script has set, and no further; and redo what was undone since, and no more. */
export function keepUndoClean() {
  /** @type {WeakMap<EventTarget, {text: string, set: string | null, isThere: boolean, undone: number}>} */
  const boxes = new WeakMap(); // each box as its last edit left it; `set` by a script since it was first edited

  document.addEventListener(
    "beforeinput",
    (event) => {
      const box = /** @type {HTMLInputElement} */ (event.target);
      let known = boxes.get(box);
      if (!known) return;
      if (box.value !== known.text) known = { text: box.value, set: box.value, isThere: true, undone: 0 };
      boxes.set(box, known);
      const isOld = { historyUndo: known.isThere, historyRedo: known.set !== null && !known.undone };
      if (isOld[event.inputType]) event.preventDefault();
    },
    true,
  );
  document.addEventListener(
    "input",
    ({ target, isTrusted, inputType = "" }) => {
      if (!isTrusted || !target) return;
      const { value: text } = /** @type {HTMLInputElement} */ (target);
      const { set = null, undone = 0 } = boxes.get(target) || {};
      const by = { historyUndo: 1, historyRedo: -1 }[inputType];
      boxes.set(target, { text, set, isThere: by === 1 && text === set, undone: by ? undone + by : 0 });
    },
    true,
  );
}
