// Clicks on Generate. Each click has one id, which is kept until the server has answered for it, so that pressing again
// after a lost response, also in a reloaded page, names the same job instead of buying a second one.

const SEND_DEADLINE_MS = 10000;
const LATE_MS = 3000;
const ANSWER_LAG_MS = 500;
const BEGUN_WITHIN_MS = 1000;
export const DOUBLE_CLICK_MS = 1000;
const ON_ITS_WAY_MS = 2000; // from reading that Generate must be pressed again to the press

/**
 * @param {object} needs
 * @param {() => string} needs.newId
 * @param {(what: "late" | "answered" | "unanswered" | "unheard" | "unsent" | "partly", id: string) => void} needs.emit
 * @param {(isDisabled: boolean) => void} needs.disable Disables the button.
 * @param {{get(): string | null, set(id: string): unknown, remove(): void}} needs.keep Keeps an id over a reload.
 * @param {() => number} [needs.now] Milliseconds.
 * @param {() => boolean} [needs.isOffline] Whether requests cannot arrive at the moment.
 */
export function createClicks({ newId, emit, disable, keep, now = () => performance.now(), isOffline = () => false }) {
  let pending = keep.get();
  let left = pending; // the one that had no answer when the page was left
  let begunAt = 0;
  let isInvited = false; // the page has asked for another press
  let isUnanswered = false; // that no answer came to the last press was told
  let isPartly = false; // that only some of its videos are stored was told
  /** @type {any} */
  let deadline;
  /** @type {any} */
  let late;
  /** @type {any} */
  let held;

  const emitPending = (what) => pending && emit(what, pending);
  const invite = (what, id) => {
    isInvited = true;
    emit(what, id);
  };
  const stopTimers = () => {
    clearTimeout(deadline);
    clearInterval(late);
  };

  /** Handle the end of Gradio's event, or that nothing was reached; after the answer it releases no button. */
  function settled() {
    if (pending) endSending();
  }

  /** End the sending. The answer may come within a double click, whose second half must not be a click of its own. */
  function endSending() {
    stopTimers();
    deadline = setTimeout(tellUnanswered, ANSWER_LAG_MS);
    enableIn(begunAt + DOUBLE_CLICK_MS - now());
  }

  /** Told once: Gradio may give up later than this page, which the visitor has read by then. */
  function tellUnanswered() {
    if (!pending || isUnanswered) return;
    isUnanswered = true;
    invite("unanswered", pending);
  }

  function enableIn(ms) {
    clearTimeout(held);
    held = setTimeout(disable, ms, false);
  }

  /** Handle a press of the button. After Gradio has lost its server, its buttons send no clicks. */
  function pressed() {
    const before = begunAt;
    setTimeout(() => {
      if (begunAt !== before) return;
      hold();
      invite("unheard", "");
    }, BEGUN_WITHIN_MS);
  }

  function hold() {
    pending = pending || newId();
    keep.set(pending);
    return pending;
  }

  /** Return the id of a new click. */
  function begin() {
    const id = hold();
    left = null;
    isUnanswered = isPartly = false;
    begunAt = now();
    disable(true);
    stopTimers();
    deadline = setTimeout(settled, isOffline() ? 0 : SEND_DEADLINE_MS);
    late = setInterval(emitPending, LATE_MS, "late");
    return id;
  }

  /** Handle the server's answer for an id. */
  function answered(id) {
    if (!pending || id !== pending) return;
    emitPending("answered");
    pending = left = null;
    keep.remove();
    endSending();
    if (!isInvited) return;
    // The press that was asked for may be on its way; now it would be a click of its own.
    isInvited = false;
    disable(true);
    enableIn(ON_ITS_WAY_MS);
  }

  /** Handle that the server has stored some videos of an id: it may still store the others until it has failed. */
  function partly(id) {
    if (!pending || id !== pending || isPartly || !(isUnanswered || id === left)) return;
    isPartly = true;
    left = null;
    invite("partly", id);
  }

  /** Handle that the server does not know the click that had no answer; should it still arrive, its id is in use. */
  function unsent(id) {
    if (id !== left) return;
    left = null;
    keep.remove();
    invite("unsent", id);
  }

  return { pressed, begin, answered, partly, settled, unsent, left: () => left };
}

/**
 * Keep a click's id in a tab for the visitor who clicked: the server would deny to anybody else that it knows the job.
 * @param {{get(name: string): string | null, set(name: string, text: string): unknown, remove(name: string): void}} tab
 * @param {string} name
 * @param {() => string | null} visitor
 */
export const keptClick = (tab, name, visitor) => ({
  get() {
    const [id, of] = (tab.get(name) || "").split(" ");
    return id && (!of || of === visitor()) ? id : null;
  },
  set: (id) => tab.set(name, `${id} ${visitor()}`),
  remove: () => tab.remove(name),
});
