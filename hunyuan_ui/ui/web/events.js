// Events between the parts of the page.

/** Emit an event to all listeners. */
export const emit = (name, /** @type {any} */ detail = null) =>
  document.dispatchEvent(new CustomEvent(`hunyuan:${name}`, { detail }));

/** Call `handler` with each event of this name. */
export const on = (name, handler) =>
  document.addEventListener(`hunyuan:${name}`, (event) => handler(/** @type {CustomEvent} */ (event).detail));

/** Call `look` when the page's content may be outdated. */
export const onReturn = (look) => on("returned", look);
