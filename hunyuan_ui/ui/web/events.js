// What the parts of the page tell each other.

/** Tell every part that listens. */
export const send = (name, /** @type {any} */ detail = null) =>
  document.dispatchEvent(new CustomEvent(`hunyuan:${name}`, { detail }));

/** Call `heard` with what is sent by this name. */
export const hear = (name, heard) =>
  document.addEventListener(`hunyuan:${name}`, (event) => heard(/** @type {CustomEvent} */ (event).detail));

/** Call `look` when somebody comes back to this tab. */
export const onReturn = (look) => document.addEventListener("visibilitychange", () => document.hidden || look());
