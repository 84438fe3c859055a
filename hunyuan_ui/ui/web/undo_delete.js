// Deletions that can be undone for a while: nothing is deleted until then.

const UNDO_MS = 10000;
const AT_ONCE = 50; // a browser refuses requests that may outlive their page beyond 256, and each has its own deadline

/**
 * @template {{id: string}} Video
 * @param {object} needs
 * @param {(video: Video) => Promise<boolean>} needs.erase Delete it permanently, and return whether it is gone.
 * @param {(waiting: Video[]) => void} needs.changed
 */
export function createDeletions({ erase, changed }) {
  /** @type {Video[]} */
  let waiting = [];
  const erasing = new Set(); // ids whose deletion is not answered yet
  /** @type {Video[]} */
  const due = []; // of these, the ones whose deletion is not requested yet
  /** @type {any} */
  let timer;

  function take() {
    clearTimeout(timer);
    const taken = waiting;
    waiting = [];
    return taken;
  }

  /** Delete pending videos now. */
  function finish() {
    const taken = take();
    for (const { id } of taken) erasing.add(id);
    changed(waiting);
    due.push(...taken);
    eraseDue();
  }

  function eraseDue(atOnce = AT_ONCE) {
    const underWay = erasing.size - due.length;
    for (const video of due.splice(0, Math.max(0, atOnce - underWay)))
      erase(video).then((isGone) => {
        erasing.delete(video.id);
        eraseDue();
        if (!isGone) changed(waiting);
      });
  }

  /** Request all deletions: the page closes. */
  function leave() {
    finish();
    eraseDue(Number.POSITIVE_INFINITY);
  }

  function undo() {
    const taken = take();
    changed(waiting);
    return taken;
  }

  /** Add videos to the pending ones; the delay restarts for all of them. @param {Video[]} videos */
  function add(videos) {
    waiting = [...waiting, ...videos.filter(({ id }) => !has(id))];
    clearTimeout(timer);
    timer = setTimeout(finish, UNDO_MS);
    changed(waiting);
  }

  /** A video is gone by other means: it can no longer be brought back. @param {string} id */
  function drop(id) {
    if (!waiting.some((one) => one.id === id)) return;
    waiting = waiting.filter((one) => one.id !== id);
    if (!waiting.length) clearTimeout(timer);
    changed(waiting);
  }

  const has = (id) => erasing.has(id) || waiting.some((one) => one.id === id);

  return { add, drop, has, finish, leave, undo };
}
