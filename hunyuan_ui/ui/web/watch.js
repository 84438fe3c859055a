// The job card: jobs under way, how each ended, and notices of it.

import { canNotify, channel, kept, tab } from "./browser.js";
import {
  button,
  fill,
  goToField,
  isSmall,
  keepingFocus,
  keepingTop,
  node,
  piecesOf,
  reveal,
  showUnbroken,
} from "./dom.js";
import { hear, onReturn, send } from "./events.js";
import { drawSights } from "./examples.js";
import { createFollowed } from "./followed.js";
import { words } from "./language.js";
import { createPoll, progress } from "./poll.js";
import { sayUnreachable } from "./reach.js";
import { requestId } from "./request_id.js";
import { keeping, request, visitorIs } from "./server.js";
import { steady } from "./steady.js";

const ABORT_MS = 5000;
const FIRST_PICTURE_MS = 500;
const SOON_S = 1; // after a click, where refusals and quick jobs end
const SENT_MS = [30, 60, 120, 240]; // between questions whether the server has a click by now
const ASK_AGAIN_AFTER_MS = 3000;
const NOTIFY = "hunyuan_notify";

const lineButton = (text, press) => button(text, press, "button bare");
let ownTitle = "";
let version = null;

function setTitle(text) {
  ownTitle = ownTitle || document.title;
  document.title = text ? `${text} · ${ownTitle}` : ownTitle;
}

async function askJobs(path) {
  const answer = await request(path, { within_ms: ABORT_MS, isExpected: true });
  if (answer.httpStatus >= 500) throw new Error(`status ${answer.httpStatus}`);
  if (version && answer.version !== version) location.reload();
  version = answer.version;
  return answer;
}

/** The wish to be told by the browser. @param {any} part */
function createNotices(part) {
  let isWished = kept.get(NOTIFY) === "yes";
  const isOn = () => isWished && canNotify() && Notification.permission === "granted";

  function show() {
    part("notify").hidden = !canNotify();
    part("notify").setAttribute("aria-pressed", isOn());
    part("notify").textContent = isOn() ? words.notify_on : words.notify;
  }

  async function change() {
    isWished = !isOn();
    kept.set(NOTIFY, isWished ? "yes" : "no");
    try {
      if (isWished) await Notification.requestPermission();
    } catch {
      // Not to be asked for in a page inside another site's.
    }
    show();
  }

  part("notify").addEventListener("click", change);
  show();

  // Never the prompt: it would stand on a locked screen.
  return function notify(text) {
    if (!document.hidden || !isOn()) return;
    try {
      new Notification(text, { tag: "hunyuan" });
    } catch {
      // Phones allow it to service workers only; the title says it as well.
    }
  };
}

export function watch({ element, props, trigger, watch: onChange }) {
  const part = piecesOf(element);
  const card = element.querySelector(".job-card");
  const standsFor = steady(card);
  const followed = createFollowed(tab, kept);
  const otherTabs = channel("hunyuan");
  const notify = createNotices(part);
  const answered = (id) => window.hunyuan.answered(id);
  const say = (text) => (part("heard").textContent = text);
  const seen = { job: null, lookedAt: null }; // of the server's values
  const held = new Map(); // questions that the server may hold, by the id of their job
  let together = new Set(); // ids of the jobs that are shown side by side, because one click made them
  let isKnown = false; // who this visitor is
  /** @type {string | null} */
  let sent = null; // the click of this page whose videos are shown side by side, however its answer comes
  /** @type {any} */
  let focus = null; // the job of the large card
  /** @type {any} */
  let resting = null; // the job that is followed without a word
  let wanted = null; // the id that the large card should have
  let focusSeenAt = 0;
  /** @type {any} */
  let ended = null; // the job of the ended card
  /** @type {any[]} */
  let others = []; // the jobs of the rows below
  let told = ""; // these rows, as they were drawn
  /** @type {string | null} */
  let making = null; // the job of the ended card that a click has seen, and makes way
  /** @type {any} */
  let ready = null; // the video of the quiet line

  const ask = createPoll(
    async () => {
      const { jobs, next_poll_s } = await askJobs("jobs");
      sayUnreachable("card", false);
      followed.setActive(jobs);
      join(jobs.find((job) => job.click?.id === sent)?.click);
      send("jobs", jobs);
      for (const job of jobs) answered(job.id);
      for (const id of followed.endedBy(jobs)) await finish(id);
      show();
      return followed.hasAny() ? next_poll_s * 1000 : 0;
    },
    () => {
      sayUnreachable("card", Boolean(focus));
      if (focus) showReconnecting();
    },
  );
  const poll = () => {
    if (isKnown) ask();
  };
  const pollSoon = () => setTimeout(poll, FIRST_PICTURE_MS);

  const askJob = (id, within_s = 0) => askJobs(`jobs/${id}?within_s=${within_s}`);
  const finish = async (id) => take(id, await askJob(id));

  function take(id, job) {
    if (job.status) answered(id);
    join(job.click);
    if (job.is_active) return;
    const { isNews, isWatched } = followed.end(id);
    if (!isNews) return;
    show();
    if (together.has(id)) send("jobs", [job]);
    if (job.status === "done") {
      if (together.has(id)) showTogether();
      else if (isWatched) showVideo(job.video);
      else showReady(job.video);
      notify(words.ready);
    } else if (job.status && !(together.has(id) && job.status === "cancelled")) {
      showProblem(job);
    }
    // The video comes first; what it cost, what it teaches and the gallery can wait for its first picture.
    setTimeout(() => {
      trigger("ended");
      send("ended", id);
      if (job.status === "done") send("done");
    }, FIRST_PICTURE_MS);
  }

  /** Ask once for a job of a click: the server answers as soon as it has ended, so that no poll lies between. */
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
    if (!job.status) job = await askSoon(id); // the first question may have come before the click
    if (job.is_active) tell([job]);
    else take(id, job);
  }

  // Gradio takes longer to hand the click's answer over than a quick job takes.
  async function expectSoon(id) {
    for (const wait_ms of SENT_MS) {
      await new Promise((go) => setTimeout(go, wait_ms));
      if (seen.job === id) return;
      const job = await askSoon(id).catch(() => ({}));
      if (seen.job === id) return; // who has taken the click's answer in waits for the same
      if (!job.status) continue;
      begin(id);
      tell([job]);
      bringUp(id);
      pollSoon();
      return;
    }
  }

  function showVideo(video) {
    send("ready", video);
    showTogether();
  }

  /** Tell of a video that stands in its place beside the others of its click. */
  function showTogether() {
    say(words.done);
    setTitle(document.hidden ? words.done : "");
  }

  /** Take in which jobs belong to one click. @param {{id: string, jobs: string[]} | null | undefined} click */
  function join(click) {
    if (!click || (click.jobs.length === together.size && click.jobs.every((id) => together.has(id)))) return;
    for (const id of click.jobs) if (!together.has(id)) followed.follow(id);
    send("click", click);
  }

  // Nobody waited for it, so that it takes no place that something else may have by now.
  function showReady(video) {
    if (video.id === props.value?.shown) return;
    ready = video;
    part("ready").hidden = false;
    part("ready-prompt").textContent = video.settings.prompt;
    say(words.ready_quietly);
    stand();
  }

  function hideReady() {
    ready = null;
    keepingFocus(card, () => (part("ready").hidden = true));
    stand();
  }

  const stand = () => standsFor([focus || resting, ended, ready, ...others].map((job) => job?.id).join());
  const show = () => keepingTop(card, () => keepingFocus(card, draw));

  function draw() {
    const before = focus?.phase_text;
    const arranged = followed.arrange(wanted);
    ({ focus, resting } = arranged);
    wanted = focus?.id;
    focusSeenAt = performance.now();
    card.dataset.state = focus ? "under-way" : resting ? "stopped" : "empty";
    others = arranged.others.filter((job) => !together.has(job.id));
    showOthers(others);
    stand();
    if (!focus) {
      part("stopped-prompt").textContent = resting ? resting.prompt : "";
      part("stopped-keep").textContent = keepText();
      if (!document.hidden) setTitle("");
      return;
    }
    card.dataset.late = focus.is_late;
    part("phase").textContent = focus.phase_text;
    part("usual").textContent = focus.usual_text;
    part("note").textContent = focus.note_text;
    part("prompt").textContent = focus.prompt;
    part("keep").textContent = keepText();
    part("address").hidden = !hasAddress();
    part("ask").hidden = !focus.can_ask;
    part("cancel").hidden = !focus.can_cancel && !focus.can_stop;
    part("cancel").textContent = focus.can_stop ? words.stop_run : words.cancel;
    part("stop").hidden = focus.can_cancel;
    if (before !== focus.phase_text) say(focus.phase_text);
    tick();
  }

  function other(job) {
    const isStopped = followed.isStopped(job.id);
    const row = node("li", "", "slim");
    row.append(
      node("span", isStopped ? words.stopped : job.note_text || job.phase_text),
      node("span", job.prompt, "one-line"),
    );
    if (isStopped) row.append(lineButton(words.watch_again, () => watchAgain(job.id)));
    else if (job.can_ask) row.append(lineButton(words.ask_now, (pressed) => lookAgain(job.id, pressed)));
    if (job.can_cancel) row.append(lineButton(words.cancel, () => cancel(job.id)));
    else if (job.can_stop) row.append(lineButton(words.stop_run, () => cancel(job.id)));
    return row;
  }

  // A row that is drawn anew under a finger takes no press.
  function showOthers(jobs) {
    const facts = ({ id, note_text, phase_text, can_ask, can_cancel, can_stop }) =>
      [id, note_text, phase_text, can_ask, can_cancel, can_stop, followed.isStopped(id)].join();
    const now = jobs.map(facts).join("\n");
    if (now === told) return;
    told = now;
    part("others").hidden = !jobs.length;
    part("others")
      .querySelector("ul")
      .replaceChildren(...jobs.map(other));
  }

  // How it is found again when this page is closed: what is said here must be true of this browser.
  function keepText() {
    if (keeping() === "kept") return words["keep.kept"];
    if (!hasAddress()) return words["keep.everybody"];
    return words[keeping() === "nothing" ? "keep.nothing" : "keep.address"];
  }

  const hasAddress = () => Boolean(props.value?.is_public) && keeping() !== "kept";

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

  // The answer, which comes as this part's value, says that it is followed again.
  function lookAgain(id, pressed) {
    pressed.disabled = true;
    setTimeout(() => (pressed.disabled = false), ASK_AGAIN_AFTER_MS);
    trigger("look_again", { job: id });
  }

  /** Send again what ended, at the price that was seen; the answer comes as this part's value. */
  function tryAgain({ id, most_usd }) {
    const pressed = part("try-again");
    pressed.disabled = true;
    setTimeout(() => (pressed.disabled = false), ASK_AGAIN_AFTER_MS);
    making = ended?.id;
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

  function showReconnecting() {
    part("phase").textContent = words.reconnecting;
    part("usual").textContent = "";
    part("note").textContent = words.reconnecting_help;
  }

  function showProblem(job) {
    if (followed.isDismissed(job.id)) return;
    ended = job;
    part("ended").hidden = false;
    part("look").hidden = !job.can_look_again;
    showUnbroken(part("try-again"), job.again_text);
    part("ended-prompt").textContent = job.prompt;
    part("request").hidden = !job.request_id;
    if (job.request_id) part("request").replaceChildren(node("span", words.request_id), requestId(job.request_id));
    part("try-again").classList.toggle("primary", job.status === "failed");
    part("account").hidden = !job.account_url;
    if (job.account_url) part("account").href = job.account_url;
    part("ended").dataset.status = job.status;
    part("problem-title").textContent = job.phase_text;
    part("problem").textContent = job.note_text;
    say(`${job.phase_text}. ${job.note_text}`);
    if (job.status !== "cancelled") notify(words.not_made);
    stand();
  }

  function hideProblem(id) {
    if (!ended || id !== ended.id) return;
    ended = null;
    keepingFocus(card, () => (part("ended").hidden = true));
    stand();
  }

  function dismiss(id) {
    followed.dismiss(id);
    hideProblem(id);
  }

  function tick() {
    if (!focus) return;
    const { clock, share } = progress(focus, performance.now() - focusSeenAt);
    part("clock").textContent = clock;
    part("bar").hidden = !focus.is_moving;
    part("bar").toggleAttribute("data-unsure", !focus.usual_s);
    part("bar").setAttribute("aria-valuenow", Math.round(share * 100));
    part("bar").setAttribute("aria-label", focus.phase_text);
    part("bar").firstElementChild.style.width = `${share * 100}%`;
    setTitle(`${clock} ${focus.phase_text}`.trim());
  }

  function follow() {
    const value = props.value || {};
    if (!value.token) return;
    isKnown = true;
    visitorIs(value.token);
    const isNew = Boolean(value.job) && value.job !== seen.job;
    if (value.shown !== undefined) send("attached", value.shown !== null);
    if (value.is_new) join(value.click);
    if (isNew) {
      if (value.is_new) {
        begin(value.job);
        tell(value.told);
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
      if (value.job === ended?.id) wanted = value.job;
      hideProblem(value.job);
      otherTabs.postMessage("new job");
    }
    if (!(isNew && value.is_new)) poll();
  }

  /** Show jobs of a click as its answer told them. */
  function tell(jobs) {
    followed.add(jobs.filter((job) => job.is_active));
    send("jobs", jobs);
    for (const job of jobs) take(job.id, job);
    show();
  }

  /** Make way for a job that this page has sent. */
  function begin(id) {
    seen.job = id;
    followed.follow(id);
    wanted = id;
    hideProblem(making);
    hideReady();
    send("begun", id);
    sent = id;
    otherTabs.postMessage("new job");
    if (!together.has(id)) reveal(element, isSmall() ? "start" : "nearest");
  }

  /** Show where several videos of a new click stand, once they do; what is put back among them is in sight. */
  function bringUp(id) {
    if (together.has(id)) send("bring-up");
  }

  fill(element, words);
  drawSights(part("sights"), props.sights);
  part("cancel").addEventListener("click", () => cancel(focus.id));
  part("ask").addEventListener("click", () => lookAgain(focus.id, part("ask")));
  part("look").addEventListener("click", () => lookAgain(ended.id, part("look")));
  part("try-again").addEventListener("click", () => tryAgain(ended));
  part("reuse").addEventListener("click", () => {
    send("settings", { settings: ended.settings });
    goToField();
  });
  part("stop").addEventListener("click", stopWatching);
  part("again").addEventListener("click", () => resting && watchAgain(resting.id));
  part("address").addEventListener("click", () => send("address"));
  part("show").addEventListener("click", () => {
    send("ready", ready);
    hideReady();
  });
  part("dismiss").addEventListener("click", () => dismissEverywhere(ended.id));
  hear("try-again", tryAgain);
  hear("together", (ids) => {
    together = new Set(ids);
    if (!ids.length) sent = null;
  });
  hear("cancel", (ids) => cancel(...ids));
  for (const end of ["deleted", "gone"]) hear(end, (id) => id === ready?.id && hideReady());
  onReturn(() => {
    if (!focus) setTitle("");
    poll();
  });
  window.addEventListener("online", poll);
  otherTabs.addEventListener("message", ({ data }) => (data.dismissed ? dismiss(data.dismissed) : poll()));
  hear("sending", (id) => {
    making = ended?.id;
    expectSoon(id);
  });
  hear("list-going", poll);
  // The answer to a click may be lost although its job is stored.
  for (const name of ["late", "unanswered"])
    hear(name, (id) => {
      followed.follow(id);
      sent = id;
      poll();
    });
  setInterval(tick, 500);
  onChange("value", follow);
  follow();
}
