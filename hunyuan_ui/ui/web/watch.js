const ABORT_MS = 5000;
const FIRST_PICTURE_MS = 500;
const SOON_S = 1; // after a click, where refusals and quick jobs end
const LONGEST_BACK_OFF_MS = 5000;
const ASK_AGAIN_AFTER_MS = 3000;
const MOST_DISMISSED = 30;
const STOPPED = "hunyuan_stopped";
const DISMISSED = "hunyuan_dismissed";
const NOTIFY = "hunyuan_notify";
const { words } = hunyuan;
const { kept, tab } = hunyuan.browser;
const stage = element.querySelector(".stage");
const part = (name) => element.querySelector(`[data-part="${name}"]`);

const idsIn = (text) => new Set((text || "").split(" ").filter(Boolean));
const stopped = idsIn(tab.get(STOPPED)); // "stop watching", in this tab: followed, but without a word
const followed = new Set(stopped); // seen under way here; each is asked for its end
const dismissed = idsIn(kept.get(DISMISSED)); // problems that were read, in any tab
const otherTabs = hunyuan.browser.channel("hunyuan");
let active = []; // as the server told it last
let wantsNotice = kept.get(NOTIFY) === "yes";
let problem = null; // the id of the ended card
let ready = null; // the video of the quiet line
let token = null;
let version = null;
let focus = null; // the job of the large card
let wanted = null; // the id it should have
let focusSeenAt = 0;
let failures = 0;
let isAsking = false;
let isOutdated = false; // something happened while the server was asked
let timer = 0;

async function ask(path) {
  const abort = new AbortController();
  const deadline = setTimeout(() => abort.abort(), ABORT_MS);
  try {
    const answer = await fetch(`gradio_api/hunyuan/${path}`, {
      cache: "no-store",
      signal: abort.signal,
      headers: { "x-hunyuan-visitor": token },
    });
    const type = answer.headers.get("content-type") || "";
    if (!type.startsWith("application/json") || answer.status >= 500) throw new Error(`status ${answer.status}`);
    const body = await answer.json();
    if (version && body.version !== version) location.reload();
    version = body.version;
    return body;
  } finally {
    clearTimeout(deadline);
  }
}

async function poll() {
  isOutdated = isAsking;
  if (isAsking || !token) return;
  isAsking = true;
  clearTimeout(timer);
  let wait_ms = 0;
  try {
    const answer = await ask("jobs");
    for (const job of answer.jobs) {
      followed.add(job.id);
      hunyuan.answered(job.id);
    }
    const ended = [...followed].filter((id) => !answer.jobs.some((job) => job.id === id));
    for (const id of ended) await finish(id);
    active = answer.jobs;
    show();
    failures = 0;
    if (answer.jobs.length + followed.size) wait_ms = answer.next_poll_s * 1000;
  } catch {
    failures += 1;
    wait_ms = Math.min(LONGEST_BACK_OFF_MS, 500 * 2 ** failures);
    if (focus) showReconnecting();
  }
  isAsking = false;
  if (isOutdated) poll();
  else if (wait_ms) timer = setTimeout(poll, wait_ms);
}

async function finish(id, within_s = 0) {
  const job = await ask(`jobs/${id}?within_s=${within_s}`);
  if (job.status) hunyuan.answered(id);
  if (job.is_active || !followed.delete(id)) return;
  const isWatched = !stopped.delete(id);
  keepStopped();
  if (job.status === "done") {
    if (isWatched) showVideo(job.video);
    else showReady(job.video);
    notify(words.ready);
  } else if (job.status) {
    showProblem(job);
  }
  // The video comes first; what it cost, what it teaches and the gallery can wait for its first picture.
  setTimeout(() => {
    trigger("ended");
    if (job.status === "done") hunyuan.videos.send("done");
  }, FIRST_PICTURE_MS);
}

// The server answers as soon as the job has ended, so that a quick one is shown without a poll between.
async function expect(id) {
  try {
    await finish(id, SOON_S);
  } catch {
    // The polls find out.
  }
  poll();
}

function showVideo(video) {
  hunyuan.videos.send("ready", video);
  say(words.done);
  hunyuan.titled(document.hidden ? words.done : "");
}

// Nobody waited for it, so that it takes no place that something else may have by now.
function showReady(video) {
  if (video.id === (props.value || {}).shown) return;
  ready = video;
  part("ready").hidden = false;
  part("ready-prompt").textContent = video.settings.prompt;
  say(words.ready_quietly);
}

function hideReady() {
  ready = null;
  part("ready").hidden = true;
}

function show() {
  const before = focus && focus.phase_text;
  const watched = active.filter((job) => !stopped.has(job.id));
  const resting = active.filter((job) => stopped.has(job.id));
  focus = watched.find((job) => job.id === wanted) || watched[0] || null;
  wanted = focus && focus.id;
  focusSeenAt = performance.now();
  stage.dataset.state = focus ? "under-way" : resting.length ? "stopped" : "empty";
  showOthers(focus ? active.filter((job) => job !== focus) : resting.slice(1));
  if (!focus) {
    part("stopped-prompt").textContent = resting.length ? resting[0].prompt : "";
    part("stopped-keep").textContent = keepText();
    if (!document.hidden) hunyuan.titled("");
    return;
  }
  stage.dataset.late = focus.is_late;
  part("phase").textContent = focus.phase_text;
  part("usual").textContent = focus.usual_text;
  part("note").textContent = focus.note_text;
  part("prompt").textContent = focus.prompt;
  part("keep").textContent = keepText();
  part("address").hidden = !hasAddress();
  part("ask").hidden = !focus.can_ask;
  part("cancel").hidden = !focus.can_cancel;
  part("stop").hidden = focus.can_cancel;
  if (before !== focus.phase_text) say(focus.phase_text);
  tick();
}

function showOthers(jobs) {
  const list = part("others").querySelector("ul");
  part("others").hidden = !jobs.length;
  list.replaceChildren(
    ...jobs.map((job) => {
      const row = document.createElement("li");
      const [phase, prompt] = [document.createElement("span"), document.createElement("span")];
      phase.textContent = stopped.has(job.id) ? words.stopped : job.note_text || job.phase_text;
      prompt.textContent = job.prompt;
      row.append(phase, prompt);
      if (stopped.has(job.id)) row.append(button("watch_again", () => watchAgain(job.id)));
      else if (job.can_ask) row.append(button("ask_now", (pressed) => lookAgain(job.id, pressed)));
      if (job.can_cancel) row.append(button("cancel", () => cancel(job.id)));
      return row;
    }),
  );
}

function button(word, press) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "quiet";
  made.textContent = words[word];
  made.addEventListener("click", () => press(made));
  return made;
}

// How it is found again when this page is closed: what is said here must be true of this browser.
function keepText() {
  const keeping = hunyuan.videos.keeping();
  if (keeping === "kept") return words["keep.kept"];
  if (!hasAddress()) return words["keep.everybody"];
  return words[keeping === "nothing" ? "keep.nothing" : "keep.address"];
}

function hasAddress() {
  return Boolean((props.value || {}).is_public) && hunyuan.videos.keeping() !== "kept";
}

function keepStopped() {
  if (stopped.size) tab.set(STOPPED, [...stopped].join(" "));
  else tab.remove(STOPPED);
}

function stopWatching() {
  const hadFocus = part("stop") === document.activeElement;
  stopped.add(focus.id);
  keepStopped();
  show();
  if (hadFocus && stage.dataset.state === "stopped") part("again").focus();
}

function watchAgain(id) {
  stopped.delete(id);
  keepStopped();
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

function cancel(id) {
  trigger("cancel", { job: id });
  setTimeout(poll, 400);
}

function showReconnecting() {
  part("phase").textContent = words.reconnecting;
  part("usual").textContent = "";
  part("note").textContent = words.reconnecting_help;
}

function showProblem(job) {
  if (dismissed.has(job.id)) return;
  problem = job.id;
  part("ended").hidden = false;
  part("look").hidden = !job.can_look_again;
  part("ended").dataset.status = job.status;
  part("problem-title").textContent = job.phase_text;
  part("problem").textContent = job.note_text;
  say(`${job.phase_text}. ${job.note_text}`);
  if (job.status !== "cancelled") notify(words.not_made);
}

function hideProblem(id) {
  if (id !== problem) return;
  problem = null;
  part("ended").hidden = true;
}

function dismiss(id) {
  dismissed.add(id);
  keepDismissed();
  hideProblem(id);
}

function keepDismissed() {
  kept.set(DISMISSED, [...dismissed].slice(-MOST_DISMISSED).join(" "));
}

const isTold = () => wantsNotice && hunyuan.browser.canNotify() && Notification.permission === "granted";

function showNotify() {
  part("notify").hidden = !hunyuan.browser.canNotify();
  part("notify").setAttribute("aria-pressed", isTold());
  part("notify").textContent = isTold() ? words.notify_on : words.notify;
}

async function switchNotify() {
  wantsNotice = !isTold();
  kept.set(NOTIFY, wantsNotice ? "yes" : "no");
  try {
    if (wantsNotice) await Notification.requestPermission();
  } catch {
    // Not to be asked for in a page inside another site's.
  }
  showNotify();
}

// Never the prompt: it would stand on a locked screen.
function notify(text) {
  if (!document.hidden || !isTold()) return;
  try {
    new Notification(text, { tag: "hunyuan" });
  } catch {
    // Phones allow it to service workers only; the title says it as well.
  }
}

function say(text) {
  part("heard").textContent = text;
}

function tick() {
  if (!focus) return;
  const elapsed_s = focus.elapsed_s + (performance.now() - focusSeenAt) / 1000;
  const share = focus.is_moving && focus.usual_s ? Math.min(1, elapsed_s / focus.usual_s) : 0;
  const clock = focus.is_moving ? hunyuan.clock(elapsed_s) : "";
  part("clock").textContent = clock;
  part("bar").hidden = !focus.is_moving;
  part("bar").toggleAttribute("data-unsure", !focus.usual_s);
  part("bar").setAttribute("aria-valuenow", Math.round(share * 100));
  part("bar").setAttribute("aria-label", focus.phase_text);
  part("bar").firstElementChild.style.width = `${share * 100}%`;
  hunyuan.titled(`${clock} ${focus.phase_text}`.trim());
}

function follow() {
  const value = props.value || {};
  if (!value.token) return;
  token = value.token;
  hunyuan.videos.visitorIs(token);
  if (value.job && value.job !== follow.latest) {
    follow.latest = value.job;
    followed.add(value.job);
    if (value.is_new) {
      wanted = value.job;
      hideProblem(problem);
      hideReady();
      otherTabs.postMessage("new job");
      element.scrollIntoView({ block: "nearest" });
      expect(value.job);
    }
  }
  if (value.looked_at && value.looked_at !== follow.lookedAt) {
    follow.lookedAt = value.looked_at;
    if (dismissed.delete(value.job)) keepDismissed();
    followed.add(value.job);
    if (value.job === problem) wanted = value.job;
    hideProblem(value.job);
    otherTabs.postMessage("new job");
  }
  poll();
}

hunyuan.fill(element, words);
part("cancel").addEventListener("click", () => cancel(focus.id));
part("ask").addEventListener("click", () => lookAgain(focus.id, part("ask")));
part("look").addEventListener("click", () => lookAgain(problem, part("look")));
part("stop").addEventListener("click", stopWatching);
part("again").addEventListener("click", () => {
  const resting = active.find((job) => stopped.has(job.id));
  if (resting) watchAgain(resting.id);
});
part("address").addEventListener("click", () => hunyuan.videos.send("address"));
part("notify").addEventListener("click", switchNotify);
showNotify();
part("show").addEventListener("click", () => {
  hunyuan.videos.send("ready", ready);
  hideReady();
});
for (const end of ["deleted", "gone"]) hunyuan.videos.hear(end, (id) => ready && id === ready.id && hideReady());
part("dismiss").addEventListener("click", () => {
  otherTabs.postMessage({ dismissed: problem });
  dismiss(problem);
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  if (!focus) hunyuan.titled("");
  poll();
});
window.addEventListener("online", poll);
otherTabs.addEventListener("message", ({ data }) => (data.dismissed ? dismiss(data.dismissed) : poll()));
// The answer to a click may be lost although its job is stored.
for (const name of ["hunyuan:late", "hunyuan:unanswered"]) {
  document.addEventListener(name, (event) => {
    followed.add(event.detail);
    poll();
  });
}
setInterval(tick, 500);
watch("value", follow);
follow();
