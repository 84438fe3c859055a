// Deletions that can be undone for a while: nothing is deleted until then.

const UNDO_MS = 10000;
const AT_ONCE = 500; // videos of one request: the server takes no more, and a browser gives what may outlive its page 64 kB

/**
 * @template {{id: string}} Video
 * @param {object} needs
 * @param {(videos: Video[]) => Promise<string[]>} needs.erase Delete them permanently, and return the ids of the gone ones.
 * @param {(waiting: Video[]) => void} needs.changed
 */
export function createDeletions({ erase, changed }) {
  /** @type {Video[]} */
  let waiting = [];
  const erasing = new Set(); // ids whose deletion is not answered yet
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
    for (let at = 0; at < taken.length; at += AT_ONCE) eraseTogether(taken.slice(at, at + AT_ONCE));
  }

  async function eraseTogether(videos) {
    const gone = await erase(videos);
    for (const { id } of videos) erasing.delete(id);
    if (gone.length < videos.length) changed(waiting);
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

  return { add, drop, has, finish, undo };
}
