// What the parts of the page tell each other.

/** Tell every part that listens. */
export const send = (name, /** @type {any} */ detail = null) =>
  document.dispatchEvent(new CustomEvent(`hunyuan:${name}`, { detail }));

/** Call `heard` with what is sent by this name. */
export const hear = (name, heard) =>
  document.addEventListener(`hunyuan:${name}`, (event) => heard(/** @type {CustomEvent} */ (event).detail));

/** Call `look` when what was shown may be out of date. */
export const onReturn = (look) => hear("returned", look);
