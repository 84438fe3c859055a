// What an on-screen keyboard covers.

import assert from "node:assert/strict";
import { test } from "node:test";
import { coveredBy, keepAboveKeyboard } from "../../hunyuan_ui/ui/web/onscreen_keyboard.js";
import { StandIn } from "./stand_in.js";

const PAGE = 760;

for (const [what, view, covered] of [
  ["no keyboard", { height: 760 }, 0],
  ["a keyboard", { height: 420 }, 340],
  ["a keyboard, and the page moved up behind it", { height: 420, offsetTop: 120 }, 220],
  ["a keyboard, and the page moved up wholly", { height: 420, offsetTop: 340 }, 0],
  ["a browser's bar that hides", { height: 820 }, 0],
  ["a browser's bar that appears", { height: 700 }, 0],
  ["a page zoomed in with two fingers", { height: 380, scale: 2 }, 0],
  ["a keyboard that leaves no room", { height: 200 }, 0],
])
  test(`${what} covers ${covered} px of the page's foot`, () => {
    assert.equal(coveredBy({ offsetTop: 0, scale: 1, ...view }, PAGE), covered);
  });

test("the page is told when its foot is covered, and when it no longer is", () => {
  const root = Object.assign(new StandIn(), { clientHeight: PAGE });
  const view = Object.assign(new EventTarget(), { height: PAGE, offsetTop: 0, scale: 1 });
  keepAboveKeyboard(view, root);
  for (const [event, height, covered] of [
    ["resize", 420, "340px"],
    ["scroll", 460, "300px"],
    ["resize", PAGE, "0px"],
  ]) {
    Object.assign(view, { height });
    view.dispatchEvent(new Event(event));
    assert.equal(root.style["--covered"], covered);
  }
  keepAboveKeyboard(null, root); // an older browser
});
