// Requests to the server: who asks, how long, and whose answer counts.

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { newBrowser, settled } from "./stand_in.js";

let browser = newBrowser();
const { ask, request, requestState, visitorIs } = await import("../../hunyuan_ui/ui/web/server.js");
const { serverNow } = await import("../../hunyuan_ui/ui/web/wake_up.js");
const TOKEN = "0123456789abcdef".repeat(2);

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
  browser = newBrowser();
});

test("nothing is asked in a visitor's name before the server knows them, and then with their token", async () => {
  const asked = ask("videos");
  await settled();
  assert.equal(browser.asked.length, 0);
  visitorIs(TOKEN);
  await settled();
  const [{ how }] = browser.asked;
  assert.deepEqual([how.headers, how.cache], [{ "x-hunyuan-visitor": TOKEN }, "no-store"]);
  await browser.answer("videos", { videos: [] });
  assert.deepEqual(await asked, { videos: [], isOk: true, httpStatus: 200 });
});

test("each answer says what time it is at the server", async () => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 0 });
  const asked = request("jobs");
  const headers = new Headers({ "content-type": "application/json", date: "Sun, 29 Nov 2026 22:00:00 GMT" });
  browser.asked[0].answer({ ok: true, status: 200, headers, json: async () => ({}) });
  await asked;
  assert.equal(serverNow(), Date.UTC(2026, 10, 29, 22));
});

for (const [what, asked_at, read_at] of [
  ["after the computer slept", 1, 8 * 3600000],
  ["after this computer's clock was set back", 3600000, 1],
])
  test(`an answer that is read ${what} does not say what time it is`, async () => {
    mock.timers.reset();
    mock.timers.enable({ apis: ["setTimeout", "Date"], now: asked_at });
    const before_ms = serverNow() - Date.now();
    const asked = request("jobs", { within_ms: 1e9 });
    mock.timers.setTime(read_at);
    const headers = new Headers({ "content-type": "application/json", date: "Sat, 28 Nov 2026 20:00:00 GMT" });
    browser.asked[0].answer({ ok: true, status: 200, headers, json: async () => ({}) });
    await asked;
    assert.equal(serverNow() - Date.now(), before_ms);
  });

for (const [what, stop] of /** @type {[string, (stopped: AbortController) => void][]} */ ([
  ["after its own time", () => mock.timers.tick(60000)],
  ["when it is no longer wished for", (stopped) => stopped.abort()],
]))
  test(`a request is given up ${what}, not before`, () => {
    const stopped = new AbortController();
    request("lists/check", { json: {}, within_ms: 60000, signal: stopped.signal });
    const { signal } = browser.asked[0].how;
    mock.timers.tick(59999);
    assert.equal(signal.aborted, false);
    stop(stopped);
    assert.equal(signal.aborted, true);
  });

for (const [what, json, status, isState] of /** @type {[string, any, number, boolean][]} */ ([
  ["the page's own server", { version: "1" }, 200, true],
  ["the page's own server about what is not there", { version: "1" }, 404, true],
  ["the page's own server when it fails", { version: "1" }, 500, false],
  ["something between", { detail: "Sign in." }, 401, false],
]))
  test(`an answer of ${what} ${isState ? "says" : "does not say"} how a job stands`, async () => {
    const asked = requestState("jobs").then(
      () => true,
      () => false,
    );
    await browser.answer("jobs", json, status);
    assert.equal(await asked, isState);
  });
