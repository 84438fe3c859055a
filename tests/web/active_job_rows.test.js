// The lines of further jobs: a press or the focus on one never becomes another one's.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { newBrowser, StandIn } from "./stand_in.js";

let browser = newBrowser();
const { createActiveRows } = await import("../../hunyuan_ui/ui/web/active_job_rows.js");

let box;
let list;
let draw;
const cancelled = [];

const job = (id, facts = {}) => ({ id, prompt: id, note_text: "waits", can_cancel: true, ...facts });
const texts = () => list.children.map((item) => item.children.map((one) => one.textContent).join(" "));

beforeEach(() => {
  browser = newBrowser();
  cancelled.length = 0;
  box = new StandIn();
  list = box.querySelector("ul");
  draw = createActiveRows(box, () => false, { watch() {}, lookAgain() {}, cancel: (id) => cancelled.push(id) });
  draw(["a", "b", "c"].map((id) => job(id)));
});

test("a line whose text changes, or above which others come and go, stays the element it was", () => {
  const [, second, third] = list.children;
  const moved = [];
  for (const one of [second, third]) one.remove = () => moved.push(one);
  draw([job("b", { note_text: "starts soon" }), job("c"), job("d")]);
  assert.deepEqual(texts(), ["starts soon b <cancel>", "waits c <cancel>", "waits d <cancel>"]);
  assert.deepEqual([list.children[0], list.children[1], moved], [second, third, []]);
  second.children[2].click();
  assert.deepEqual(cancelled, ["b"]);
});

test("a line that offers something else keeps its place, and the focus stays in it", () => {
  const second = list.children[1];
  browser.page.activeElement = second.children[2];
  second.contains = (one) => one === second.children[2];
  draw([job("a"), job("b", { can_cancel: false, can_stop: true }), job("c")]);
  assert.deepEqual(texts(), ["waits a <cancel>", "waits b <stop_run>", "waits c <cancel>"]);
  assert.deepEqual(list.children[1].querySelector("button").focused, 1);
});

test("lines follow the order of their jobs", () => {
  draw([job("c"), job("a")]);
  assert.deepEqual(texts(), ["waits c <cancel>", "waits a <cancel>"]);
});

test("a line that nobody has touched takes no focus, and without lines nothing is shown", () => {
  draw([job("a", { can_cancel: false, can_stop: true })]);
  assert.deepEqual([list.children[0].querySelector("button").focused, box.hidden], [0, false]);
  draw([]);
  assert.deepEqual([list.children, box.hidden], [[], true]);
});
