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

test("a press stays the only one until its own answer comes, whatever was asked before it", () => {
  const isBusy = () => page.element.hasAttribute("aria-busy");
  browser.emit("ended");
  const quiet = asked();
  press("resume");
  const own = asked();
  answer(quiet, "before the press");
  assert.ok(isBusy());
  press("resume");
  assert.equal(asked(), own);
  answer(own, "", { said: "Goes on." });
  assert.ok(!isBusy());
  mock.timers.tick(14000);
  press("resume");
  mock.timers.tick(2000); // the time of the first press is over, not this one's
  assert.ok(isBusy());
  browser.emit("failed", "owner");
  assert.ok(!isBusy());
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

const entryOf = (id, can = {}) => ({ id, text: id, request: "", can, corrections: [] });

test("a decision is sent as it was pressed, and a second one not before the first is answered", () => {
  const decide = (at) => page.part("unsettled").children[0].children[1].children[at].click();
  const decisions = () => page.triggered.filter(([name]) => name === "settle").map(([, data]) => data.was_charged);
  answer(1, "", { unknown: [entryOf("a")] });
  decide(0);
  decide(1);
  press("resume");
  assert.deepEqual(decisions(), [true]);
  assert.equal(page.triggered.at(-1)[1].job, "a");
  answer(asked(), "", { unknown: [entryOf("b")], said: "Settled." });
  decide(1);
  assert.deepEqual(decisions(), [true, false]);
  assert.equal(page.triggered.at(-1)[1].job, "b");
});

test("an answer waits for what an input method is composing, whose box it would replace", () => {
  const row = () => page.part("doubts").children[0];
  const show = (id) => answer(page.triggered.length && asked(), id, { doubtful: [entryOf(id, { correct: true })] });
  show("a");
  const typedIn = row();
  page.element.dispatchEvent(new Event("compositionstart"));
  browser.emit("ended");
  show("b");
  assert.equal(row(), typedIn);
  page.element.dispatchEvent(new Event("compositionend"));
  mock.timers.tick(0);
  assert.notEqual(row(), typedIn);
  assert.equal(page.part("sum").textContent, "b");
  const drawnAt = row();
  page.element.dispatchEvent(new Event("compositionend"));
  mock.timers.tick(0);
  assert.equal(row(), drawnAt);
});

test("what is typed for a correction stays over answers until it was taken", () => {
  const form = () => page.part("doubts").children[0].children[1];
  const amount = () => form().children[0].children[1];
  const show = (more) =>
    answer(page.triggered.length && asked(), "", { doubtful: [entryOf("a", { correct: true })], ...more });
  show({});
  amount().value = "2";
  amount().dispatchEvent(new Event("input"));
  for (const [more, kept] of [
    [{}, "2"],
    [{ problem: "Not now." }, "2"],
    [{ said: "Corrected." }, ""],
  ]) {
    Object.assign(form().elements, { usd: { valueAsNumber: 2 }, note: { value: "" } });
    form().dispatchEvent(new Event("submit", { cancelable: true }));
    assert.deepEqual([page.triggered.at(-1)[0], page.triggered.at(-1)[1].cost_usd], ["correct", 2]);
    show(more);
    assert.equal(amount().value, kept);
  }
});

test("what nobody asked for and fails says nothing, and what a press asked for does", () => {
  answer(0, "");
  browser.emit("ended");
  browser.emit("failed", "owner");
  assert.equal(page.part("problem").textContent, "");
  press("refresh");
  browser.emit("failed", "owner");
  assert.equal(page.part("problem").textContent, "<gallery.unreachable>");
});

test("a lost video that is looked for is asked about until that has ended", () => {
  const lost = { ...entryOf("a", { look_again: true }), when: "", status: "", payer: "", cost: "", took: "", what: "" };
  const refreshes = () => page.triggered.filter(([name]) => name === "refresh").length;
  answer(0, "", { jobs: [lost] });
  page.part("jobs").children[0].children[6].children[0].click(); // in the column of actions
  assert.equal(page.triggered.at(-1)[0], "look_again");
  for (const [isActive, count] of [
    [true, 1],
    [true, 2],
    [false, 2],
  ]) {
    answer(asked(), "", { jobs: [{ ...lost, is_active: isActive }] });
    mock.timers.tick(2000);
    assert.equal(refreshes(), count);
  }
});

test("as many jobs as were asked for are asked for from then on", () => {
  answer(0, "", { more: 400 });
  press("more");
  press("refresh");
  assert.deepEqual(
    page.triggered.map(([, { count }]) => count),
    [400, 400],
  );
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
    const drawnOf = (one) => (Array.isArray(one) ? one.map((id) => entryOf(id)) : one);
    const told = (value) => Object.fromEntries(Object.entries(value).map(([name, one]) => [name, drawnOf(one)]));
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

test("a table is saved by the press that asked for it, and by no other answer", () => {
  let saved = 0;
  const { createObjectURL } = URL;
  URL.createObjectURL = () => {
    saved += 1;
    return "blob:";
  };
  for (const [csv, count] of /** @type {[string, number][]} */ ([
    ["", 0],
    ["a,b", 1],
    ["", 1],
  ])) {
    press("refresh");
    answer(asked(), "", { csv });
    assert.equal(saved, count);
  }
  URL.createObjectURL = createObjectURL;
});
