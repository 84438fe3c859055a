// The first click of a new browser: it waits until all tabs of the browser have agreed on its visitor.

import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { drawn, newBrowser, StandIn, settled } from "./stand_in.js";

const browser = newBrowser();
const { form } = await import("../../hunyuan_ui/ui/web/form.js");

const AGREED = "0123456789abcdef".repeat(2);
const HELD = { prompt: "a fox", width: 64, seed: 7, is_random: false, variations: "1" };
const FACTS = {
  fields: ["prompt", "width", "seed"],
  priced: ["width"],
  held: Object.keys(HELD),
  sizes: { wide: { small: [64, 36] } },
  steps: {},
  initial: HELD,
};

const answering = (result) => {
  const asked = { result };
  queueMicrotask(() => asked.onsuccess());
  return asked;
};

test("a click in a tab that does not know its visitor yet is sent as that of all tabs", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  // The database, in which another tab was first.
  const transaction = { objectStore: () => ({ get: () => answering(AGREED) }), oncomplete: () => {} };
  const asked = { result: { transaction: () => transaction, close: () => {} }, onsuccess: () => {} };
  globalThis.indexedDB = /** @type {any} */ ({ open: () => asked });
  browser.page.getElementById = () => new StandIn();
  browser.window.hunyuan.begin = () => "id-1";
  const price = { button: "", most_usd: 2, line: "", of: HELD };
  const page = drawn(form, {}, { facts: FACTS });
  const own = browser.window.hunyuan.form;
  browser.emit("payer", "owner");
  const sends = () => page.triggered.filter(([event]) => event === "send").length;

  own.press();
  mock.timers.tick(0);
  own.collected(Object.values(HELD));
  await settled();
  await browser.answer("price", price);
  assert.equal(sends(), 0);
  asked.onsuccess();
  await settled();
  transaction.oncomplete();
  await settled();
  assert.equal(sends(), 1);
  assert.equal(own.sent("")[1], AGREED);
});
