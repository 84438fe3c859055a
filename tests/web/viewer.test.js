// The dialog of one video: it saves what is wished for by then, and closes with its own video only.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { drawn, newBrowser, StandIn, settled } from "./stand_in.js";

let browser = newBrowser();
const { viewer } = await import("../../hunyuan_ui/ui/web/viewer.js");

const video = (id) => ({
  ...{ id, code: "c", width: 64, height: 36, duration_s: 3, created_at: 0 },
  ...{ facts: [], settings: { prompt: "a fox" } },
});
let page;
let part;
let dialog;

function open(id, ids = [id], kind = "") {
  browser.emit("open", { video: video(id), kind, listed: () => ids, hasMore: () => true });
}

function choose(kind) {
  part("kind").value = kind;
  part("kind").dispatchEvent(new Event("change"));
}

async function answer(path, facts) {
  await settled();
  browser.asked.find((asked) => asked.path.startsWith(path)).answer(facts);
  await settled();
}

beforeEach(() => {
  browser = newBrowser();
  page = drawn(viewer, { fields: ["seed"], sides: [320, 480], rates: [8, 12] });
  part = page.part;
  part("prompt").parentElement = new StandIn();
  part("kind").value = "mp4";
  dialog = page.element.querySelector("dialog");
});

test("a copy without settings is one in which they are left out", () => {
  const keeps = part("settings").querySelector("input");
  for (const [checked, isPlain] of [
    [true, false],
    [false, true],
  ]) {
    keeps.checked = checked;
    open("a");
    const query = new URL(part("save").href, "http://127.0.0.1").searchParams;
    assert.equal(query.has("plain"), isPlain);
    assert.equal(query.get("k"), "c");
  }
});

test("an export is offered once it is made, unless another is wished for by then", async () => {
  open("a", ["a"], "gif");
  part("make").click();
  choose("webp");
  await answer("videos/a/export.gif", { ok: true, blob: async () => ({ size: 2000 }) });
  assert.deepEqual([part("save").hidden, part("make").hidden], [true, false]);
  part("make").click();
  await answer("videos/a/export.webp", { ok: true, blob: async () => ({ size: 2000 }) });
  assert.deepEqual([part("save").hidden, part("make").hidden], [false, true]);
  assert.match(part("save").href, /export\.webp\?.*&download=1$/);
});

test("an export that the server refuses is not offered, and says why", async () => {
  open("a", ["a"], "gif");
  part("make").click();
  await answer("videos/a/export.gif", { ok: false, json: async () => ({ problem: "The disk is full." }) });
  assert.equal(part("line").textContent, "The disk is full.");
  assert.equal(part("save").hidden, true);
});

test("the dialog closes when its own video is deleted, and for no other", () => {
  open("a");
  browser.emit("deleted", "b");
  assert.equal(dialog.open, true);
  browser.emit("deleted", "a");
  assert.equal(dialog.open, false);
});

test("a dialog that is closed holds no file, and says which video was the last", () => {
  const heard = browser.hear("closed");
  let paused = 0;
  part("video").pause = () => (paused += 1);
  open("a");
  open("b");
  dialog.close();
  assert.equal(paused, 1);
  assert.deepEqual(heard, [["closed", "b"]]);
});

test("a step beyond the list is made once the next video is listed, unless another video was opened", () => {
  const heard = browser.hear("step");
  const ids = ["a", "b"];
  open("b", ids);
  part("next").click();
  assert.deepEqual(heard, []);
  ids.push("c");
  browser.emit("listed");
  assert.deepEqual(heard, [["step", "c"]]);
  open("c", ids);
  part("next").click();
  open("a", ids);
  browser.emit("listed");
  assert.deepEqual(heard, [["step", "c"]]);
});

test("a frame is saved as the one that stands there, not as one that was left since", async () => {
  const player = part("video");
  let pauses = 0;
  player.pause = () => (pauses += 1);
  open("a", ["a"], "frame");
  for (const [change, at] of /** @type {[string, number][]} */ ([
    ["seeking", 1],
    ["play", 1.5],
  ])) {
    player.currentTime = at;
    part("make").click();
    await answer(`videos/a/export.png?k=c&at=${at.toFixed(3)}`, { ok: true, blob: async () => ({ size: 2000 }) });
    assert.deepEqual([part("save").hidden, part("make").hidden], [false, true]);
    player.dispatchEvent(new Event(change));
    assert.deepEqual([part("save").hidden, part("make").hidden], [true, false]);
  }
  assert.equal(pauses, 2);
  choose("gif");
  part("make").click();
  await answer("videos/a/export.gif", { ok: true, blob: async () => ({ size: 2000 }) });
  player.dispatchEvent(new Event("seeking"));
  assert.equal(part("save").hidden, false);
});
