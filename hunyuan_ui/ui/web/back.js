// The browser's Back closes an open dialog instead of leaving the page: a dialog is an entry of the tab's history.

const ENTRY = "hunyuan_dialog";
/** @type {HTMLDialogElement[]} */
const dialogs = [];
let isLeaving = false; // an entry is being given back
let isWanted = false; // another dialog was opened meanwhile

const isEntry = () => Boolean(history.state?.[ENTRY]);

function enter() {
  if (isEntry()) return;
  // What closes a dialog may scroll elsewhere, where the browser must not scroll back from.
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
 * Let Back close a dialog.
 * @param {HTMLDialogElement} dialog
 * @returns {() => void} To be called as it opens.
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
