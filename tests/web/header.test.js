// The header: a change of the language loads the page anew, and what is typed in it is kept first.

import assert from "node:assert/strict";
import { test } from "node:test";
import { drawn, newBrowser } from "./stand_in.js";

const browser = newBrowser();
const { header } = await import("../../hunyuan_ui/ui/web/header.js");

test("the page's parts hear of a change of the language before the page is left", () => {
  const { part } = drawn(header, {});
  const before = [];
  browser.page.addEventListener("hunyuan:leaving", () => before.push(browser.reloads));
  part("language").click();
  assert.deepEqual([before, browser.reloads], [[0], 1]);
});
