// Polling of job states: the last answer sets the interval (ui/views.py), failures have their own back-off.

const LONGEST_BACK_OFF_MS = 5000;

/** Milliseconds until the next poll after this many consecutive failures. */
export const backOff = (failures) => Math.min(LONGEST_BACK_OFF_MS, 500 * 2 ** failures);

/**
 * Return a function that polls now; one request at a time, and another if it is called meanwhile.
 * @param {() => Promise<number>} ask Polls and returns the milliseconds to the next poll, 0 for none.
 * @param {() => void} failed Called when it throws; the poll is repeated.
 */
export function createPoll(ask, failed) {
  let failures = 0;
  let isAsking = false;
  let isOutdated = false;
  /** @type {any} */
  let timer;

  return async function poll() {
    isOutdated = isAsking;
    if (isAsking) return;
    isAsking = true;
    clearTimeout(timer);
    let wait_ms = 0;
    try {
      wait_ms = await ask();
      failures = 0;
    } catch {
      failures += 1;
      wait_ms = backOff(failures);
      failed();
    }
    isAsking = false;
    if (isOutdated) poll();
    else if (wait_ms) timer = setTimeout(poll, wait_ms);
  };
}
