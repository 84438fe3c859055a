// The opening of the page: Gradio renders its parts one after another, and each would shift the others. The form is
// shown when its layout is complete, and the parts that the last video may still shift when it is placed too.

import { isUnknown, kept } from "./browser_storage.js";
import { on } from "./events.js";

const SHOWN_ANYWAY_MS = 3000;
const TICK_MS = 1000;
const CLOCK = /performance\.now\(\)\s*-[^;]*\/\s*(1e3|1000)/;
const BEGUN = [".wrap.default.full.translucent", "#desk"]; // Gradio's sign that it loads, or what it renders
const HAS_VIDEO = "hunyuan_has_video";
const OF_THE_FORM = [
  "#field-prompt textarea",
  "#part-panel .groups button",
  "#shape label",
  "#size label",
  "#quality label",
  "#field-video-length input[type=range]",
  "#field-seed input",
  "#is-random input",
  "#reuse-seed",
  "#advanced > button",
  "#made-as",
  "#generate",
  "#part-watch .job-card",
];
const OF_A_VIDEO = ["#player video", "#part-result .result:not([hidden])"];

/**
 * Return what can be shown: nothing yet, the form, or the whole page.
 * @param {(selector: string) => unknown} find
 * @param {object} visit
 * @param {boolean} visit.expectsVideo A visitor who had a video at the last visit will have one now.
 * @param {boolean} [visit.isAnswered] The server has answered what the browser did not know.
 * @returns {"" | "form" | "all"}
 */
export function drawn(find, { expectsVideo, isAnswered = true }) {
  if (!isAnswered || !OF_THE_FORM.every((one) => find(one))) return "";
  return !expectsVideo || OF_A_VIDEO.every((one) => find(one)) ? "all" : "form";
}

/**
 * Return whether a callback is the timer of Gradio's loading indicator.
 * @param {(at: number) => void} callback
 */
export const isClock = (callback) => CLOCK.test(String(callback));

/**
 * Let such a timer tick once a second. The one of Gradio's first indicator outlives it, and would request every frame
 * for as long as the page is open (docs/facts/gradio6.md 4.9).
 */
export function slowClocks() {
  const ask = window.requestAnimationFrame.bind(window);
  window.requestAnimationFrame = (callback) => (isClock(callback) ? setTimeout(callback, TICK_MS) : ask(callback));
}

/** Show each part of the page when it is rendered, or after a short timeout. */
export function showWhenDrawn() {
  const root = document.documentElement;
  const observer = new MutationObserver(look);
  /** @type {any} */
  let late = null;
  const visit = { expectsVideo: kept.get(HAS_VIDEO) !== null, isAnswered: !isUnknown() };

  function show(what) {
    if (what === "all") {
      observer.disconnect();
      clearTimeout(late);
    }
    requestAnimationFrame(() => {
      if (root.dataset.drawn !== "all") root.dataset.drawn = what;
    });
  }

  function look() {
    if (!("begun" in root.dataset) && BEGUN.some((one) => document.querySelector(one))) root.dataset.begun = "";
    if (!late && document.getElementById("desk")) late = setTimeout(show, SHOWN_ANYWAY_MS, "all");
    const what = drawn((one) => document.querySelector(one), visit);
    if (what) show(what);
  }

  observer.observe(root, { subtree: true, childList: true, attributes: true, attributeFilter: ["hidden"] });
  on("attached", (hasVideo) => {
    if (!visit.isAnswered) visit.expectsVideo = hasVideo;
    visit.isAnswered = true;
    look();
  });
  on("shown", (id) => (id ? kept.set(HAS_VIDEO, "yes") : kept.remove(HAS_VIDEO)));
}
