// Help under the prompt: advice is about the prompt in the box, or there is none.

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { drawn, newBrowser, StandIn, settled } from "./stand_in.js";

let browser = newBrowser();
const { panel } = await import("../../hunyuan_ui/ui/web/panel.js");

let box;
let help;

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
  browser = newBrowser();
  box = new StandIn();
  browser.page.querySelector = (selector) => (selector === "#field-prompt textarea" ? box : null);
  help = drawn(panel, null, { groups: { light: ["dusk"] } });
});

const hints = () => help.part("hints").textContent;
const advice = (prompt, hint) => ({ prompt, tokens: "about 9", hints: [hint], pieces: [], chosen: [], additions: [] });

async function write(prompt) {
  box.value = prompt;
  browser.emit("prompt", { prompt, negative: "" });
  mock.timers.tick(350);
  await settled();
}

async function getNoAnswer() {
  const asked = browser.asked.at(-1);
  asked.isAnswered = true;
  asked.fail(new Error("offline"));
  await settled();
}

test("advice on an older prompt goes where none on the new one can be had, and comes with the connection", async () => {
  await write("一只狐狸");
  await browser.answer("prompt", advice("一只狐狸", "Write English."));
  assert.equal(hints(), "Write English.");
  await write("a fox");
  await getNoAnswer();
  assert.deepEqual([hints(), help.part("pieces").textContent], ["", ""]);
  browser.emit("returned");
  await browser.answer("prompt", advice("a fox", "Say where."));
  assert.equal(hints(), "Say where.");
});

test("advice on this prompt stays where it is asked for again in vain", async () => {
  await write("a fox");
  await browser.answer("prompt", advice("a fox", "Say where."));
  await write("a fox");
  await getNoAnswer();
  assert.equal(hints(), "Say where.");
  browser.emit("returned");
  await settled();
  assert.equal(browser.count("prompt"), 2);
});
