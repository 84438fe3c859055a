// Guards against misdirected presses: content that has just appeared under the pointer was not aimed at.

import { node } from "./dom.js";
import { words } from "./language.js";

const AIM_MS = 400; // from the decision to press to the press, and between the two halves of a double click
const SAID_MS = 6000;

/**
 * Return a function to be called whenever an area shows something else. Until a person can have seen the change, and if
 * a press began before it, a press there only reports itself.
 * @param {HTMLElement} area
 * @returns {(now: string) => void}
 */
export function steady(area) {
  const line = node("p", "", "soft", { hidden: true });
  line.setAttribute("role", "status");
  area.after(line);
  let stands = "";
  let seenAt = 0; // when the current content appeared, by the clock of events
  /** @type {string | null | undefined} */
  let aimedAt; // null: at content that had just appeared
  /** @type {any} */
  let timer;
  let said;
  const isNew = (event) => event.timeStamp < seenAt + AIM_MS;

  function refuse(event) {
    event.preventDefault();
    event.stopImmediatePropagation();
    clearTimeout(said);
    line.textContent = words.moved;
    line.hidden = false;
    said = setTimeout(() => (line.hidden = true), SAID_MS);
  }

  function press(event) {
    const aimed = aimedAt;
    aimedAt = undefined;
    if (isNew(event) || (aimed !== undefined && aimed !== stands)) refuse(event);
  }

  function seen(at) {
    seenAt = at;
    clearTimeout(timer);
    timer = setTimeout(() => area.removeAttribute("aria-disabled"), AIM_MS);
  }

  for (const begin of ["pointerdown", "keydown"])
    area.addEventListener(begin, (event) => (aimedAt = isNew(event) ? null : stands), true);
  area.addEventListener("click", press, true);

  return function standsFor(now) {
    if (now === stands) return;
    stands = now;
    seenAt = Number.POSITIVE_INFINITY;
    area.setAttribute("aria-disabled", "true");
    requestAnimationFrame(seen);
  };
}
