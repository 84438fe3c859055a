// The player: it shows one video until that is gone, and loads it again as long as that can help.

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { drawn, newBrowser, StandIn, settled } from "./stand_in.js";

let browser = newBrowser();
const observed = [];
const { player, screen } = await import("../../hunyuan_ui/ui/web/player.js");

const video = (id) => ({ id, code: "c", width: 64, height: 36, settings: { prompt: id } });
const GONE = 404;
const AWAY = 502;
let page;
let place;
let element; // as Gradio renders it
let loads;

const shown = () => screen().value?.orig_name;

async function show(id) {
  browser.emit("ready", video(id));
  await settled();
  observed.at(-1)();
}

/** The browser could not load the video; from the second time on, the page asks why. */
async function fail(status) {
  const event = new Event("error");
  Object.defineProperty(event, "target", { value: element });
  place.dispatchEvent(event);
  await settled();
  const why = browser.asked.find((one) => !one.isAnswered);
  if (!why) return;
  why.isAnswered = true;
  why.answer({ ok: false, status });
  await settled();
}

beforeEach(async () => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
  browser = newBrowser();
  globalThis.MutationObserver = /** @type {any} */ (
    class {
      constructor(act) {
        observed.push(act);
      }
      observe() {}
    }
  );
  Object.assign(browser.page, { baseURI: "http://127.0.0.1/" });
  loads = 0;
  element = Object.assign(new StandIn(), { load: () => (loads += 1) });
  browser.page.querySelector = (selector) => (selector === "#player video" ? element : null);
  page = drawn(player, null, { files: [] });
  place = page.element.closest("#screen");
  await show("a");
});

test("the same video once more is loaded again only if it did not load", async () => {
  await show("a");
  assert.equal(loads, 0);
  element.error = { code: 2 };
  await show("a");
  assert.equal(loads, 1);
});

test("only the end of the video that is shown takes it away", async () => {
  for (const [id, left] of [
    ["another", "a.mp4"],
    ["a", undefined],
  ]) {
    browser.emit("deleted", id);
    await settled();
    assert.equal(shown(), left);
  }
});

for (const [what, status, most] of /** @type {[string, number, number]} */ ([
  ["is gone is loaded again a few times", GONE, 6],
  ["no server answers for is loaded again until one does", AWAY, 12],
]))
  test(`a video that ${what}`, async () => {
    for (let time = 0; time < 12; time += 1) {
      await fail(status);
      mock.timers.tick(32000);
    }
    assert.equal(loads, most);
  });

test("why a video did not load is not said of the one that came meanwhile", async () => {
  const heard = browser.hear("unplayed");
  await fail(GONE);
  const event = new Event("error");
  Object.defineProperty(event, "target", { value: element });
  place.dispatchEvent(event);
  await settled();
  const why = browser.asked.find((one) => !one.isAnswered);
  await show("b");
  why.answer({ ok: false, status: GONE });
  await settled();
  assert.deepEqual(heard, []);
});
