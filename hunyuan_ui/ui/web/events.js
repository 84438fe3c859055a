// Events between the parts of the page.

/** Emit an event to all listeners. */
export const emit = (name, /** @type {any} */ detail = null) =>
  document.dispatchEvent(new CustomEvent(`hunyuan:${name}`, { detail }));

/** Call `handler` with each event of this name. */
export const on = (name, handler) =>
  document.addEventListener(`hunyuan:${name}`, (event) => handler(/** @type {CustomEvent} */ (event).detail));

/** Reload the page once all parts have stored what they hold: a page's history is not stored while it is hidden. */
export function reload() {
  emit("leaving");
  location.reload();
}

/** Call `look` when the page's content may be outdated. */
export const onReturn = (look) => on("returned", look);
