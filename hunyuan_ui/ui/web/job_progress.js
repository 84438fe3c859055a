// Progress and elapsed time of a job.

/** Format seconds as 0:07, 3:31 or 1:00:00. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const shown = parts[0] ? parts : parts.slice(1);
  return shown.map((part, index) => (index ? String(part).padStart(2, "0") : part)).join(":");
}

/**
 * Return a job's progress: its elapsed time, empty if it is not moving, and its real progress or else the elapsed
 * fraction of the usual time, 0 to 1.
 * @param {{elapsed_s: number, usual_s: number | null, is_moving: boolean, progress?: number | null}} job As sent by the
 * server.
 * @param {number} since_ms Time since then.
 */
export function progress(job, since_ms) {
  if (!job.is_moving) return { clock: "", share: 0 };
  const elapsed_s = job.elapsed_s + since_ms / 1000;
  if (job.progress) return { clock: clock(elapsed_s), share: job.progress / 100 };
  return { clock: clock(elapsed_s), share: job.usual_s ? Math.min(1, elapsed_s / job.usual_s) : 0 };
}
