// Events between the parts of the page.

/** Emit an event to all listeners. */
export const emit = (name, /** @type {any} */ detail = null) =>
  document.dispatchEvent(new CustomEvent(`hunyuan:${name}`, { detail }));

/** Call `handler` with each event of this name. */
export const on = (name, handler) =>
  document.addEventListener(`hunyuan:${name}`, (event) => handler(/** @type {CustomEvent} */ (event).detail));

const RELOADED_WITHIN_MS = 10000;
let reloadedAt = -RELOADED_WITHIN_MS;

/** Reload the page once all parts have stored what they hold: a page's history is not stored while it is hidden. */
export function reload() {
  emit("leaving");
  reloadedAt = performance.now();
  location.reload();
}

/** Whether a reload is under way, unless it was stopped: a change of the history would now erase all that it holds. */
export const isReloading = () => performance.now() - reloadedAt < RELOADED_WITHIN_MS;

/** Call `look` when the page's content may be outdated. */
export const onReturn = (look) => on("returned", look);
