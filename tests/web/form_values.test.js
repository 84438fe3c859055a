import assert from "node:assert/strict";
import { test } from "node:test";
import { agreedPrice, createFormValues } from "../../hunyuan_ui/ui/web/form_values.js";

const values = createFormValues({
  held: ["prompt", "width", "height", "infer_steps", "shape", "size", "quality", "variations"],
  priced: ["width", "height", "infer_steps"],
  sizes: {
    "16:9": { "480p": [854, 480], "720p": [1280, 720] },
    "9:16": { "480p": [480, 854], "720p": [720, 1280] },
  },
  initial: { prompt: "", width: 854, height: 480, infer_steps: 40, variations: "1" },
  steps: { Draft: 20, Good: 40 },
});
const HELD = { width: 854, height: 480, infer_steps: 40, variations: "1" };

test("numbers are named as the choices they stand for, or as none", () => {
  assert.deepEqual(values.presetsOf(HELD), { shape: "16:9", size: "480p", quality: "Good" });
  assert.deepEqual(values.presetsOf({ width: 720, height: 1280, infer_steps: 41 }), {
    shape: "9:16",
    size: "720p",
    quality: null,
  });
  assert.deepEqual(values.presetsOf({ width: 480, height: 480, infer_steps: 20 }), {
    shape: null,
    size: null,
    quality: "Draft",
  });
});

test("of what is wished, a control takes only what nobody has set otherwise, and a size is one", () => {
  const wished = { prompt: "a fox", width: 720, height: 720, infer_steps: 20 };
  const now = { prompt: "", ...HELD };
  assert.deepEqual(values.unused(now, wished), wished);
  assert.deepEqual(values.unused({ ...now, prompt: "a crow", infer_steps: 50 }, wished), { width: 720, height: 720 });
  for (const side of ["width", "height"])
    assert.deepEqual(values.unused({ ...now, [side]: 640 }, wished), { prompt: "a fox", infer_steps: 20 });
});

test("a choice sets its numbers, with the first of the other where none is chosen", () => {
  assert.deepEqual(values.sized({ shape: "9:16", size: "720p" }), {
    shape: "9:16",
    size: "720p",
    width: 720,
    height: 1280,
  });
  assert.deepEqual(values.sized({ shape: null, size: "720p" }).width, 1280);
  assert.deepEqual(values.sized({ shape: "9:16", size: null }).width, 480);
  assert.deepEqual(values.qualified({ quality: "Draft" }), { infer_steps: 20 });
});

test("a choice and the numbers it sets agree for every shape and size", () => {
  for (const shape of ["16:9", "9:16"])
    for (const size of ["480p", "720p"]) {
      const { width, height } = values.sized({ shape, size });
      assert.deepEqual(values.presetsOf({ ...HELD, width, height }), { shape, size, quality: "Good" });
    }
});

test("a price is of its form alone", () => {
  const key = values.keyOf("owner", HELD);
  assert.equal(values.keyOf("owner", { ...HELD, prompt: "another", seed: 5 }), key);
  for (const other of [{ width: 855 }, { height: 481 }, { infer_steps: 41 }, { variations: "2" }])
    assert.notEqual(values.keyOf("owner", { ...HELD, ...other }), key);
  assert.notEqual(values.keyOf("visitor", HELD), key);
});

test("values are read by their names, and only what changed is set", () => {
  const before = values.byName(["a fox", 854, 480, 40, "16:9", "480p", "Good", "1"]);
  assert.equal(before.infer_steps, 40);
  assert.deepEqual(values.changed(before, { ...before, width: 1280 }), [undefined, 1280, ...Array(6).fill(undefined)]);
  assert.deepEqual(values.numbersOf(before), { width: 854, height: 480, infer_steps: 40 });
});

test("a click agrees to no more than was seen before it", () => {
  assert.equal(agreedPrice(2.2, 2.2), 2.2);
  assert.equal(agreedPrice(2.2, 1.5), 1.5);
  assert.equal(agreedPrice(2.2, 2.205), 2.205);
  assert.equal(agreedPrice(2.2, 4.4), 2.2);
  assert.equal(agreedPrice(null, 2.2), null);
  assert.equal(agreedPrice(null, 0), 0);
});
