// The jobs that this page follows: polling, display, and announcing their ends.

import { createActiveCard } from "./active_job_card.js";
import { createActiveRows } from "./active_job_rows.js";
import { channel, identified, kept, tab } from "./browser_storage.js";
import { fill, isSmall, keepingFocus, keepingTop, piecesOf, reveal } from "./dom.js";
import { createEndedCard, pressOnce } from "./ended_job_card.js";
import { emit, on, onReturn, reload } from "./events.js";
import { drawShowcase } from "./examples.js";
import { createFollowedJobs } from "./followed_jobs.js";
import { words } from "./language.js";
import { guardPresses } from "./misdirected_press.js";
import { createNotify, setTitle } from "./notifications.js";
import { createPoll } from "./poll.js";
import { requestState, visitorIs } from "./server.js";
import { sayUnreachable } from "./server_reachable.js";
import { showWritten } from "./text_language.js";

const ABORT_MS = 5000;
const FIRST_PICTURE_MS = 500;
const SOON_S = 1; // after a click, when refusals and quick jobs end
const SENT_MS = [30, 60, 120, 240]; // between checks whether the server has received a click
const LEFT_MS = [0, 2000, 4000]; // the same after a reload, when it may still be being stored

let version = null;

async function askJobs(path) {
  const answer = await requestState(path, { within_ms: ABORT_MS, isExpected: true });
  if (version && answer.version !== version) reload();
  version = answer.version;
  return answer;
}

export function watch({ element, props, trigger, watch: onChange }) {
  const part = piecesOf(element);
  const card = element.querySelector(".job-card");
  const noteContent = guardPresses(card);
  const followed = createFollowedJobs(tab, kept);
  const otherTabs = channel("hunyuan");
  const notify = createNotify(part("notify"), part("denied"));
  // A click of which only some videos are stored needs another press.
  const arrived = (id, { is_whole: isWhole }) => window.hunyuan[isWhole === false ? "partly" : "answered"](id);
  const say = (text) => (part("heard").textContent = text);
  const ended = createEndedCard(card, part, { change: stand, dismiss: dismissEverywhere, lookAgain, tryAgain });
  const underWay = createActiveCard(part, () => Boolean(props.value?.is_public), say);
  const showOthers = createActiveRows(part("others"), followed.isStopped, { watch: watchAgain, lookAgain, cancel });
  const seen = { job: null, lookedAt: null }; // of the server's values
  const held = new Map(); // long polls, by the id of their job
  let together = new Set(); // ids of jobs that are shown side by side, because they belong to one click
  let isKnown = false; // whether the visitor is identified
  /** @type {string | null} */
  let sent = null; // this page's click whose videos are shown side by side, however its answer arrives
  /** @type {any} */
  let focus = null; // the job of the large card
  /** @type {any} */
  let resting = null; // the job that is followed silently
  let wanted = null; // the id that the large card should have
  /** @type {any[]} */
  let others = []; // the jobs of the lines below
  /** @type {any} */
  let ready = null; // the video announced without being shown

  const ask = createPoll(
    async () => {
      const { jobs, next_poll_s } = await askJobs("jobs");
      sayUnreachable("card", false);
      followed.setActive(jobs);
      join(jobs.find((job) => job.click?.id === sent)?.click);
      emit("jobs", jobs);
      for (const job of jobs) arrived(job.id, job);
      for (const id of followed.endedBy(jobs)) await finish(id);
      show();
      return followed.hasAny() ? next_poll_s * 1000 : 0;
    },
    () => {
      sayUnreachable("card", Boolean(focus));
      underWay.showReconnecting();
    },
  );
  const poll = () => {
    if (isKnown) ask();
  };
  const pollSoon = () => setTimeout(poll, FIRST_PICTURE_MS);

  const askJob = (id, within_s = 0) => askJobs(`jobs/${id}?within_s=${within_s}`);
  const finish = async (id) => take(id, await askJob(id));

  function take(id, job) {
    if (job.status) arrived(id, job);
    join(job.click);
    if (job.is_active) return;
    const { isNews, isWatched } = followed.end(id);
    if (!isNews) return;
    show();
    if (together.has(id)) emit("jobs", [job]);
    if (job.status === "done") {
      if (together.has(id)) nameInTitle();
      else if (isWatched) showVideo(job.video);
      else showReady(job.video);
      notify(words.ready);
    } else if (job.status && !(together.has(id) && job.status === "cancelled")) {
      showProblem(job);
    }
    // The video comes first; the updates of costs, estimates and the gallery can wait for its first frame.
    setTimeout(() => {
      trigger("ended");
      emit("ended", id);
      if (job.status === "done") emit("done");
    }, FIRST_PICTURE_MS);
  }

  /** Request a job of a click once: the server responds as soon as it has ended, without a polling delay. */
  function askSoon(id) {
    if (!held.has(id))
      held.set(
        id,
        askJob(id, SOON_S).finally(() => held.delete(id)),
      );
    return held.get(id);
  }

  async function expect(id) {
    let job = await askSoon(id);
    if (!job.status) job = await askSoon(id); // the first request may have arrived before the click
    if (job.is_active) takeAll([job]);
    else take(id, job);
  }

  /** Look for the click that had no answer when this page was left, as for a restart of the server. */
  async function seekLeft() {
    const id = window.hunyuan.left();
    if (!id) return;
    sent = id;
    for (const wait_ms of LEFT_MS) {
      await new Promise((go) => setTimeout(go, wait_ms));
      const job = await askSoon(id).catch(() => null);
      if (window.hunyuan.left() !== id) return; // answered or sent again meanwhile
      if (!job) return setTimeout(seekLeft, ABORT_MS);
      if (!job.status) continue;
      followed.follow(id);
      if (job.is_active) takeAll([job]);
      else take(id, job);
      return;
    }
    window.hunyuan.unsent(id);
  }

  // Gradio takes longer to deliver the click's answer than a quick job takes.
  async function expectSoon(id) {
    let isReached = false;
    for (const wait_ms of SENT_MS) {
      await new Promise((go) => setTimeout(go, wait_ms));
      if (seen.job === id) return;
      const job = await askSoon(id).catch(() => null);
      if (seen.job === id) return; // the handler of the click's answer waits for the same job
      isReached ||= job !== null;
      if (!job?.status) continue;
      begin(id);
      takeAll([job]);
      bringUp(id);
      pollSoon();
      return;
    }
    if (!isReached) window.hunyuan.settled(); // the click has no answer either, which Gradio reports late or never
  }

  function showVideo(video) {
    emit("ready", video);
    say(words.ready);
    nameInTitle();
  }

  // The number of finished ones is visible in the page.
  const nameInTitle = () => setTitle(document.hidden ? words.done : "");

  /** Record which jobs belong to one click. @param {{id: string, jobs: string[]} | null | undefined} click */
  function join(click) {
    if (!click || (click.jobs.length === together.size && click.jobs.every((id) => together.has(id)))) return;
    for (const id of click.jobs) if (!together.has(id)) followed.follow(id);
    emit("click", click);
  }

  // Nobody waited for it, so it does not replace what is displayed by now.
  function showReady(video) {
    if (video.id === props.value?.shown) return;
    ready = video;
    part("ready").hidden = false;
    showWritten(part("ready-prompt"), video.settings.prompt);
    say(words.ready_quietly);
    stand();
  }

  function hideReady() {
    ready = null;
    keepingFocus(card, () => (part("ready").hidden = true));
    stand();
  }

  function stand() {
    noteContent([(focus || resting)?.id, ended.id(), ready?.id, ...others.map((job) => job.id)].join());
  }

  const show = () => keepingTop(card, () => keepingFocus(card, draw));

  function draw() {
    const arranged = followed.arrange(wanted);
    ({ focus, resting } = arranged);
    wanted = focus?.id;
    card.dataset.state = focus ? "under-way" : resting ? "stopped" : "empty";
    if (focus) card.dataset.late = focus.is_late;
    others = arranged.others.filter((job) => !together.has(job.id));
    showOthers(others);
    // One that was looked for again, also in another tab or by the owner, has not ended any more.
    for (const job of [focus, resting, ...arranged.others]) if (job) ended.hide(job.id);
    if (!focus) ended.comeBack();
    stand();
    underWay.draw(focus, resting);
  }

  function stopWatching() {
    for (const id of together.has(focus.id) ? together : [focus.id]) followed.stop(id);
    show();
  }

  function watchAgain(id) {
    followed.watchAgain(id);
    wanted = id;
    show();
    poll();
  }

  // The answer, which is this part's next value, says that it is followed again.
  function lookAgain(id, pressed) {
    pressOnce(pressed);
    trigger("look_again", { job: id });
  }

  /** Retry an ended job at the displayed price; the answer is this part's next value. */
  function tryAgain({ id, most_usd }) {
    pressOnce(part("try-again"));
    ended.noteSeen();
    trigger("try_again", { job: id, most_usd });
  }

  function dismissEverywhere(id) {
    otherTabs.postMessage({ dismissed: id });
    dismiss(id);
  }

  function cancel(...ids) {
    trigger("cancel", { jobs: ids });
    setTimeout(poll, 400);
  }

  function showProblem(job) {
    if (followed.isDismissed(job.id)) return;
    ended.show(job);
    say(`${job.phase_text}. ${job.note_text}`);
    if (job.status !== "cancelled") notify(words.not_made);
  }

  function dismiss(id) {
    followed.dismiss(id);
    ended.hide(id);
  }

  function follow() {
    const value = props.value || {};
    if (!value.token) return;
    identified(value.token);
    visitorIs(value.token);
    if (!isKnown) seekLeft();
    isKnown = true;
    for (const id of value.lost || []) if (!followed.isDismissed(id)) followed.follow(id);
    const isNew = Boolean(value.job) && value.job !== seen.job;
    if (value.shown !== undefined) emit("attached", value.shown !== null);
    if (value.is_new) join(value.click);
    if (isNew) {
      if (value.is_new) {
        begin(value.job);
        takeAll(value.told);
        if (!value.again_of) bringUp(value.job);
        expect(value.job).then(pollSoon, poll);
        if (value.again_of) {
          dismissEverywhere(value.again_of);
          window.hunyuan.form.refresh();
        }
      } else {
        seen.job = value.job;
        followed.follow(value.job);
      }
    }
    if (value.looked_at && value.looked_at !== seen.lookedAt) {
      seen.lookedAt = value.looked_at;
      followed.reopen(value.job);
      if (value.job === ended.id()) wanted = value.job;
      ended.hide(value.job);
      otherTabs.postMessage("new job");
    }
    if (!(isNew && value.is_new)) poll();
  }

  /** Show the jobs of a click from its answer. */
  function takeAll(jobs) {
    followed.add(jobs.filter((job) => job.is_active));
    emit("jobs", jobs);
    for (const job of jobs) take(job.id, job);
    show();
  }

  /** Clear the view for a job that this page has sent. */
  function begin(id) {
    seen.job = id;
    followed.follow(id);
    wanted = id;
    ended.makeWay();
    hideReady();
    emit("begun", id);
    sent = id;
    otherTabs.postMessage("new job");
    if (!together.has(id)) reveal(element, isSmall() ? "start" : "nearest");
  }

  /** Scroll to the videos of a new click once they are rendered; retried ones are already in view. */
  function bringUp(id) {
    if (together.has(id)) emit("bring-up");
  }

  fill(element, words);
  drawShowcase(part("showcase"), props.showcase);
  part("cancel").addEventListener("click", () => cancel(focus.id));
  part("ask").addEventListener("click", () => lookAgain(focus.id, part("ask")));
  part("stop").addEventListener("click", stopWatching);
  part("again").addEventListener("click", () => resting && watchAgain(resting.id));
  part("address").addEventListener("click", () => emit("address"));
  part("show").addEventListener("click", () => {
    emit("ready", ready);
    hideReady();
  });
  on("try-again", tryAgain);
  on("together", (ids) => {
    together = new Set(ids);
    if (!ids.length) sent = null;
  });
  on("cancel", (ids) => cancel(...ids));
  on("deleted", (id) => id === ready?.id && hideReady());
  onReturn(() => {
    if (!focus) setTitle("");
    poll();
  });
  otherTabs.addEventListener("message", ({ data }) => (data.dismissed ? dismiss(data.dismissed) : poll()));
  on("sending", (id) => {
    ended.noteSeen();
    expectSoon(id);
  });
  on("list-going", poll);
  // The answer to a click may be lost although its job is stored.
  for (const name of ["late", "unanswered"])
    on(name, (id) => {
      followed.follow(id);
      sent = id;
      poll();
    });
  onChange("value", follow);
  follow();
}
