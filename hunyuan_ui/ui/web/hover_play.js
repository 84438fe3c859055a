// A tile that plays its video while hovered or focused.

import { node, prefersCalm } from "./dom.js";

export const hasPointer = () => matchMedia("(hover: hover)").matches;

/**
 * Return two functions for a tile: one plays its video, one stops and resets it.
 * @param {HTMLElement} tile
 * @param {() => string} srcOf The address of its video, called at the start.
 */
export function createHoverPlay(tile, srcOf) {
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

/** Play the tile of a button while it is hovered or focused. */
export function playOnHover(button, { move, rest }) {
  button.addEventListener("mouseenter", () => hasPointer() && move());
  button.addEventListener("mouseleave", rest);
  button.addEventListener("focus", () => button.matches(":focus-visible") && move());
  button.addEventListener("blur", rest);
}
