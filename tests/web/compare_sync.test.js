import assert from "node:assert/strict";
import { test } from "node:test";
import {
  correction,
  frameOf,
  framesOf,
  isRested,
  leaderOf,
  lengthOf,
  timeOf,
  timesOf,
} from "../../hunyuan_ui/ui/web/compare_sync.js";

const video = (frames, currentTime = 0) => ({ duration: frames / 24, currentTime });

test("the longer one leads, and the first of two alike", () => {
  const [long, short, alike] = [video(77), video(49), video(77)];
  assert.equal(leaderOf([short, long]), long);
  assert.equal(leaderOf([long, short]), long);
  assert.equal(leaderOf([long, alike]), long);
});

test("a video that is not there yet has no length and one frame", () => {
  const empty = { duration: Number.NaN, currentTime: 0 };
  assert.equal(lengthOf(empty), 0);
  assert.equal(framesOf(empty), 1);
  assert.equal(frameOf(empty), 0);
  assert.equal(lengthOf({ duration: Number.POSITIVE_INFINITY, currentTime: 0 }), 0);
});

test("each frame's time shows this frame and no neighbour", () => {
  for (const frames of [1, 5, 77, 129])
    for (let frame = 0; frame < frames; frame += 1) {
      const shown = video(frames);
      shown.currentTime = timeOf(shown, frame);
      assert.equal(frameOf(shown), frame);
      assert.equal(frameOf(video(frames, frames / 24 + 1)), frames - 1);
    }
});

test("rounding by a third of a frame shows no neighbour either", () => {
  for (const apart of [-1 / 72, 1 / 72]) {
    const shown = video(77);
    shown.currentTime = timeOf(shown, 30) + apart;
    assert.equal(frameOf(shown), 30);
  }
});

test("a frame beyond the end is the last, and one before the beginning the first", () => {
  const shown = video(49);
  assert.equal(timeOf(shown, 76), timeOf(shown, 48));
  assert.equal(timeOf(shown, -1), timeOf(shown, 0));
});

test("a video rests when it has ended or stands on its last quarter of a frame", () => {
  assert.ok(isRested({ ...video(77), ended: true }));
  assert.ok(isRested(video(77, 77 / 24 - 0.005)));
  assert.ok(!isRested(video(77, 76 / 24)));
});

test("the second hurries when it is behind, slows down when it is ahead, and jumps when it is far", () => {
  assert.deepEqual(correction(1, 1.005), { rate: 1 });
  assert.ok(correction(1, 0.97).rate > 1);
  assert.ok(correction(1, 1.03).rate < 1);
  assert.deepEqual(correction(1, 0.85), { rate: 1.25 });
  assert.deepEqual(correction(1, 1.15), { rate: 0.75 });
  assert.deepEqual(correction(1, 1.3), { jump_s: 1 });
  assert.deepEqual(correction(1, 0.3), { jump_s: 1 });
});

test("a frame is told in seconds beside the length", () => {
  assert.deepEqual(timesOf(24, video(77)), { at: "1.00", length: "3.21" });
});
