// The dollars of the days: the last day is named until a person picks another.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { newBrowser, StandIn } from "./stand_in.js";

newBrowser();
Object.assign(globalThis.document, { createElementNS: () => new StandIn() });
const { createDollarsPlot } = await import("../../hunyuan_ui/ui/web/dollars_plot.js");

const AXIS = { top: 4, limit_share: 1, has_line: false, top_text: "$4", half_text: "$2", limit_text: "" };
const days = (first, last) =>
  Array.from({ length: last - first + 1 }, (_, at) => ({ name: `day ${first + at}`, usd: 1, text: `$${first + at}` }));
let parts;
let plot;

const part = (name) => (parts[name] ??= new StandIn());
const draw = (first, last) => plot({ axis: AXIS, days: days(first, last) });
const named = () => part("day").textContent;
const press = (key) => part("plot").dispatchEvent(Object.assign(new Event("keydown"), { key }));

beforeEach(() => {
  parts = {};
  plot = createDollarsPlot(part);
});

test("after midnight the new day is named, if nobody has picked one", () => {
  draw(1, 30);
  draw(2, 31);
  assert.deepEqual([named(), part("plot").getAttribute("aria-valuenow")], ["$31", "30"]);
});

test("a picked day stays picked until it is gone, and keys go on from the one that is named", () => {
  draw(1, 30);
  press("ArrowLeft");
  draw(2, 31);
  assert.equal(named(), "$29");
  press("ArrowLeft");
  assert.equal(named(), "$28");
  draw(31, 60);
  assert.equal(named(), "$60");
  press("ArrowLeft");
  assert.equal(named(), "$59");
  press("End");
  assert.equal(named(), "$60");
});
