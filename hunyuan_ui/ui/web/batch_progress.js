// State of the sent list: in its dialog, and in the button beside the form that opens it.

import { canGoOn, isGoing, lineOf, shareOf } from "./batch_state.js";
import { lasting } from "./browser_storage.js";
import { keepingFocus, setText, showText } from "./dom.js";
import { emit, onReturn } from "./events.js";
import { words } from "./language.js";
import { createPoll } from "./poll.js";
import { arrived, ask, requestState } from "./server.js";

const LIST = "hunyuan_list";
const SEEN = "hunyuan_list_seen"; // the list that ended early and was viewed
const POLL_MS = 2000;

/**
 * Follow the list sent last.
 * @param {HTMLDialogElement} dialog
 * @param {(name: string) => any} part
 */
export function createListProgress(dialog, part) {
  /** @type {any} */
  let told = null; // the server's latest answer
  /** @type {string | null} */
  let id = null;
  let changes = 0; // by a click; what was asked for before the last one is older

  const show = () => keepingFocus(dialog, draw);

  function draw() {
    part("standing").hidden = !told;
    const isSeen = dialog.open || lasting.get(SEEN) === id;
    emit("list-line", lineOf(told, isSeen));
    if (!told) return;
    const percent = Math.round(100 * shareOf(told));
    setText(part("line"), told.text);
    part("meter").setAttribute("aria-valuenow", percent);
    part("meter").firstElementChild.style.translate = `${percent - 100}%`;
    showText(part("of"), told.name);
    showText(part("stopped"), told.problem);
    showText(part("go-on"), canGoOn(told) ? words["batch.go_on"] : "");
    part("stop").hidden = !told.can_stop;
    part("zip").hidden = !told.zip;
    if (told.zip) part("zip").href = told.zip.replace(/^\//, ""); // the page may have a path prefix
  }

  function stands(answer) {
    const isNews = !told || isGoing(told);
    told = answer;
    id = answer.list_id;
    show();
    // Its jobs are followed like any others; if it ended before the first poll, they are already stored.
    if (isGoing(told)) emit("list-going");
    else if (isNews) emit("list-ended");
  }

  function gone() {
    id = told = null;
    show();
  }

  const poll = createPoll(
    async () => {
      await arrived;
      if (!id) return 0;
      const since = changes;
      const answer = await requestState(`lists/${id}`);
      if (since !== changes) return POLL_MS;
      if (!answer.isOk) {
        gone();
        return 0;
      }
      if (answer.list_id === id) stands(answer);
      return isGoing(told) ? POLL_MS : 0;
    },
    () => {},
  );

  function follow(listId) {
    id = listId;
    lasting.set(LIST, listId);
    poll();
  }

  onReturn(() => id && poll());
  arrived.then(() => {
    id ??= lasting.get(LIST);
    poll();
  });
  return {
    show,
    follow,
    isTold: () => told !== null,
    /** Follow a list that was just sent. */
    begin(answer) {
      lasting.remove(SEEN);
      changes += 1;
      stands(answer);
      follow(answer.list_id);
    },
    /** Record that its end was viewed. */
    see() {
      if (told && !isGoing(told)) lasting.set(SEEN, id);
    },
    /** Stop the list that is shown, which another may be about to replace; return the error text, or nothing. */
    async stop() {
      const answer = await ask(`lists/${told.list_id}/stop`, { method: "POST", body: "{}" });
      if (!answer.isOk) return answer.problem || words["gallery.unreachable"];
      changes += 1;
      stands(answer);
    },
  };
}
