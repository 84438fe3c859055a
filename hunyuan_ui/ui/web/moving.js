// A tile that shows its video while it is pointed at or focused.

import { node, prefersCalm } from "./dom.js";

export const hasPointer = () => matchMedia("(hover: hover)").matches;

/**
 * Return two functions for a tile: one that lets its video move, one that puts it back to rest.
 * @param {HTMLElement} tile
 * @param {() => string} srcOf The address of its video, asked for as it begins.
 */
export function movingIn(tile, srcOf) {
  function rest() {
    tile.querySelector("video")?.remove();
  }

  function move({ loop = true } = {}) {
    if (prefersCalm() || tile.querySelector("video")) return;
    const video = node("video", "", "", { muted: true, playsInline: true, loop, src: srcOf() });
    video.setAttribute("aria-hidden", "true");
    for (const end of ["ended", "error"]) video.addEventListener(end, rest);
    tile.append(video);
    video.play().catch(rest);
  }
  return { move, rest };
}

/** Let a button's tile move while it has somebody's attention. */
export function onAttention(button, { move, rest }) {
  button.addEventListener("mouseenter", () => hasPointer() && move());
  button.addEventListener("mouseleave", rest);
  button.addEventListener("focus", () => button.matches(":focus-visible") && move());
  button.addEventListener("blur", rest);
}
