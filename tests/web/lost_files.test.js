// Files of the page that do not arrive: it is loaded again a few times, and says so where that does not help.

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { newBrowser } from "./stand_in.js";

globalThis.HTMLScriptElement = class {};
globalThis.HTMLLinkElement = class {};
let browser = newBrowser();
const { loadAgainWithoutFiles } = await import("../../hunyuan_ui/ui/web/lost_files.js");

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
  browser = newBrowser();
});

const isSaid = () => browser.page.body.children.length > 0;

/** The page is loaded anew, with what its tab has kept. */
function load() {
  const { sessionStorage } = globalThis;
  browser = newBrowser();
  Object.defineProperty(globalThis, "sessionStorage", { value: sessionStorage, configurable: true, writable: true });
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
  loadAgainWithoutFiles();
}

function lose(times = 1) {
  for (let time = 0; time < times; time += 1) browser.window.dispatchEvent(new Event("vite:preloadError"));
}

function fail(kind, facts) {
  const event = new Event("error");
  Object.defineProperty(event, "target", { value: Object.assign(new kind(), facts) });
  browser.window.dispatchEvent(event);
  mock.timers.tick(500);
}

test("a page without one of its files is loaded again, ever later, and then says what is wrong", () => {
  for (const after_ms of [500, 3000, 10000]) {
    load();
    lose(3);
    mock.timers.tick(after_ms - 1);
    assert.equal(browser.reloads, 0);
    mock.timers.tick(1);
    assert.deepEqual([browser.reloads, isSaid()], [1, false]);
  }
  load();
  lose(3);
  mock.timers.tick(60000);
  assert.deepEqual([browser.reloads, browser.page.body.children.length], [0, 1]);
});

test("after a minute that lacked nothing, it is tried as at first", () => {
  load();
  lose();
  load();
  mock.timers.tick(60000);
  lose();
  mock.timers.tick(500);
  assert.equal(browser.reloads, 1);
});

test("a browser that keeps nothing is not sent round and round", () => {
  globalThis.sessionStorage = null;
  loadAgainWithoutFiles();
  lose();
  mock.timers.tick(60000);
  assert.deepEqual([browser.reloads, isSaid()], [0, true]);
});

test("without a line it waits for one", () => {
  navigator.onLine = false;
  loadAgainWithoutFiles();
  lose();
  mock.timers.tick(60000);
  assert.equal(browser.reloads, 0);
  browser.window.dispatchEvent(new Event("online"));
  assert.equal(browser.reloads, 1);
});

test("only what the page cannot be without counts", () => {
  loadAgainWithoutFiles();
  const href = `${location.origin}/theme.css`;
  fail(HTMLScriptElement, { type: "", src: "resizer.js" });
  fail(HTMLLinkElement, { rel: "stylesheet", href: "https://elsewhere.example/a.css" });
  fail(HTMLLinkElement, { rel: "preload", href });
  assert.equal(browser.reloads, 0);
  fail(HTMLLinkElement, { rel: "stylesheet", href });
  assert.equal(browser.reloads, 1);
});

test("a page that is left is not loaded again", () => {
  loadAgainWithoutFiles();
  lose();
  browser.window.dispatchEvent(new Event("pagehide"));
  mock.timers.tick(60000);
  assert.equal(browser.reloads, 0);
});
