// Detects when the page may be outdated: a visitor returns to its tab, the computer has slept or is online again, or a
// new day of the limits begins. A window that stays visible gets an event only for the connection.

import { emit } from "./events.js";

const BEAT_MS = 60000;
const SLEPT_MS = 3 * BEAT_MS; // timers in a hidden tab run once a minute
const DAY_MS = 86400000;
const BEHIND_MS = 60000; // maximum assumed lag of the server's clock

let ahead_ms = 0; // of the server's clock: a visitor's may be hours off

/**
 * Note the time of an answer, unless the computer slept before it was read: it then tells of the evening before.
 * @param {string | null} date Its header. @param {number} [asked_at] When it was asked for, in milliseconds.
 */
export function noteTime(date, asked_at = Date.now()) {
  const at = Date.parse(date || "");
  const took_ms = Date.now() - asked_at;
  if (at && took_ms >= 0 && took_ms <= BEHIND_MS) ahead_ms = at - Date.now();
}

/** Milliseconds by the server's clock. */
export const serverNow = () => Date.now() + ahead_ms;

/** Return the server's current day of the limits (UTC). @param {number} at Milliseconds. */
export const dayOf = (at) => Math.floor((at - BEHIND_MS) / DAY_MS);

/** Whether data from one time may be outdated at another. @param {number} before @param {number} now */
export const isOutdated = (before, now) => now - before > SLEPT_MS || dayOf(before) !== dayOf(now);

/** Notify listeners when the page is seen again, or may be outdated while visible. */
export function announceReturns() {
  const returned = () => document.hidden || emit("returned");
  let before = serverNow();
  setInterval(() => {
    const now = serverNow();
    if (isOutdated(before, now)) returned();
    before = now;
  }, BEAT_MS);
  document.addEventListener("visibilitychange", returned);
  window.addEventListener("online", returned);
}
