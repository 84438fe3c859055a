// The card of a job that ended without a video: what happened, its cost, and possible actions.

import { requestId } from "./copy_request_id.js";
import { goToField, hold, keepingFocus, node, showUnbroken } from "./dom.js";
import { emit } from "./events.js";
import { words } from "./language.js";
import { showWritten } from "./text_language.js";

const PRESSED_MS = 3000; // until a press without an answer may be repeated
const PAID = ["lost", "unknown"]; // statuses of jobs that may have cost something

/** Hold a button until its press should have been answered. */
export const pressOnce = (button) => setTimeout(hold(button), PRESSED_MS);

/**
 * @param {HTMLElement} card
 * @param {any} part The card's pieces.
 * @param {{change: () => void, dismiss: (id: string) => void, lookAgain: (id: string, button: any) => void,
 *   tryAgain: (job: any) => void}} does Actions of the card, and `change` when it shows another job.
 */
export function createEndedCard(card, part, does) {
  /** @type {any} */
  let ended = null;
  /** @type {string | null} */
  let making = null; // the job that a click has seen here, and makes way
  /** @type {any[]} */
  let covered = []; // paid ones that a later one has covered, newest last

  function show(job) {
    if (ended && PAID.includes(ended.status)) covered.push(ended);
    covered = covered.filter(({ id }) => id !== job.id);
    ended = job;
    part("ended").hidden = false;
    part("look").hidden = !job.can_look_again;
    showUnbroken(part("try-again"), job.again_text);
    showWritten(part("ended-prompt"), job.prompt);
    part("request").hidden = !job.request_id;
    if (job.request_id) part("request").replaceChildren(node("span", words.request_id), requestId(job.request_id));
    part("try-again").classList.toggle("primary", job.status === "failed");
    part("account").hidden = !job.account_url;
    if (job.account_url) part("account").href = job.account_url;
    part("ended").dataset.status = job.status;
    part("problem-title").textContent = job.phase_text;
    part("problem").textContent = job.note_text;
    does.change();
  }

  function hide(id) {
    covered = covered.filter((one) => one.id !== id);
    if (!ended || id !== ended.id) return;
    ended = null;
    if (covered.length) return keepingFocus(card, () => show(covered.pop()));
    close();
  }

  function close() {
    keepingFocus(card, () => (part("ended").hidden = true));
    does.change();
  }

  function makeWay() {
    if (!ended || ended.id !== making) return;
    if (PAID.includes(ended.status)) covered.push(ended);
    ended = null;
    close();
  }

  part("look").addEventListener("click", () => does.lookAgain(ended.id, part("look")));
  part("try-again").addEventListener("click", () => does.tryAgain(ended));
  part("dismiss").addEventListener("click", () => does.dismiss(ended.id));
  part("reuse").addEventListener("click", () => {
    emit("settings", { settings: ended.settings });
    goToField();
  });
  return {
    show,
    hide,
    id: () => ended?.id,
    /** Note that a click saw this card; when its job exists, the card makes way, unless it shows another by then. */
    noteSeen: () => (making = ended?.id),
    makeWay,
    /** Show what has made way and may have cost something: nothing else on the page leads to it. */
    comeBack: () => !ended && covered.length && show(covered.pop()),
  };
}
