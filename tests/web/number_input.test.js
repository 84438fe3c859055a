import assert from "node:assert/strict";
import { test } from "node:test";
import { withinRange } from "../../hunyuan_ui/ui/web/number_input.js";

test("a typed number comes into its range, and an empty box takes what it held", () => {
  const box = (value, min = "1", max = "129") => ({ value, min, max });
  assert.equal(withinRange(box("200"), "77"), "129");
  assert.equal(withinRange(box("0"), "77"), "1");
  assert.equal(withinRange(box("77"), "5"), "77");
  assert.equal(withinRange(box(""), "77"), "77");
  assert.equal(withinRange(box("-7", "", ""), "5"), "-7");
  assert.equal(withinRange(box("9e9", "", "10"), "5"), "10");
});
