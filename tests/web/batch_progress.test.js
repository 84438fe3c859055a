// The list that was sent last: followed until it has ended, also after a reload, and never another one in its place.

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { drawn, newBrowser, StandIn, settled } from "./stand_in.js";

let browser = newBrowser();
const { createListProgress } = await import("../../hunyuan_ui/ui/web/batch_progress.js");
const { visitorIs } = await import("../../hunyuan_ui/ui/web/server.js");
visitorIs("0123456789abcdef".repeat(2));

const NONE = { queued: 0, submitting: 0, running: 0, downloading: 0, not_sent: 0, done: 0, failed: 0 };
const going = (id, facts = {}) => ({
  version: "1",
  list_id: id,
  rows: 4,
  text: `${id} goes on`,
  is_running: true,
  ...NONE,
  ...facts,
});
const over = (id, done) => going(id, { text: `${id} is over`, is_running: false, done });
let dialog;
let part;
let standing;
let heard;

function open() {
  dialog = new StandIn({ open: false });
  const page = drawn(({ element }) => element);
  part = page.part;
  standing = createListProgress(dialog, part);
}

async function wait(ms) {
  mock.timers.tick(ms);
  await settled();
}

const events = () => heard.splice(0).filter(([name]) => name !== "list-line");
const line = () => heard.filter(([name]) => name === "list-line").at(-1)[1];

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
  browser = newBrowser();
  heard = browser.hear("list-going", "list-ended", "list-line");
  open();
});

test("a list is followed until it ends, its end told once, and remembered over a reload", async () => {
  standing.begin(going("a"));
  await browser.answer("lists/a", going("a"));
  await wait(2000);
  await browser.answer("lists/a", over("a", 4));
  assert.deepEqual(events(), [
    ["list-going", null],
    ["list-going", null],
    ["list-ended", null],
  ]);
  await wait(60000);
  assert.equal(browser.count("lists/a"), 2);
  open();
  await browser.answer("lists/a", over("a", 4));
  assert.equal(part("standing").hidden, false);
});

test("the answer about an older list is not that of the newer one", async () => {
  standing.follow("a");
  await settled();
  standing.begin(going("b"));
  await browser.answer("lists/a", over("a", 2));
  assert.equal(part("line").textContent, "b goes on");
});

test("a list that was asked for while another was polled is the one that is shown", async () => {
  standing.begin(going("a"));
  await settled();
  standing.follow("b");
  await browser.answer("lists/a", going("a", { text: "a still goes on" }));
  await browser.answer("lists/b", going("b"));
  assert.equal(part("line").textContent, "b goes on");
});

test("a list's videos are fetched from where the page is, and not before there are any", async () => {
  standing.begin(going("a", { zip: "/gradio_api/hunyuan/lists/a.zip?k=1" }));
  assert.equal(part("zip").href, "gradio_api/hunyuan/lists/a.zip?k=1");
  assert.equal(part("zip").hidden, false);
  standing.begin(going("b", { zip: null }));
  assert.equal(part("zip").hidden, true);
});

test("a list that is not there is let go, and one whose server fails is not", async () => {
  standing.begin(going("a"));
  await browser.answer("lists/a", {}, 503);
  assert.equal(part("standing").hidden, false);
  await wait(1000);
  await browser.answer("lists/a", { version: "1", problem: "No such list." }, 404);
  assert.equal(part("standing").hidden, true);
  assert.equal(standing.isTold(), false);
  await wait(60000);
  assert.equal(browser.count("lists/a"), 2);
});

test("a list goes on, and can be stopped, whatever answers in its server's place", async () => {
  standing.begin(going("a", { can_stop: true }));
  for (const [status, told] of [
    [401, { detail: "Sign in." }],
    [404, { message: "no route" }],
    [429, { error: "Too many requests." }],
  ]) {
    await browser.answer("lists/a", told, status);
    assert.deepEqual([part("standing").hidden, part("stop").hidden], [false, false]);
    await wait(5000);
  }
  await browser.answer("lists/a", over("a", 2));
  assert.equal(line(), "a is over");
});

test("a list that ended early is spoken of until somebody has looked, and its next run again", async () => {
  standing.begin(going("a"));
  await browser.answer("lists/a", over("a", 2));
  assert.equal(line(), "a is over");
  standing.see();
  standing.show();
  assert.equal(line(), "");
  open();
  await browser.answer("lists/a", over("a", 2));
  assert.equal(line(), "");
  standing.begin(over("a", 3));
  assert.equal(line(), "a is over");
});

test("a list that goes on is not taken for seen", async () => {
  standing.begin(going("a"));
  standing.see();
  await browser.answer("lists/a", over("a", 2));
  assert.equal(line(), "a is over");
});

test("a stop that was refused is said, and changes nothing", async () => {
  standing.begin(going("a"));
  await browser.answer("lists/a", going("a"));
  let said = standing.stop();
  await browser.answer("lists/a/stop", { problem: "Not now." }, 503);
  assert.equal(await said, "Not now.");
  assert.equal(part("line").textContent, "a goes on");
  said = standing.stop();
  await browser.answer("lists/a/stop", over("a", 1));
  assert.equal(await said, undefined);
  assert.equal(part("line").textContent, "a is over");
});

test("whoever returns to the page is told how the list stands", async () => {
  browser.emit("returned");
  await settled();
  assert.equal(browser.asked.length, 0);
  standing.begin(over("a", 4));
  await browser.answer("lists/a", over("a", 4));
  assert.deepEqual(events(), [["list-ended", null]]);
  browser.emit("returned");
  await settled();
  assert.equal(browser.count("lists/a"), 2);
});

test("an answer that was asked for before a list was sent again or stopped is not shown over theirs", async () => {
  standing.follow("a");
  await settled();
  standing.begin(going("a"));
  await browser.answer("lists/a", over("a", 1)); // how its last run ended
  assert.equal(part("line").textContent, "a goes on");
  await browser.answer("lists/a", going("a"));
  await wait(2000);
  await settled();
  const stopped = standing.stop();
  await browser.answer("lists/a/stop", over("a", 1));
  await stopped;
  events();
  await browser.answer("lists/a", going("a"));
  assert.equal(part("line").textContent, "a is over");
  assert.deepEqual(events(), []);
  await wait(2000);
  await browser.answer("lists/a", over("a", 1));
  assert.deepEqual(events(), []);
  assert.equal(browser.count("lists/a"), 4);
});

test("Stop stops the list that is shown, not one that was asked for since", async () => {
  standing.begin(going("a", { can_stop: true }));
  await browser.answer("lists/a", going("a", { can_stop: true }));
  standing.follow("b");
  standing.stop();
  await browser.answer("lists/a/stop", over("a", 1));
  assert.equal(part("line").textContent, "a is over");
});
