import assert from "node:assert/strict";
import { test } from "node:test";
import { drawn } from "../../hunyuan_ui/ui/web/opening.js";

const all = () => true;

test("nothing is shown before every part of the form is drawn", () => {
  assert.equal(
    drawn((one) => one !== "#generate", false),
    "",
  );
  assert.equal(drawn(all, false), "all");
});

test("what a video may move waits for it where one is expected", () => {
  assert.equal(
    drawn((one) => one !== "#player video", true),
    "form",
  );
  assert.equal(
    drawn((one) => !one.includes(".result"), true),
    "form",
  );
  assert.equal(
    drawn((one) => one !== "#player video", false),
    "all",
  );
  assert.equal(drawn(all, true), "all");
});
