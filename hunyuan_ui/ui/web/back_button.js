// The browser's Back button closes an open dialog instead of leaving the page, and Forward or a reload opens it again:
// each dialog is a history entry. Meanwhile the page behind it does not scroll.

import { DIALOG as ENTRY } from "./browser_storage.js";
import { isReloading, on } from "./events.js";

const CONTENT = `${ENTRY}_of`;
/** @type {Map<string, {dialog: HTMLDialogElement, again: (of: any) => void}>} */
const dialogs = new Map(); // by class
let isLeaving = false; // a history entry is being removed
/** @type {Object<string, any> | null} */
let wanted = null; // the entry of the dialog that was opened meanwhile

const isEntry = () => Boolean(history.state?.[ENTRY]);
const isOpen = () => [...dialogs.values()].some(({ dialog }) => dialog.open);

/** Keep the page from scrolling behind a dialog, and its scrollbar's place, if it has one. */
function coverPage(isCovered) {
  const { style, clientWidth } = document.documentElement;
  style.scrollbarGutter = isCovered && window.innerWidth > clientWidth ? "stable" : "";
  style.overflow = isCovered ? "hidden" : "";
}

function enter(entry) {
  if (isReloading()) return;
  const state = { ...history.state, ...entry };
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
    wanted = null;
  } else if (!isEntry()) {
    for (const { dialog } of dialogs.values()) if (dialog.open) dialog.close();
  } else if (!isOpen()) {
    reopen(history.state[ENTRY]);
  }
}

const reopen = (name) => dialogs.get(name)?.again(history.state[CONTENT]);

/** Open a dialog that a reload has closed. @param {HTMLDialogElement} dialog */
export const openAfterReload = ({ className }) => isEntry() && history.state[ENTRY] === className && reopen(className);

function leave() {
  if (!isEntry() || isLeaving) return;
  isLeaving = true;
  history.back();
}

/**
 * Make Back close a dialog, and Forward open it again.
 * @param {HTMLDialogElement} dialog
 * @param {(of: any) => void} again Opens it with what it was opened for, or emits "unopened".
 * @returns {(of?: any) => void} To be called when it opens, with what it is opened for, as JSON.
 */
export function closedByBack(dialog, again) {
  const name = dialog.className;
  dialogs.set(name, { dialog, again });
  window.addEventListener("popstate", returned);
  dialog.addEventListener("close", () => {
    coverPage(isOpen());
    if (!isOpen()) leave(); // it may have been opened again before this event
  });
  return (of = null) => {
    coverPage(true);
    const entry = { [ENTRY]: name, [CONTENT]: of };
    if (isLeaving) wanted = entry;
    else enter(entry);
  };
}

/**
 * Close a dialog by a press beside it. Text that is selected beyond the edge ends there too, but does not begin there.
 * @param {HTMLDialogElement} dialog
 */
export function closedBeside(dialog) {
  const isBeside = ({ target, clientX: x, clientY: y }) => {
    const { left, right, top, bottom } = dialog.getBoundingClientRect();
    return target === dialog && (x < left || x > right || y < top || y > bottom);
  };
  let hasBegun = false;
  dialog.addEventListener("pointerdown", (event) => (hasBegun = isBeside(event)));
  dialog.addEventListener("click", (event) => hasBegun && isBeside(event) && dialog.close());
}

// An entry whose dialog cannot be opened again would be a step back that does nothing.
on("unopened", () => isOpen() || leave());
