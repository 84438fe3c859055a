import assert from "node:assert/strict";
import { test } from "node:test";
import { clock, progress } from "../../hunyuan_ui/ui/web/job_progress.js";

for (const [seconds, said] of [
  [0, "0:00"],
  [7.9, "0:07"],
  [-3, "0:00"],
  [59.999, "0:59"],
  [211, "3:31"],
  [3600, "1:00:00"],
  [36061, "10:01:01"],
])
  test(`${seconds} seconds are ${said}`, () => assert.equal(clock(seconds), said));

test("the bar is what has passed of the usual time, and never more than all of it", () => {
  const job = { elapsed_s: 50, usual_s: 200, is_moving: true };
  assert.deepEqual(progress(job, 0), { clock: "0:50", share: 0.25 });
  assert.deepEqual(progress(job, 50000), { clock: "1:40", share: 0.5 });
  assert.deepEqual(progress(job, 1e6), { clock: "17:30", share: 1 });
});

test("what waits has no clock, and what has no usual time no share", () => {
  assert.deepEqual(progress({ elapsed_s: 50, usual_s: 200, is_moving: false }, 9000), { clock: "", share: 0 });
  assert.deepEqual(progress({ elapsed_s: 50, usual_s: null, is_moving: true }, 0), { clock: "0:50", share: 0 });
});
