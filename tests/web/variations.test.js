// The videos of one click: each keeps its place, and what is gone is in none.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { drawn, newBrowser } from "./stand_in.js";

let browser = newBrowser();
const { variations } = await import("../../hunyuan_ui/ui/web/variations.js");

const video = (id) => ({ id, code: "c", width: 64, height: 64, settings: { seed: `seed of ${id}` } });
const going = (id, facts = {}) => ({ id, is_active: true, can_cancel: true, phase_text: "Waiting", ...facts });
const done = (id) => ({ id, is_active: false, video: video(id) });
const CLICK = { id: "a", jobs: ["a", "b", "c"] };
let part;
let heard;

const tile = (at) => part.part("tiles").children[at];
const isShown = () => !part.element.querySelector(".variations").hidden;
const phase = (at) => tile(at).querySelector(".phase").textContent;
const compare = (at) => tile(at).querySelector("[data-do=compare]").click();

beforeEach(() => {
  browser = newBrowser();
  heard = browser.hear("together", "compare", "cancel", "try-again", "seed");
  part = drawn(variations);
  browser.emit("click", CLICK);
  browser.emit("jobs", [going("a"), going("b"), going("c")]);
  heard.length = 0;
});

test("a late answer does not take a finished video back", () => {
  browser.emit("jobs", [done("b")]);
  browser.emit("jobs", [going("a", { phase_text: "Rendering" }), going("b")]);
  assert.deepEqual([phase(0), phase(1)], ["Rendering", ""]);
  assert.equal(tile(1).querySelector(".tile-button").disabled, false);
});

test("only those that can still be cancelled are", () => {
  browser.emit("jobs", [done("a"), going("b", { can_cancel: false })]);
  part.part("cancel").click();
  assert.deepEqual(heard, [["cancel", ["c"]]]);
});

test("a video that is deleted leaves its place, and the last one is not shown alone", () => {
  browser.emit("deleted", "another");
  assert.equal(heard.length, 0);
  browser.emit("deleted", "b");
  assert.deepEqual(heard, [["together", ["a", "c"]]]);
  assert.equal(part.part("tiles").children.length, 2);
  browser.emit("deleted", "a");
  assert.deepEqual(heard.at(-1), ["together", []]);
  assert.ok(!isShown());
});

test("the first of a comparison is no longer that once it is deleted, and stays it when another is", () => {
  const isFirst = (at) => tile(at).querySelector("[data-do=compare]").getAttribute("aria-pressed");
  browser.emit("jobs", [done("a"), done("b"), done("c")]);
  compare(0);
  browser.emit("deleted", "c");
  assert.deepEqual([isFirst(0), isFirst(1)], ["true", "false"]);
  browser.emit("click", CLICK);
  browser.emit("deleted", "a");
  assert.deepEqual([isFirst(0), isFirst(1), part.part("line").textContent], ["false", "false", ""]);
  compare(0);
  assert.deepEqual(
    heard.filter(([name]) => name === "compare"),
    [],
  );
  browser.emit("ready", video("d"));
  assert.equal(part.part("line").textContent, "");
});

test("the second that is chosen is compared with the first, and a new click begins without one", () => {
  browser.emit("jobs", [done("a"), done("b"), done("c")]);
  compare(1);
  compare(1);
  assert.deepEqual(heard, []);
  compare(2);
  compare(0);
  assert.deepEqual(
    heard.map(([, { left, right }]) => [left.id, right.id]),
    [["c", "a"]],
  );
  compare(1);
  browser.emit("click", { id: "d", jobs: ["d", "e"] });
  browser.emit("jobs", [done("d"), done("e")]);
  compare(0);
  assert.equal(heard.filter(([name]) => name === "compare").length, 1);
});

test("what was closed stays closed, and another click opens", () => {
  part.part("close").click();
  assert.ok(!isShown());
  browser.emit("click", CLICK);
  assert.ok(!isShown());
  drawn(variations, { click: CLICK, jobs: [done("a")] });
  assert.deepEqual(heard, [["together", []]]);
  browser.emit("click", { id: "d", jobs: ["d", "e"] });
  assert.ok(isShown());
});

test("another video takes their place, and a retry of one of them does not", () => {
  browser.emit("begun", "b");
  assert.ok(isShown());
  browser.emit("begun", "z");
  assert.ok(!isShown());
  browser.emit("click", CLICK);
  assert.ok(isShown());
  browser.emit("ready", video("z"));
  assert.ok(!isShown());
});

test("a tile's own seed and job are meant by its buttons", () => {
  browser.emit("jobs", [done("c"), { id: "b", is_active: false, again_text: "Again", most_usd: 2 }]);
  tile(2).querySelector("[data-do=keep]").click();
  tile(1).querySelector("[data-do=again]").click();
  assert.deepEqual(heard[0], ["seed", "seed of c"]);
  assert.deepEqual(heard[1][1].id, "b");
});

test("each button that makes one of them once more has a name of its own, which begins with what it shows", () => {
  const failed = (id, seed) => ({ id, seed, is_active: false, again_text: "Try again · about $1.46", note_text: "" });
  browser.emit("jobs", [failed("a", 1), failed("b", 2), failed("c", 3)]);
  const names = [0, 1, 2].map((at) => tile(at).querySelector("[data-do=again]").getAttribute("aria-label"));
  assert.deepEqual(
    names,
    [1, 2, 3].map((seed) => `Try again · about $1.46: ${seed}`),
  );
});
