// The owner's page: no older answer is drawn over a newer one.

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { drawn, newBrowser, settled } from "./stand_in.js";

let browser = newBrowser();
const { owner } = await import("../../hunyuan_ui/ui/web/owner.js");
const { visitorIs } = await import("../../hunyuan_ui/ui/web/server.js");
visitorIs("0123456789abcdef".repeat(2));

const DAY = { day: "2026-11-28", usd: 1, text: "$1" };
const VALUE = {
  ...{ is_offered: true, needs_proof: false, problem: "", said: "", csv: "", opened: null, days: [DAY], axis: null },
  ...{ limits: [], warnings: [], unknown: [], doubtful: [], replicas: [], jobs: [], waiting: null, history: null },
  ...{ sum: "", more: 0, is_paused: false, is_clock_wrong: false },
};
let page;

const asked = () => page.triggered.at(-1)[1].asked;
const answer = (to, sum, more = {}) => page.receive({ ...VALUE, sum, asked: to, ...more });
const press = (name) => page.part(name).click();

beforeEach(async () => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
  browser = newBrowser();
  page = drawn(owner, VALUE);
  page.element.querySelector("details").open = true;
  await settled();
});

test("an answer that was asked for before the one that is shown is not drawn", () => {
  press("refresh");
  const older = asked();
  press("resume");
  answer(asked(), "newer", { said: "Goes on." });
  answer(older, "older");
  assert.deepEqual([page.part("sum").textContent, page.part("said").textContent], ["newer", "Goes on."]);
  press("refresh");
  answer(asked(), "newest");
  assert.equal(page.part("sum").textContent, "newest");
});

test("what an older press has brought is not dropped", () => {
  press("resume");
  const older = asked();
  press("refresh");
  answer(asked(), "newer");
  answer(older, "of the press", { said: "Goes on." });
  assert.equal(page.part("said").textContent, "Goes on.");
});

test("while a press is on its way nothing is asked beside it, whose answer could be the older one", () => {
  browser.emit("ended");
  assert.equal(page.triggered.length, 1);
  answer(asked(), "");
  press("resume");
  browser.emit("ended");
  assert.deepEqual(
    page.triggered.map(([name]) => name),
    ["refresh", "resume"],
  );
});

test("each button of a list has a name of its own", () => {
  const entry = (id) => ({ id, text: `Sent ${id}.`, request: "", can: { confirm: true, correct: false } });
  const names = (one) => [one.getAttribute?.("aria-label"), ...(one.children ?? []).flatMap(names)].filter(Boolean);
  answer(1, "", { unknown: [entry("a"), entry("b")], doubtful: [entry("c"), entry("d")] });
  const all = [page.part("unsettled"), page.part("doubts")].flatMap(names);
  assert.deepEqual([all.length, new Set(all).size], [6, 6]);
  assert.ok(all[0].endsWith("Sent a."));
});

/** Press where something is decided, by the clock of events; return whether the press went through. */
function pressAt(where, timeStamp) {
  const event = new Event("click", { cancelable: true });
  Object.defineProperty(event, "timeStamp", { value: timeStamp });
  page.part(where).dispatchEvent(event);
  return !event.defaultPrevented;
}

for (const [what, where, before, after] of /** @type {[string, string, any, any][]} */ ([
  ["the next job to be settled", "unsettled", { unknown: ["a", "b"] }, { unknown: ["b"] }],
  ["the next cost in doubt", "doubts", { doubtful: ["a", "b"] }, { doubtful: ["b"] }],
  ["the button that lets spending go on", "paused", {}, { is_paused: true }],
  ["what stood below that button", "unsettled", { is_paused: true, unknown: ["a"] }, { unknown: ["a"] }],
]))
  test(`a press that is as old as what came under it decides nothing: ${what}`, () => {
    const entry = (id) => ({ id, text: id, request: "", can: {}, corrections: [] });
    const told = (value) =>
      Object.fromEntries(Object.entries(value).map(([name, one]) => [name, Array.isArray(one) ? one.map(entry) : one]));
    answer(1, "", told(before));
    mock.timers.tick(500);
    assert.ok(pressAt(where, 1000));
    answer(2, "", told(before));
    assert.ok(pressAt(where, 1100));
    answer(3, "", told(after));
    assert.ok(!pressAt(where, 1200));
    mock.timers.tick(500);
    assert.ok(pressAt(where, 2000));
  });
