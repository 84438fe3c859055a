// The page that follows jobs: no click is settled by what is not its job, and no job is given up too soon.

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { drawn, newBrowser, settled } from "./stand_in.js";

let browser = newBrowser();
const { watch } = await import("../../hunyuan_ui/ui/web/watch.js");

const TOKEN = "0123456789abcdef".repeat(2);
const job = (id, facts = {}) => ({
  id,
  status: "running",
  is_active: true,
  phase_text: "Rendering",
  prompt: id,
  ...facts,
});
const ended = (id, facts = {}) =>
  job(id, { status: "failed", is_active: false, phase_text: "Failed", again_text: "", ...facts });
const video = (id) => ({ id, code: "c", width: 64, height: 64, facts: [], settings: { prompt: id } });
const done = (id) => ended(id, { status: "done", video: video(id) });
let answered;
let left; // the click that had no answer before the reload
let card;

async function wait(ms) {
  mock.timers.tick(ms);
  await settled();
}

const jobs = (...those) => browser.answer("jobs", { jobs: those, next_poll_s: 5, version: "1" });
const one = (id, told) => browser.answer(`jobs/${id}?within_s=0`, { version: "1", ...told });

async function open(value = {}) {
  card = drawn(watch, { token: TOKEN, is_public: true, ...value }, { showcase: [] });
  await jobs();
}

beforeEach(async () => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  browser = newBrowser();
  answered = [];
  left = null;
  browser.window.hunyuan = {
    answered(id) {
      answered.push(id);
      if (left === id) left = null;
    },
    partly: (id) => answered.push(`partly ${id}`),
    form: { refresh: () => answered.push("refresh") },
    left: () => left,
    settled: () => answered.push("settled"),
    unsent: (id) => left === id && answered.push(`unsent ${id}`),
  };
  await open();
});

for (const sign of ["late", "unanswered"])
  test(`a click that is ${sign} is answered by its job, and by nothing that the server does not know`, async () => {
    browser.emit(sign, "click-1");
    await jobs();
    await one("click-1", {});
    assert.deepEqual(answered, []);
    browser.emit(sign, "click-1");
    await jobs(job("click-1"));
    assert.deepEqual(answered, ["click-1"]);
    assert.equal(card.part("prompt").textContent, "click-1");
  });

test("a click is answered by its jobs once all of them are stored", async () => {
  browser.emit("unanswered", "click-1");
  await jobs(job("click-1", { is_whole: false }));
  assert.deepEqual(answered, ["partly click-1"]);
  browser.emit("late", "click-1");
  await jobs(job("click-1", { is_whole: true }));
  assert.deepEqual(answered, ["partly click-1", "click-1"]);
});

test("a click whose answer is on its way is looked for, and shown as soon as the server has it", async () => {
  const heard = browser.hear("begun");
  browser.emit("sending", "click-1");
  await wait(30);
  await browser.answer("jobs/click-1?within_s=1", { version: "1" });
  assert.deepEqual([answered, heard], [[], []]);
  await wait(60);
  await browser.answer("jobs/click-1?within_s=1", { version: "1", ...job("click-1") });
  assert.deepEqual(heard, [["begun", "click-1"]]);
  assert.deepEqual(browser.said, ["new job"]);
  assert.equal(card.part("prompt").textContent, "click-1");
});

for (const [what, isReached] of /** @type {[string, boolean][]} */ ([
  ["ends its sending if the server answers nothing at all", false],
  ["goes on if the server answers once", true],
]))
  test(`a click whose job is not found ${what}`, async () => {
    browser.emit("sending", "click-1");
    for (const ms of [30, 60, 120, 240]) {
      assert.deepEqual(answered, []);
      await wait(ms);
      if (isReached && ms === 60) await browser.answer("jobs/click-1?within_s=1", { version: "1" });
      else await browser.answer("jobs/click-1?within_s=1", {}, 502);
    }
    assert.deepEqual(answered, isReached ? [] : ["settled"]);
  });

test("a new job is asked about twice before it is taken for none, and its end is told once", async () => {
  const heard = browser.hear("ready", "ended", "done");
  card.receive({ token: TOKEN, is_new: true, job: "click-1", told: [] });
  await browser.answer("jobs/click-1?within_s=1", { version: "1" });
  browser.emit("returned");
  await jobs();
  await one("click-1", done("click-1"));
  await browser.answer("jobs/click-1?within_s=1", { version: "1", ...done("click-1") });
  await wait(500);
  await jobs();
  assert.deepEqual(
    heard.map(([name]) => name),
    ["ready", "ended", "done"],
  );
  assert.deepEqual(card.triggered, [["ended", undefined]]);
});

test("a job that ends unwatched does not take the place of what is shown", async () => {
  const heard = browser.hear("ready");
  browser.emit("returned");
  await jobs(job("a"));
  card.part("stop").click();
  const state = () => card.element.querySelector(".job-card").dataset.state;
  assert.equal(state(), "stopped");
  card.part("again").click();
  assert.equal(state(), "under-way");
  card.part("stop").click();
  await jobs(job("a"));
  await wait(5000);
  await jobs();
  await one("a", done("a"));
  assert.deepEqual(heard, []);
  assert.equal(card.part("ready").hidden, false);
  browser.emit("deleted", "another");
  assert.equal(card.part("ready").hidden, false);
  browser.emit("deleted", "a");
  assert.equal(card.part("ready").hidden, true);
});

for (const [what, value] of [
  ["that is shown already", { shown: "a" }],
  ["when a new click begins", { is_new: true, job: "b", told: [] }],
])
  test(`a video that ended unwatched is not announced ${what}`, async () => {
    browser.emit("returned");
    await jobs(job("a"));
    card.part("stop").click();
    if (value.shown) card.props.value = { token: TOKEN, ...value };
    await wait(5000);
    await jobs();
    card.part("ready").hidden = true;
    await one("a", done("a"));
    assert.equal(card.part("ready").hidden, Boolean(value.shown));
    card.receive({ token: TOKEN, ...value });
    assert.equal(card.part("ready").hidden, true);
  });

test("a problem makes way for the job of a click that saw it, and one that came later stays", async () => {
  const fail = async (id) => {
    browser.emit("returned");
    await jobs(job(id));
    browser.emit("returned");
    await jobs();
    await one(id, ended(id));
  };
  await fail("a");
  browser.emit("sending", "click-1");
  card.receive({ token: TOKEN, is_new: true, job: "click-1", told: [ended("click-1", { status: "cancelled" })] });
  assert.equal(card.part("ended").dataset.status, "cancelled");
  card.part("ended").hidden = true;
  await fail("b");
  browser.emit("sending", "click-2");
  await fail("c");
  card.receive({ token: TOKEN, is_new: true, job: "click-2", told: [] });
  assert.equal(card.part("ended").hidden, false);
  browser.emit("sending", "click-3");
  card.receive({ token: TOKEN, is_new: true, job: "click-3", told: [] });
  assert.equal(card.part("ended").hidden, true);
});

test("of the videos of one click a cancelled one is no problem, a failed one is, and none takes their place", async () => {
  const heard = browser.hear("ready");
  browser.emit("together", ["a", "b", "c"]);
  browser.emit("returned");
  await jobs(job("a"), job("b"), job("c"));
  card.part("ended").hidden = true;
  for (const [id, status] of [
    ["a", "cancelled"],
    ["b", "failed"],
  ]) {
    browser.emit("returned");
    await jobs(...(id === "a" ? [job("b")] : []), job("c"));
    await one(id, ended(id, { status }));
    assert.equal(card.part("ended").hidden, status === "cancelled");
  }
  browser.emit("returned");
  await jobs();
  await one("c", done("c"));
  assert.deepEqual(heard, []);
});

test("a visitor who has left the tab is notified of a video and of a failure, and not of their own cancellation", async (t) => {
  const notified = [];
  const Notification = class {
    static permission = "granted";
    static requestPermission = async () => {};
    constructor(text) {
      notified.push(text);
    }
  };
  Object.assign(globalThis, { isSecureContext: true, Notification });
  t.after(() => delete (/** @type {any} */ (globalThis).Notification));
  card.part("notify").click();
  browser.page.hidden = true;
  for (const end of [done("a"), ended("b", { status: "cancelled" }), ended("c")]) {
    browser.emit("returned");
    await jobs(job(end.id));
    browser.emit("returned");
    await jobs();
    await one(end.id, end);
  }
  assert.deepEqual(notified, ["<ready>", "<not_made>"]);
});

test("a problem that was read in any tab is shown in none", async () => {
  browser.emit("returned");
  await jobs(job("a"));
  browser.emit("returned");
  await jobs();
  await one("a", ended("a"));
  assert.equal(card.part("ended").hidden, false);
  card.part("dismiss").click();
  assert.equal(card.part("ended").hidden, true);
  assert.deepEqual(browser.said, [{ dismissed: "a" }]);
  browser.emit("returned");
  await jobs(job("b"));
  browser.hearsFromTab("hunyuan", { dismissed: "b" });
  card.part("ended").hidden = true;
  browser.emit("returned");
  await jobs();
  await one("b", ended("b"));
  assert.equal(card.part("ended").hidden, true);
});

test("a job that another tab has begun is asked for", async () => {
  const before = browser.count("jobs");
  browser.hearsFromTab("hunyuan", "new job");
  browser.emit("list-going");
  await jobs();
  assert.equal(browser.count("jobs"), before + 2);
});

test("a server that fails is asked again and ends nothing", async () => {
  browser.emit("returned");
  await jobs(job("a"));
  browser.emit("returned");
  await browser.answer("jobs", {}, 503);
  assert.equal(card.part("phase").textContent, "<reconnecting>");
  await wait(1000);
  await jobs(job("a"));
  assert.equal(card.part("phase").textContent, "Rendering");
  await wait(5000);
  await jobs();
  await browser.answer("jobs/a?within_s=0", { problem: "Not now." }, 503);
  await wait(1000);
  await jobs();
  await one("a", ended("a"));
  assert.equal(card.part("ended").hidden, false);
});

test("a click whose answer has come is not looked for any longer", async () => {
  browser.emit("sending", "click-1");
  card.receive({ token: TOKEN, is_new: true, job: "click-1", told: [] });
  await browser.answer("jobs/click-1?within_s=1", { version: "1", ...job("click-1") });
  await wait(30);
  assert.equal(browser.count("jobs/click-1?within_s=1"), 1);
});

test("a page of an older program is loaded again", async () => {
  const heard = browser.hear("leaving");
  browser.emit("returned");
  await browser.answer("jobs", { jobs: [], next_poll_s: 5, version: "2" });
  assert.deepEqual([browser.reloads, heard.length], [1, 1]);
});

test("the videos of one click are followed with the first of them, and their watching ends together", async () => {
  const heard = browser.hear("click");
  const click = { id: "a", jobs: ["a", "b"] };
  browser.emit("late", "a");
  await jobs(job("a", { click }));
  await one("b", { ...job("b"), click });
  assert.deepEqual(heard[0], ["click", click]);
  browser.emit("together", click.jobs);
  browser.emit("returned");
  await jobs(job("a", { click }), job("b", { click }));
  card.part("stop").click();
  assert.equal(sessionStorage.held.hunyuan_stopped, "a b");
  heard.length = 0;
  browser.emit("together", []);
  browser.emit("returned");
  await jobs(job("a", { click }), job("b", { click }));
  assert.deepEqual(heard, []);
});

test("the videos of an earlier click are not followed by a page that has just opened", async () => {
  const heard = browser.hear("click");
  await open({ job: null, click: { id: "a", jobs: ["a", "b"] } });
  assert.deepEqual(heard, []);
  assert.equal(browser.count("jobs/a?within_s=0"), 0);
});

test("a job is cancelled or its run stopped where that can be, and left alone where it cannot", async () => {
  for (const [facts, text] of [
    [{ can_cancel: true }, "<cancel>"],
    [{ can_stop: true }, "<stop_run>"],
    [{ can_ask: true }, null],
    [{}, null],
  ]) {
    browser.emit("returned");
    await jobs(job("a", facts));
    const button = card.part("cancel");
    assert.equal(button.hidden ? null : button.textContent, text);
    assert.equal(Boolean(card.part("stop").hidden), text === "<cancel>"); // its watching need not be stopped
    assert.equal(card.part("ask").hidden, !facts.can_ask);
  }
});

test("a visitor whose videos are found again without an address is offered none, also in public", async () => {
  assert.equal(card.props.value.is_public, true);
  browser.emit("returned");
  await jobs(job("a"));
  assert.deepEqual([card.part("keep").textContent, card.part("address").hidden], ["<keep.kept>", true]);
});

test("whoever must bring a key again for a job is not told that the tab can be closed", async () => {
  for (const needs_key of [true, false]) {
    browser.emit("returned");
    await jobs(job("a", { needs_key }));
    assert.equal(card.part("keep").textContent, needs_key ? "" : "<keep.kept>");
    card.part("stop").click();
    assert.equal(card.part("stopped-keep").textContent, needs_key ? "" : "<keep.kept>");
    card.part("again").click();
    await jobs(job("a", { needs_key }));
  }
});

test("a retry takes its predecessor away in every tab, and renews the price", async () => {
  card.receive({ token: TOKEN, is_new: true, job: "b", told: [], again_of: "a" });
  assert.deepEqual(browser.said, ["new job", { dismissed: "a" }]);
  assert.deepEqual(answered, ["refresh"]);
});

test("a lost video's card makes way for another one that is made, and comes back when that has ended", async () => {
  browser.emit("returned");
  await jobs(job("a"));
  browser.emit("returned");
  await jobs();
  await one("a", ended("a", { status: "lost", can_look_again: true }));
  browser.emit("sending", "b");
  card.receive({ token: TOKEN, is_new: true, job: "b", told: [job("b")] });
  assert.equal(card.part("ended").hidden, true);
  await browser.answer("jobs/b?within_s=1", { version: "1", ...done("b") });
  assert.deepEqual([card.part("ended").hidden, card.part("look").hidden], [false, false]);
  assert.equal(card.part("ended-prompt").textContent, "a");
});

test("a lost job that is looked for again is followed again, although its end was read", async () => {
  const heard = browser.hear("ready");
  browser.emit("returned");
  await jobs(job("a"));
  browser.emit("returned");
  await jobs();
  await one("a", ended("a", { status: "lost" }));
  card.part("look").click();
  assert.deepEqual(card.triggered, [["look_again", { job: "a" }]]);
  card.part("dismiss").click();
  card.receive({ token: TOKEN, job: "a", looked_at: 5 });
  assert.equal(card.part("ended").hidden, true);
  assert.equal(browser.said.at(-1), "new job");
  await jobs();
  await one("a", ended("a", { status: "lost" }));
  assert.equal(card.part("ended").hidden, false);
  card.receive({ token: TOKEN, job: "a", looked_at: 6 });
  assert.equal(card.part("ended").hidden, true);
  await jobs();
  await one("a", done("a"));
  assert.equal(heard.length, 1);
  const { length } = browser.said;
  card.receive({ token: TOKEN, job: "a", looked_at: 6 });
  assert.equal(browser.said.length, length);
});

test("a lost job that is looked for again elsewhere is no longer said to be lost", async () => {
  const lost = ended("a", { status: "lost", can_look_again: true });
  const lose = async () => {
    browser.emit("returned");
    await jobs(job("a"));
    browser.emit("returned");
    await jobs();
    await one("a", lost);
    assert.equal(card.part("ended").hidden, false);
  };
  await lose();
  browser.hearsFromTab("hunyuan", "new job");
  await jobs(job("a"));
  assert.equal(card.part("ended").hidden, true);
  browser.emit("returned");
  await jobs();
  await one("a", done("a"));
  assert.equal(card.part("ended").hidden, true);
  await lose(); // the end of another attempt is news
});

test("a job that is looked for again from its card is the one that is shown", async () => {
  browser.emit("returned");
  await jobs(job("a"));
  browser.emit("returned");
  await jobs(job("b"));
  await one("a", ended("a", { status: "lost", can_look_again: true }));
  card.part("look").click();
  card.receive({ token: TOKEN, job: "a", looked_at: 5 });
  await jobs(job("b"), job("a"));
  assert.equal(card.part("prompt").textContent, "a");
});

for (const name of ["try-again", "look"])
  test(`a second press on ${name} is none before the first one should have been answered`, async () => {
    browser.emit("returned");
    await jobs(job("a"));
    browser.emit("returned");
    await jobs();
    await one("a", ended("a", { can_look_again: true }));
    card.part(name).click();
    assert.equal(card.part(name).getAttribute("aria-disabled"), "true");
    await wait(3000);
    assert.equal(card.part(name).getAttribute("aria-disabled"), null);
  });

for (const [what, told, outcome] of [
  ["is under way", job("click-0"), "click-0"],
  ["has ended", done("click-0"), "click-0"],
  ["has lost some of its videos", job("click-0", { is_whole: false }), "partly click-0"],
  ["has lost some of its videos, and ended", { ...done("click-0"), is_whole: false }, "partly click-0"],
  ["was not received", {}, "unsent click-0"],
])
  test(`a click that had no answer before a reload is looked for, and ${what}`, async () => {
    const ready = browser.hear("ready");
    left = "click-0";
    card = drawn(watch, { token: TOKEN, is_public: true }, { showcase: [] });
    await wait(1);
    await browser.answer("jobs/click-0?within_s=1", { version: "1", ...told });
    for (const wait_ms of told.status ? [] : [2000, 4000]) {
      assert.deepEqual(answered, []); // it may still be on its way, or being stored
      await wait(wait_ms);
      await browser.answer("jobs/click-0?within_s=1", { version: "1" });
    }
    assert.deepEqual(answered, [outcome]);
    assert.equal(ready.length, Number(told.status === "done"));
  });

test("a click that had no answer is shown if it is stored late, and left to the new click once it is sent again", async () => {
  const ready = browser.hear("ready");
  for (const again of [false, true]) {
    left = "click-0";
    card = drawn(watch, { token: TOKEN, is_public: true }, { showcase: [] });
    await wait(1);
    await browser.answer("jobs/click-0?within_s=1", { version: "1" });
    await wait(2000);
    if (again) left = null;
    await browser.answer("jobs/click-0?within_s=1", { version: "1", ...done("click-0") });
    await wait(60000);
  }
  assert.equal(ready.length, 1);
  assert.deepEqual(
    answered.filter((what) => what.includes("click-0")),
    ["click-0"],
  );
});

for (const [whose, told, status] of [
  ["the server", { version: "1" }, 503],
  ["a login in between", { detail: "Sign in." }, 401],
  ["a limit in between", { error: "Too many requests." }, 429],
  ["a gateway in between", { message: "no route" }, 404],
])
  test(`a click that had no answer is looked for until the server is there, also past ${status} of ${whose}`, async () => {
    left = "click-0";
    card = drawn(watch, { token: TOKEN, is_public: true }, { showcase: [] });
    await wait(1);
    for (let tries = 0; tries < 3; tries += 1) {
      await browser.answer("jobs/click-0?within_s=1", told, status);
      await wait(5000);
      await wait(1);
    }
    assert.deepEqual(answered, []);
    await browser.answer("jobs/click-0?within_s=1", { version: "1", ...job("click-0") });
    assert.deepEqual(answered, ["click-0"]);
  });

test("what stands between the page and its server ends no job and loads no page anew", async () => {
  const heard = browser.hear("ended");
  browser.emit("list-going");
  await jobs(job("a"));
  await wait(5000);
  await browser.answer("jobs", { error: "Too many requests." }, 429);
  await wait(1000);
  await jobs();
  await browser.answer("jobs/a?within_s=0", { detail: "Sign in." }, 401);
  await wait(2000);
  await jobs();
  await one("a", ended("a"));
  await wait(500);
  assert.deepEqual(heard, [["ended", "a"]]);
  assert.equal(browser.reloads, 0);
});

test("what a wait is for is told with its phase, once, and again only once it takes longer than usual", async () => {
  const said = [];
  Object.defineProperty(card.part("heard"), "textContent", { set: (text) => said.push(text) });
  const follow = async (facts) => {
    browser.emit("list-going");
    await jobs(job("click-1", { is_late: false, note_text: "", ...facts }));
  };
  await follow({ phase_text: "Paused", note_text: "The limit is reached. Again in 59 s." });
  await follow({ phase_text: "Paused", note_text: "The limit is reached. Again in 57 s." });
  for (const is_late of [false, false, true, true]) await follow({ is_late, note_text: is_late ? "Long." : "" });
  assert.deepEqual(said, ["Paused. The limit is reached. Again in 59 s.", "Rendering", "Rendering. Long."]);
});

for (const [progress, text] of [
  [null, "0:30 usually 4 min"],
  [37, "37%"],
])
  test(`no percentage is read out that the service has not given: ${progress}`, async () => {
    browser.emit("list-going");
    await jobs(job("click-1", { is_moving: true, elapsed_s: 30, usual_s: 240, usual_text: "usually 4 min", progress }));
    assert.equal(card.part("bar").getAttribute("aria-valuetext"), text);
  });
