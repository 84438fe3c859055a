const ABORT_MS = 5000;
const FIRST_PICTURE_MS = 500;
const SOON_S = 1; // after a click, where refusals and quick jobs end
const LONGEST_BACK_OFF_MS = 5000;
const { words } = hunyuan;
const stage = element.querySelector(".stage");
const part = (name) => element.querySelector(`[data-part="${name}"]`);

const followed = new Set(); // seen under way here; each is asked for its end
const ignored = new Set(); // "stop watching"
const NOTIFY = "hunyuan_notify";
const canNotify = "Notification" in window && isSecureContext;
const otherTabs = new BroadcastChannel("hunyuan");
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
    const active = answer.jobs.filter((job) => !ignored.has(job.id));
    for (const job of active) {
      followed.add(job.id);
      hunyuan.answered(job.id);
    }
    const ended = [...followed].filter((id) => !answer.jobs.some((job) => job.id === id));
    for (const id of ended) await finish(id);
    show(active);
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
  ignored.delete(id);
  if (job.status === "done") {
    hunyuan.videos.send("ready", job.video);
    say(words.done);
    notify(words.ready);
    hunyuan.titled(document.hidden ? words.done : "");
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

function show(active) {
  const before = focus && focus.phase_text;
  focus = active.find((job) => job.id === wanted) || active[0] || null;
  wanted = focus && focus.id;
  focusSeenAt = performance.now();
  showOthers(active.filter((job) => job !== focus));
  if (!focus) {
    if (stage.dataset.state === "under-way") stage.dataset.state = ignored.size ? "stopped" : "empty";
    if (!document.hidden) hunyuan.titled("");
    return;
  }
  stage.dataset.state = "under-way";
  stage.dataset.late = focus.is_late;
  part("phase").textContent = focus.phase_text;
  part("usual").textContent = focus.usual_text;
  part("note").textContent = focus.note_text;
  part("prompt").textContent = focus.prompt;
  part("keep").textContent = focus.keep_text;
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
      phase.textContent = job.note_text || job.phase_text;
      prompt.textContent = job.prompt;
      row.append(phase, prompt);
      if (job.can_cancel) row.append(cancelButton(job.id));
      return row;
    }),
  );
}

function cancelButton(id) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet";
  button.textContent = words.cancel;
  button.addEventListener("click", () => cancel(id));
  return button;
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
  part("ended").hidden = false;
  part("ended").dataset.status = job.status;
  part("problem-title").textContent = job.phase_text;
  part("problem").textContent = job.note_text;
  say(`${job.phase_text}. ${job.note_text}`);
  if (job.status !== "cancelled") notify(words.not_made);
}

function wantsNotice() {
  return canNotify && Notification.permission === "granted" && localStorage.getItem(NOTIFY) === "yes";
}

function showNotify() {
  part("notify").hidden = !canNotify || Notification.permission === "denied";
  part("notify").setAttribute("aria-pressed", wantsNotice());
  part("notify").textContent = wantsNotice() ? words.notify_on : words.notify;
}

async function switchNotify() {
  const isWished = !wantsNotice();
  if (isWished && Notification.permission === "default") await Notification.requestPermission();
  localStorage.setItem(NOTIFY, isWished ? "yes" : "no");
  showNotify();
}

// Never the prompt: it would stand on a locked screen.
function notify(text) {
  if (!document.hidden || !wantsNotice()) return;
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
      part("ended").hidden = true;
      otherTabs.postMessage("new job");
      element.scrollIntoView({ block: "nearest" });
      expect(value.job);
    }
  }
  poll();
}

hunyuan.fill(element, words);
part("cancel").addEventListener("click", () => cancel(focus.id));
part("stop").addEventListener("click", () => {
  ignored.add(focus.id);
  followed.delete(focus.id);
  focus = wanted = null;
  stage.dataset.state = "stopped";
  hunyuan.titled("");
});
part("again").addEventListener("click", () => {
  for (const id of ignored) followed.add(id);
  ignored.clear();
  poll();
});
part("notify").addEventListener("click", switchNotify);
showNotify();
part("dismiss").addEventListener("click", () => {
  part("ended").hidden = true;
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  if (!focus) hunyuan.titled("");
  poll();
});
window.addEventListener("online", poll);
otherTabs.addEventListener("message", poll);
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
