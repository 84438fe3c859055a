// When the server is asked how the jobs are: its last answer says how soon (ui/views.py), a failure waits by itself.

const LONGEST_BACK_OFF_MS = 5000;

/** Milliseconds until the next question after this many failures in a row. */
export const backOff = (failures) => Math.min(LONGEST_BACK_OFF_MS, 500 * 2 ** failures);

/**
 * Return a function that asks now; one question at a time, and one more where something happened meanwhile.
 * @param {() => Promise<number>} ask Asks and returns the milliseconds to the next question, 0 for none.
 * @param {() => void} failed Called when it throws; it is asked again.
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
