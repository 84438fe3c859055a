// The player: Gradio's own video component, which plays from this page's route rather than Gradio's cache.

import { isSmall, prefersCalm, reveal } from "./dom.js";
import { emit, on } from "./events.js";
import { words } from "./language.js";
import { UNREACHABLE, whyUnplayed } from "./playback_failure.js";
import { onShown } from "./result.js";
import { filesOf } from "./server.js";

const MOST_LOADS = 6;
const LONGEST_LOAD_PAUSE_MS = 32000;
const FETCH_WITHIN_MS = 30000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 8000;
const STEP_S = 0.5;
// Gradio names them in English, and its slider not at all.
const NAMES = {
  "[role=button]:first-child": words.play_or_pause,
  "[role=button]:last-child": words.full_screen,
  ".volume-button": words.volume,
  progress: words.position,
};

/** @type {any} */
let drawn = { visible: false, value: null };

/** The current value of Gradio's component. */
export const screen = () => ({ __type__: "update", ...drawn });

/** Return a video in Gradio's file format; its share button sends the content at the address in `data`. */
function fileData(video) {
  const url = new URL(filesOf(video).src, document.baseURI).href;
  return { path: url, url, data: url, orig_name: `${video.id}.mp4`, meta: { _type: "gradio.FileData" } };
}

/** Load Gradio's scripts into the browser's cache, with retries: Gradio requests them once and never again. */
async function fetchWhole(address, pause_ms = FIRST_PAUSE_MS) {
  try {
    const url = new URL(address, document.baseURI);
    const answer = await fetch(url, { priority: "low", signal: AbortSignal.timeout(FETCH_WITHIN_MS) });
    await answer.arrayBuffer();
    if (answer.ok) return;
  } catch {
    // retried
  }
  await new Promise((resolve) => setTimeout(resolve, pause_ms));
  await fetchWhole(address, Math.min(2 * pause_ms, LONGEST_PAUSE_MS));
}

/** Call `act` once, when idle after the first use of the page: visitors who only look need not load its scripts. */
function onUse(act) {
  const wait = window.requestIdleCallback || setTimeout;
  const used = new AbortController();
  const start = () => {
    used.abort();
    wait(act);
  };
  for (const sign of ["focusin", "pointerdown", "keydown"])
    document.addEventListener(sign, start, { capture: true, signal: used.signal });
}

export function player({ element, props, trigger, watch }) {
  /** @type {any} */
  let shown = null;
  /** @type {any} */
  let dressed = null; // the element that Gradio has rendered for it
  let loads = 0;
  let isNews = false; // the displayed video has just been made
  /** @type {Promise<unknown> | null} */
  let fetching = null;
  const current = () => /** @type {HTMLVideoElement | null} */ (document.querySelector("#player video"));

  async function draw(changes) {
    drawn = { ...drawn, visible: true, ...changes };
    fetching ??= Promise.all(props.files.map((address) => fetchWhole(address)));
    await fetching;
    trigger("draw");
  }

  function show(video) {
    loads = 0;
    if (shown?.id === video.id) {
      if (dressed?.error) dressed.load();
      return;
    }
    shown = video;
    draw({ value: fileData(video), autoplay: !prefersCalm() });
  }

  function forget(id) {
    if (id !== shown?.id) return;
    shown = null;
    draw({ value: null });
  }

  /** Add to Gradio's rendered element what its component does not support: poster, shape and names. */
  function dress() {
    const video = current();
    for (const title of place.querySelectorAll("#player svg title")) title.remove(); // English, beside those names
    if (!video || video === dressed || !shown) return;
    dressed = video;
    markTimed();
    if (isNews) bringUp();
    const { poster, ratio } = filesOf(shown);
    video.poster = poster;
    video.style.aspectRatio = ratio;
    letPlay();
    video.setAttribute("aria-label", words.player);
    for (const [control, name] of Object.entries(NAMES))
      place.querySelector(`#player .controls ${control}`)?.setAttribute("aria-label", name);
    // Gradio puts its button into a link, which would be a second tab stop without a name.
    for (const link of place.querySelectorAll("#player a:has(button)")) {
      link.setAttribute("tabindex", "-1");
      for (const one of [link, link.querySelector("button")])
        for (const name of ["aria-label", "title"]) one.setAttribute(name, words.download);
    }
  }

  /** Scroll to the top of a new video if it may be out of view, unless the visitor is busy elsewhere. */
  function bringUp() {
    isNews = false;
    const isBusy = document.activeElement?.matches("textarea, input") || document.querySelector("dialog[open]");
    if (isSmall() && !isBusy) requestAnimationFrame(() => reveal(place.querySelector("#player")));
  }

  // Required for autoplay, and for playing inline on phones. Gradio undoes both while it renders.
  function letPlay() {
    dressed.muted = true;
    dressed.playsInline = true;
  }

  const isTimed = () => Boolean(dressed?.duration);

  // Gradio shows "NaN:NaN" for the length of a video that has not begun to load.
  const markTimed = () => dressed?.toggleAttribute("data-timed", isTimed());

  /** Gradio's play button treats any key, even Tab, as a press, and its slider none. */
  function press(event) {
    if (!dressed || !event.target.closest("#player .controls")) return;
    if (event.key !== "Enter" && event.key !== " ") event.stopPropagation();
    const step_s = { ArrowLeft: -STEP_S, ArrowRight: STEP_S }[event.key];
    if (step_s && isTimed())
      dressed.currentTime = Math.min(Math.max(dressed.currentTime + step_s, 0), dressed.duration);
    if (step_s || event.key === " ") event.preventDefault();
  }

  // A browser does not retry a video after a failed response. Its errors do not bubble.
  async function loadAgain(event) {
    const video = event.target;
    if (video !== dressed || !shown) return;
    event.stopPropagation();
    const { id } = shown;
    const pause_ms = Math.min(1000 * 2 ** loads, LONGEST_LOAD_PAUSE_MS);
    loads += 1;
    const why = loads > 1 ? await whyUnplayed(shown) : null; // a single failure may be the connection's fault
    if (video !== dressed || id !== shown?.id) return;
    if (why) emit("unplayed", { id, why });
    if (loads <= MOST_LOADS || why === UNREACHABLE) setTimeout(() => video === dressed && video.load(), pause_ms);
  }

  function loaded() {
    if (loads > 1 && shown) emit("unplayed", { id: shown.id, why: null });
    loads = 0;
  }

  const place = element.closest("#screen");
  new MutationObserver(dress).observe(place, { childList: true, subtree: true });
  place.addEventListener("error", loadAgain, true);
  place.addEventListener("loadedmetadata", ({ target }) => target === dressed && letPlay(), true);
  place.addEventListener("loadeddata", loaded, true);
  place.addEventListener("durationchange", markTimed, true);
  place.addEventListener("keydown", press);
  place.addEventListener("click", ({ target }) => {
    if (dressed && target.closest(".volume-button")) dressed.muted = false;
  });
  // A dialog covers this player, which need not continue behind it.
  on("covered", () => current()?.pause());
  on("ready", (video) => (isNews = video.id !== shown?.id));
  onShown(props, watch, show, forget);
  onUse(() => draw({}));
}
