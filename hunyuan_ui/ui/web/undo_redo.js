// The browser's own undo and redo. They replay edits at their former places, whatever a script has put there since, and
// would mix the two texts (Chromium).

/** Let undo go back to what a script has set, and no further; and redo what was undone since, and no more. */
export function keepUndoClean() {
  /** @type {Map<any, {text: string, set: string | null, isThere: boolean, undone: number}>} */
  const boxes = new Map(); // each box as its last edit left it; `set` by a script since it was first edited

  function noteWhatScriptsSet() {
    for (const [box, { text }] of boxes) {
      if (!box.isConnected) boxes.delete(box);
      else if (box.value !== text) boxes.set(box, { text: box.value, set: box.value, isThere: true, undone: 0 });
    }
  }

  // Before what is pressed sets the text again: to that of the last edit, perhaps, where its undo would be wrong by now.
  for (const press of ["keydown", "click"]) document.addEventListener(press, noteWhatScriptsSet, true);
  document.addEventListener(
    "beforeinput",
    (event) => {
      noteWhatScriptsSet();
      const known = boxes.get(event.target);
      if (!known) return;
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
