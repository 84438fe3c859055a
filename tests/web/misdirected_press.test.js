// A press is taken only for what stood there when it was aimed.

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { newBrowser, StandIn } from "./stand_in.js";

newBrowser();
const { createDoubleClicks, guardPresses } = await import("../../hunyuan_ui/ui/web/misdirected_press.js");
let area;
let noteContent;

/** Let an event happen by the clock of events; return whether it went through. */
function happens(name, timeStamp) {
  const event = new Event(name, { cancelable: true });
  Object.defineProperty(event, "timeStamp", { value: timeStamp });
  area.dispatchEvent(event);
  return !event.defaultPrevented;
}

function becomes(what) {
  noteContent(what);
  mock.timers.tick(500);
}

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
  newBrowser();
  area = new StandIn();
  noteContent = guardPresses(area);
  becomes("first");
});

for (const begin of ["pointerdown", "keydown"])
  test(`a press that began by ${begin} on what stood there before is refused, and the next one is not`, () => {
    happens(begin, 1000);
    assert.ok(happens("click", 1100));
    happens(begin, 1200);
    becomes("second");
    assert.ok(!happens("click", 2000));
    happens(begin, 2100);
    assert.ok(happens("click", 2200));
  });

test("a press without a beginning, as by an assistive program, is taken for what stands there", () => {
  happens("pointerdown", 1000);
  assert.ok(happens("click", 1100));
  becomes("second");
  assert.ok(happens("click", 2000));
});

test("a second half of a double click is known by its button, or by its place within half a second", () => {
  const halves = createDoubleClicks(1000);
  const at = (timeStamp, clientX = 0, detail = 1) => ({ timeStamp, clientX, clientY: 0, detail });
  assert.equal(halves.has(at(0), "a"), false);
  halves.note(at(0), "a");
  assert.deepEqual(
    [
      [at(999, 500), "a"],
      [at(1000), "a"],
      [at(499, 15), "b"],
      [at(500), "b"],
      [at(1, 16), "b"],
      [at(1, 0, 0), "b"],
    ].map(([event, button]) => halves.has(event, button)),
    [true, false, true, false, false, false],
  );
});
