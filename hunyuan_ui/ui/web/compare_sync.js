// Synchronization of two videos: the frame they show, and how the second follows the first.

const FPS = 24;
const FRAME_S = 1 / FPS;
const APART_S = FRAME_S / 4; // below this, two videos are in sync
const JUMP_S = 0.2; // above this, one of them seeks instead of changing speed
const HURRY = 0.25; // maximum change of the second's playback rate

/** @typedef {{duration: number, currentTime: number, ended?: boolean}} Playing */

/** @param {Playing} video */
export const lengthOf = (video) => (Number.isFinite(video.duration) ? video.duration : 0);

/**
 * Return the longer video, which leads; the shorter one stays on its last frame until both restart.
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
 * Return the time in seconds at which a video shows a frame, or else its last one: the frame's middle, so that rounding
 * never shows its neighbour.
 * @param {Playing} video
 */
export const timeOf = (video, frame) => (Math.max(0, Math.min(framesOf(video) - 1, frame)) + 0.5) * FRAME_S;

/** Return the second video's seek target or playback rate if it is this many seconds ahead. */
export function correction(first_s, second_s) {
  const ahead_s = second_s - first_s;
  if (Math.abs(ahead_s) > JUMP_S) return { jump_s: first_s };
  const isInStep = Math.abs(ahead_s) < APART_S;
  return { rate: isInStep ? 1 : 1 + Math.max(-HURRY, Math.min(HURRY, -ahead_s * 6)) };
}

/** Format a frame's time and a video's length in seconds. */
export const timesOf = (frame, video) => ({ at: (frame * FRAME_S).toFixed(2), length: lengthOf(video).toFixed(2) });
