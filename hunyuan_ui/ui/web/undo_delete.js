// Deletions that can be undone for a while: nothing is deleted until then.

const UNDO_MS = 10000;

/**
 * @template {{id: string}} Video
 * @param {object} needs
 * @param {(video: Video) => void} needs.erase Delete it permanently.
 * @param {(waiting: Video[]) => void} needs.changed
 */
export function createDeletions({ erase, changed }) {
  /** @type {Video[]} */
  let waiting = [];
  /** @type {any} */
  let timer;

  function take() {
    clearTimeout(timer);
    const taken = waiting;
    waiting = [];
    changed(waiting);
    return taken;
  }

  /** Delete pending videos now. */
  const finish = () => take().forEach(erase);

  /** Add videos to the pending ones; the delay restarts for all of them. @param {Video[]} videos */
  function add(videos) {
    waiting = [...waiting, ...videos.filter(({ id }) => !has(id))];
    clearTimeout(timer);
    timer = setTimeout(finish, UNDO_MS);
    changed(waiting);
  }

  const has = (id) => waiting.some((one) => one.id === id);

  return { add, has, finish, undo: take };
}
