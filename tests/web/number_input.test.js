import assert from "node:assert/strict";
import { test } from "node:test";

import { newBrowser } from "./stand_in.js";

newBrowser();
const { isDoubtful, withinRange, withPoint } = await import("../../hunyuan_ui/ui/web/number_input.js");

test("a typed number comes into its range, and an empty box takes what it held", () => {
  const box = (value, min = "1", max = "129") => ({ value, min, max });
  assert.equal(withinRange(box("200"), "77"), "129");
  assert.equal(withinRange(box("0"), "77"), "1");
  assert.equal(withinRange(box("77"), "5"), "77");
  assert.equal(withinRange(box(""), "77"), "77");
  assert.equal(withinRange(box("-7", "", ""), "5"), "-7");
  assert.equal(withinRange(box("9e9", "", "10"), "5"), "10");
});

test("a decimal comma of any script is a point, and no other text is changed", () => {
  for (const [text, point] of [
    ["7,5", "7.5"],
    [",", "."],
    ["，", "."],
    [" 2,50\n", "2.50"],
    ["-0,5", "-0.5"],
    ["７，５", "７.５"],
  ])
    assert.equal(withPoint(text), point);
  for (const text of ["", "7", "7.5", "1,234.5", "1.234,5", "1,234,567", "a, b", "7, 5"])
    assert.equal(withPoint(text), null);
});

test("a number is in doubt if its comma may be one of thousands, and no other is", () => {
  for (const [value, signs] of [
    ["1.000", ","],
    ["12.500", "，"],
    ["1.000000", ",,"],
    ["1.00050", ",."],
    ["1.00050", ".,"],
  ])
    assert.ok(isDoubtful(value, signs, "."), `${value} of ${signs}`);
  for (const [value, signs] of [
    ["1000", ""],
    ["1.459", "."],
    ["2.50", ","],
    ["0.125", ","],
    ["1.5", ".."],
    ["1000.50", ",."],
  ])
    assert.ok(!isDoubtful(value, signs, "."), `${value} of ${signs}`);
  assert.ok(isDoubtful("1.000", ".", ","));
  assert.ok(!isDoubtful("1.459", ",", ","));
});
