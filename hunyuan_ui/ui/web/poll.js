// When the server is asked how the jobs are, and how far each of them is.

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

/** Return seconds as 0:07, 3:31 or 1:00:00. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const shown = parts[0] ? parts : parts.slice(1);
  return shown.map((part, index) => (index ? String(part).padStart(2, "0") : part)).join(":");
}

/**
 * Return how far a job is: its clock, empty where nothing moves, and its real progress or else the share of the usual
 * time, 0 to 1.
 * @param {{elapsed_s: number, usual_s: number | null, is_moving: boolean, progress?: number | null}} job As the server
 *   told it.
 * @param {number} since_ms Time since then.
 */
export function progress(job, since_ms) {
  if (!job.is_moving) return { clock: "", share: 0 };
  const elapsed_s = job.elapsed_s + since_ms / 1000;
  if (job.progress) return { clock: clock(elapsed_s), share: job.progress / 100 };
  return { clock: clock(elapsed_s), share: job.usual_s ? Math.min(1, elapsed_s / job.usual_s) : 0 };
}
