// Guards against misdirected presses: content that has just appeared under the pointer was not aimed at.

import { node } from "./dom.js";
import { words } from "./language.js";

const AIM_MS = 400; // from the decision to press to the press, and between the two halves of a double click
const SAID_MS = 6000;
const SAME_PLACE_PX = 16; // between the two halves of a double click, as of a finger
const SAME_PLACE_MS = 500; // what desktops take for a double click

/**
 * Return a function to be called whenever an area shows something else. Until a person can have seen the change, and if
 * a press began before it, a press there only reports itself.
 * @param {HTMLElement} area
 * @returns {(now: string) => void}
 */
export function guardPresses(area) {
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

  return function noteContent(now) {
    if (now === stands) return;
    stands = now;
    seenAt = Number.POSITIVE_INFINITY;
    area.setAttribute("aria-disabled", "true");
    requestAnimationFrame(seen);
  };
}

/**
 * Know the second half of a double click: it presses the same button again, or what has come in its place.
 * @param {number} within_ms For the same button.
 */
export function createDoubleClicks(within_ms) {
  /** @type {any} */
  let first = null;
  // A press by a key has no place.
  const isThere = ({ detail, clientX, clientY }) =>
    detail > 0 && first.detail > 0 && Math.hypot(clientX - first.clientX, clientY - first.clientY) < SAME_PLACE_PX;

  return {
    has(event, button) {
      if (!first) return false;
      const since_ms = event.timeStamp - first.timeStamp;
      return button === first.button ? since_ms < within_ms : since_ms < SAME_PLACE_MS && isThere(event);
    },
    note({ timeStamp, detail, clientX, clientY }, button) {
      first = { button, timeStamp, detail, clientX, clientY };
    },
  };
}
