import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { announceReturns, isOutdated, noteTime, serverNow } from "../../hunyuan_ui/ui/web/wake_up.js";

const at = (text) => Date.parse(`2026-11-${text}Z`);

test("what the page shows is out of date after a sleep and after midnight by UTC", () => {
  for (const [before, now, expected] of [
    ["27T12:00:00", "27T12:01:00", false],
    ["27T12:00:00", "27T12:02:30", false],
    ["27T12:00:00", "27T20:00:00", true],
    ["27T23:59:30", "28T00:00:30", false], // for a server whose clock is a little behind
    ["28T00:00:30", "28T00:01:30", true],
    ["28T00:01:30", "27T23:00:00", true],
  ])
    assert.equal(isOutdated(at(before), at(now)), expected, `${before} ${now}`);
});

test("a page that was hidden, without a line or asleep looks again once it is seen", () => {
  mock.timers.enable({ apis: ["setInterval", "Date"], now: at("27T12:00:00") });
  const [page, window] = [new EventTarget(), new EventTarget()];
  Object.assign(globalThis, { window });
  globalThis.document = Object.assign(page, { hidden: false });
  let returned = 0;
  page.addEventListener("hunyuan:returned", () => (returned += 1));
  announceReturns();
  const says = (expected, act) => {
    act();
    assert.equal(returned, expected);
  };
  says(1, () => page.dispatchEvent(new Event("visibilitychange")));
  says(2, () => window.dispatchEvent(new Event("online")));
  says(2, () => mock.timers.tick(60000));
  says(3, () => {
    mock.timers.setTime(at("27T20:00:00"));
    mock.timers.tick(60000);
  });
  says(3, () => mock.timers.tick(180000));
  page.hidden = true;
  says(3, () => page.dispatchEvent(new Event("visibilitychange")));
  mock.timers.reset();
});

for (const [of, ahead_ms] of /** @type {[string, number][]} */ ([
  ["an hour ahead", 3600000],
  ["an hour behind", -3600000],
  ["a day behind", -86400000],
]))
  test(`midnight is the server's, also where this computer's clock is ${of}`, () => {
    const here = (text) => at(text) + ahead_ms;
    mock.timers.enable({ apis: ["setInterval", "Date"], now: here("27T22:58:30") });
    const page = Object.assign(new EventTarget(), { hidden: false });
    Object.assign(globalThis, { window: new EventTarget(), document: page });
    let returned = 0;
    page.addEventListener("hunyuan:returned", () => (returned += 1));
    noteTime(new Date(at("27T22:58:30")).toUTCString());
    for (const wrong of [null, "", "application/json"]) noteTime(wrong);
    announceReturns();
    assert.equal(serverNow(), at("27T22:58:30"));
    const pass = (minutes) => Array.from({ length: minutes }, () => mock.timers.tick(60000));
    pass(61);
    assert.equal(returned, 0);
    pass(3);
    assert.equal(returned, 1);
    noteTime(new Date(Date.now()).toUTCString());
    mock.timers.reset();
  });
