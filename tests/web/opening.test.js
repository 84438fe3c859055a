import assert from "node:assert/strict";
import { test } from "node:test";
import { drawn, isClock } from "../../hunyuan_ui/ui/web/opening.js";

const all = () => true;

test("nothing is shown before every part of the form is drawn", () => {
  for (const missing of ["#generate", "#field-prompt textarea", "#field-seed input"])
    assert.equal(
      drawn((one) => one !== missing, { expectsVideo: false }),
      "",
    );
  assert.equal(drawn(all, { expectsVideo: false }), "all");
});

test("what a video may move waits for it where one is expected", () => {
  assert.equal(
    drawn((one) => one !== "#player video", { expectsVideo: true }),
    "form",
  );
  assert.equal(
    drawn((one) => !one.includes(".result"), { expectsVideo: true }),
    "form",
  );
  assert.equal(
    drawn((one) => one !== "#player video", { expectsVideo: false }),
    "all",
  );
  assert.equal(drawn(all, { expectsVideo: true }), "all");
});

test("where the browser knows nobody, nothing is shown before the server has said what there is", () => {
  const visit = { expectsVideo: false, isAnswered: false };
  assert.equal(drawn(all, visit), "");
  assert.equal(drawn(all, { ...visit, isAnswered: true }), "all");
  assert.equal(
    drawn((one) => one !== "#player video", { expectsVideo: true, isAnswered: true }),
    "form",
  );
});

test("a clock of what loads is told from all else that asks for frames", () => {
  const clock = { from: 0, said: 0 };
  const ticks = () => {
    clock.said = (performance.now() - clock.from) / 1e3;
  };
  const moves = (at) => {
    clock.said = (at - clock.from) / 1e3;
  };
  assert.ok(isClock(ticks));
  assert.ok(!isClock(moves));
  assert.ok(!isClock(() => performance.now() > clock.from));
});
