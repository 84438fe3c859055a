// The jobs that this page follows, those it shows, and the endings that were read; survives a reload.

const MOST_DISMISSED = 60; // more than the 50 recent jobs of which an opening page is told the lost ones
const STOPPED = "hunyuan_stopped";
const DISMISSED = "hunyuan_dismissed";

const idsIn = (text) => new Set((text || "").split(" ").filter(Boolean));

/**
 * @typedef {{id: string, [fact: string]: any}} Job As sent by the server.
 * @typedef {{get(name: string): string | null, set(name: string, text: string): unknown, remove(name: string): void}} Store
 */

/**
 * @param {Store} tab For the lifetime of the tab.
 * @param {Store} kept Shared by all tabs.
 */
export function createFollowedJobs(tab, kept) {
  const stopped = idsIn(tab.get(STOPPED)); // "stop watching" in this tab: followed silently
  const followed = new Set(stopped); // seen unfinished here; each is polled for its end
  const dismissed = idsIn(kept.get(DISMISSED)); // problems that were read in any tab
  /** @type {Job[]} */
  let active = []; // the server's latest answer

  function keepStopped() {
    if (stopped.size) tab.set(STOPPED, [...stopped].join(" "));
    else tab.remove(STOPPED);
  }
  const keepDismissed = () => kept.set(DISMISSED, [...dismissed].slice(-MOST_DISMISSED).join(" "));

  return {
    follow: (id) => followed.add(id),
    isStopped: (id) => stopped.has(id),
    isDismissed: (id) => dismissed.has(id),
    hasAny: () => active.length + followed.size > 0,

    /** The ids that are followed but not among these jobs: each has ended. */
    endedBy: (jobs) => [...followed].filter((id) => !jobs.some((job) => job.id === id)),

    /** Update from the server's list; one older than a click lacks its jobs, which stay until `end`. @param {Job[]} jobs */
    setActive(jobs) {
      active = [...jobs, ...active.filter((job) => !jobs.some((listed) => listed.id === job.id))];
      for (const job of jobs) followed.add(job.id);
    },

    /** Merge individually received jobs: known ones keep their position, new ones are appended. @param {Job[]} jobs */
    add(jobs) {
      const told = new Map([...active, ...jobs].map((job) => [job.id, job]));
      this.setActive([...told.values()]);
    },

    /** Stop following a job. Return false if it was not followed, else whether it was being watched. */
    end(id) {
      active = active.filter((job) => job.id !== id);
      if (!followed.delete(id)) return { isNews: false, isWatched: false };
      const isWatched = !stopped.delete(id);
      keepStopped();
      return { isNews: true, isWatched };
    },

    stop(id) {
      stopped.add(id);
      keepStopped();
    },

    watchAgain(id) {
      stopped.delete(id);
      keepStopped();
    },

    dismiss(id) {
      dismissed.add(id);
      keepDismissed();
    },

    /** Follow a job again whose ending was read. */
    reopen(id) {
      if (dismissed.delete(id)) keepDismissed();
      followed.add(id);
    },

    /** Return the job of the large card (the wanted one if it is watched), the others, and the first silent one. */
    arrange(wanted) {
      const watched = active.filter((job) => !stopped.has(job.id));
      const [resting, ...rest] = active.filter((job) => stopped.has(job.id));
      const focus = watched.find((job) => job.id === wanted) || watched[0] || null;
      return { focus, resting: resting || null, others: focus ? active.filter((job) => job !== focus) : rest };
    },
  };
}
