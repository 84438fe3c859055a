// Events between the parts of the page.

/** Send an event to all listeners. */
export const send = (name, /** @type {any} */ detail = null) =>
  document.dispatchEvent(new CustomEvent(`hunyuan:${name}`, { detail }));

/** Call `heard` with each event of this name. */
export const hear = (name, heard) =>
  document.addEventListener(`hunyuan:${name}`, (event) => heard(/** @type {CustomEvent} */ (event).detail));

/** Call `look` when the page's content may be outdated. */
export const onReturn = (look) => hear("returned", look);
