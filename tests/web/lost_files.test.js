// Files of the page that do not arrive: it is loaded again a few times, and says so where that does not help.

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { newBrowser, settled } from "./stand_in.js";

globalThis.HTMLScriptElement = class {};
globalThis.HTMLLinkElement = class {};
let browser = newBrowser();
const { loadAgainWithoutFiles } = await import("../../hunyuan_ui/ui/web/lost_files.js");

const ask = async () => {
  if (!isThere) throw new TypeError("no line");
  return { ok: true };
};

beforeEach(() => {
  isThere = true;
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
  browser = newBrowser();
  globalThis.fetch = ask;
});

let isThere = true;

/** Let time pass, and what is asked of the server be answered. */
async function wait(ms) {
  mock.timers.tick(ms);
  await settled();
}

const isSaid = () => browser.page.body.children.length > 0;

/** The page is loaded anew, with what its tab has kept. */
function load() {
  const { sessionStorage } = globalThis;
  browser = newBrowser();
  Object.defineProperty(globalThis, "sessionStorage", { value: sessionStorage, configurable: true, writable: true });
  globalThis.fetch = ask;
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
  loadAgainWithoutFiles();
}

function lose(times = 1) {
  for (let time = 0; time < times; time += 1) browser.window.dispatchEvent(new Event("vite:preloadError"));
}

async function fail(kind, facts) {
  const event = new Event("error");
  Object.defineProperty(event, "target", { value: Object.assign(new kind(), facts) });
  browser.window.dispatchEvent(event);
  await wait(500);
}

test("a page without one of its files is loaded again, ever later, and then says what is wrong", async () => {
  for (const after_ms of [500, 3000, 10000]) {
    load();
    lose(3);
    await wait(after_ms - 1);
    assert.equal(browser.reloads, 0);
    await wait(1);
    assert.deepEqual([browser.reloads, isSaid()], [1, false]);
  }
  load();
  lose(3);
  await wait(60000);
  assert.deepEqual([browser.reloads, browser.page.body.children.length], [0, 1]);
});

test("after a minute that lacked nothing, it is tried as at first", async () => {
  load();
  lose();
  load();
  await wait(60000);
  lose();
  await wait(500);
  assert.equal(browser.reloads, 1);
});

test("a browser that keeps nothing is not sent round and round", async () => {
  globalThis.sessionStorage = null;
  loadAgainWithoutFiles();
  lose();
  await wait(60000);
  assert.deepEqual([browser.reloads, isSaid()], [0, true]);
});

test("while the page cannot be had it stays, and is loaded again once it can", async () => {
  isThere = false;
  loadAgainWithoutFiles();
  lose();
  for (let time = 0; time < 20; time += 1) await wait(500);
  assert.deepEqual([browser.reloads, isSaid()], [0, false]);
  isThere = true;
  await wait(500);
  assert.equal(browser.reloads, 1);
});

test("only what the page cannot be without counts", async () => {
  loadAgainWithoutFiles();
  const href = `${location.origin}/theme.css`;
  await fail(HTMLScriptElement, { type: "", src: "resizer.js" });
  await fail(HTMLLinkElement, { rel: "stylesheet", href: "https://elsewhere.example/a.css" });
  await fail(HTMLLinkElement, { rel: "preload", href });
  assert.equal(browser.reloads, 0);
  await fail(HTMLLinkElement, { rel: "stylesheet", href });
  assert.equal(browser.reloads, 1);
});

test("a page that is left is not loaded again", async () => {
  loadAgainWithoutFiles();
  lose();
  browser.window.dispatchEvent(new Event("pagehide"));
  await wait(60000);
  assert.equal(browser.reloads, 0);
});
