// The browser's Back button closes an open dialog instead of leaving the page: each dialog is a history entry.

const ENTRY = "hunyuan_dialog";
/** @type {HTMLDialogElement[]} */
const dialogs = [];
let isLeaving = false; // a history entry is being removed
let isWanted = false; // another dialog was opened meanwhile

const isEntry = () => Boolean(history.state?.[ENTRY]);

function enter() {
  if (isEntry()) return;
  // The page may scroll when a dialog closes; the browser must not restore the old position.
  history.scrollRestoration = "manual";
  history.pushState({ ...history.state, [ENTRY]: true }, "");
}

function returned() {
  if (!isEntry()) history.scrollRestoration = "auto";
  if (isLeaving) {
    isLeaving = false;
    if (isWanted) enter();
    isWanted = false;
  } else if (!isEntry()) {
    for (const dialog of dialogs) if (dialog.open) dialog.close();
  }
}

/**
 * Make Back close a dialog.
 * @param {HTMLDialogElement} dialog
 * @returns {() => void} To be called when it opens.
 */
export function closedByBack(dialog) {
  dialogs.push(dialog);
  window.addEventListener("popstate", returned);
  dialog.addEventListener("close", () => {
    if (!isEntry()) return;
    isLeaving = true;
    history.back();
  });
  return () => {
    if (isLeaving) isWanted = true;
    else enter();
  };
}
