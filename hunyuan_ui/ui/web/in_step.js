// Two videos in step: which frame they show, and how the second keeps to the first.

const FPS = 24;
const FRAME_S = 1 / FPS;
const APART_S = FRAME_S / 4; // below this, two videos are in step
const JUMP_S = 0.2; // further apart, one of them jumps instead of hurrying
const HURRY = 0.25; // most that the second may run faster or slower

/** @typedef {{duration: number, currentTime: number, ended?: boolean}} Playing */

/** @param {Playing} video */
export const lengthOf = (video) => (Number.isFinite(video.duration) ? video.duration : 0);

/**
 * Return the longer one, which leads; the shorter one rests on its last frame until both begin again.
 * @template {Playing} Video
 * @param {Video[]} both
 */
export const leaderOf = (both) => (lengthOf(both[1]) > lengthOf(both[0]) ? both[1] : both[0]);

/** @param {Playing} video */
export const framesOf = (video) => Math.max(1, Math.round(lengthOf(video) * FPS));

/** @param {Playing} video */
export const frameOf = (video) => Math.min(framesOf(video) - 1, Math.floor(video.currentTime * FPS + 0.01));

/** @param {Playing} video */
export const isRested = (video) => Boolean(video.ended) || video.currentTime >= lengthOf(video) - APART_S;

/**
 * Return the time in a video, in seconds, that shows a frame or else its last one: the middle, so that rounding never
 * shows its neighbour.
 * @param {Playing} video
 */
export const timeOf = (video, frame) => (Math.max(0, Math.min(framesOf(video) - 1, frame)) + 0.5) * FRAME_S;

/** Return where the second is to jump to, or how fast it is to run, when it is this many seconds ahead. */
export function correction(first_s, second_s) {
  const ahead_s = second_s - first_s;
  if (Math.abs(ahead_s) > JUMP_S) return { jump_s: first_s };
  const isInStep = Math.abs(ahead_s) < APART_S;
  return { rate: isInStep ? 1 : 1 + Math.max(-HURRY, Math.min(HURRY, -ahead_s * 6)) };
}

/** Return a frame's time and a video's length in seconds, as digits. */
export const timesOf = (frame, video) => ({ at: (frame * FRAME_S).toFixed(2), length: lengthOf(video).toFixed(2) });
