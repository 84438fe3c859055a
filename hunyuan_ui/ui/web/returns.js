// When what the page shows may be out of date: somebody comes back to its tab, their computer has slept or has its line
// again, or another day of the limits begins. A window that stays in sight is told of none but the line.

import { send } from "./events.js";

const BEAT_MS = 60000;
const SLEPT_MS = 3 * BEAT_MS; // a tab that nobody looks at has its timers run once a minute
const DAY_MS = 86400000;
const BEHIND_MS = 60000; // how far the server's clock may be behind this one

/** Return which day of the limits (UTC) it is for the server by now. @param {number} at Milliseconds. */
export const dayOf = (at) => Math.floor((at - BEHIND_MS) / DAY_MS);

/** Whether what was true at one time may not be so at another. @param {number} before @param {number} now */
export const isOutdated = (before, now) => now - before > SLEPT_MS || dayOf(before) !== dayOf(now);

/** Tell every part that listens when somebody sees the page again, or sees what may have become old. */
export function tellReturns() {
  const returned = () => document.hidden || send("returned");
  let before = Date.now();
  setInterval(() => {
    const now = Date.now();
    if (isOutdated(before, now)) returned();
    before = now;
  }, BEAT_MS);
  document.addEventListener("visibilitychange", returned);
  window.addEventListener("online", returned);
}
