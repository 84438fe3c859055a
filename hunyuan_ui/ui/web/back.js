// The browser's Back button closes an open dialog instead of leaving the page, and Forward opens it again: each dialog
// is a history entry.

const ENTRY = "hunyuan_dialog";
/** @type {Map<string, {dialog: HTMLDialogElement, again: () => void}>} */
const dialogs = new Map(); // by class
let isLeaving = false; // a history entry is being removed
let wanted = ""; // the dialog that was opened meanwhile

const isEntry = () => Boolean(history.state?.[ENTRY]);
const isOpen = () => [...dialogs.values()].some(({ dialog }) => dialog.open);

function enter(name) {
  const state = { ...history.state, [ENTRY]: name };
  if (isEntry()) return history.replaceState(state, "");
  // The page may scroll when a dialog closes; the browser must not restore the old position.
  history.scrollRestoration = "manual";
  history.pushState(state, "");
}

function returned() {
  if (!isEntry()) history.scrollRestoration = "auto";
  if (isLeaving) {
    isLeaving = false;
    if (wanted) enter(wanted);
    wanted = "";
  } else if (!isEntry()) {
    for (const { dialog } of dialogs.values()) if (dialog.open) dialog.close();
  } else if (!isOpen()) {
    dialogs.get(history.state[ENTRY])?.again();
  }
}

/**
 * Make Back close a dialog, and Forward open it again.
 * @param {HTMLDialogElement} dialog
 * @param {() => void} again Opens it with its last content.
 * @returns {() => void} To be called when it opens.
 */
export function closedByBack(dialog, again) {
  const name = dialog.className;
  dialogs.set(name, { dialog, again });
  window.addEventListener("popstate", returned);
  dialog.addEventListener("close", () => {
    if (!isEntry()) return;
    isLeaving = true;
    history.back();
  });
  return () => {
    if (isLeaving) wanted = name;
    else enter(name);
  };
}
