// The screen: the video that the page shows, and what it was made with.

import { fill, loadFile, node, piecesOf, prefersCalm, unload } from "./dom.js";
import { hear, send } from "./events.js";
import { words } from "./language.js";
import { fileOf, filesOf } from "./server.js";

const MOST_LOADS = 6;

/** Call `show` with the video that the page opened with, then with each that becomes ready, until it is deleted. */
function onShown(props, watch, show, forget) {
  const opened = () => props.value?.id && show(props.value);
  hear("ready", show);
  for (const end of ["deleted", "gone"]) hear(end, forget);
  watch("value", opened);
  opened();
}

export function player({ element, props, watch }) {
  const video = node("video", "", "", { loop: true, muted: true, playsInline: true, preload: "auto" });
  let id = null;
  let loads = 0;

  function show(shown) {
    id = shown.id;
    loads = 0;
    video.autoplay = !prefersCalm();
    loadFile(video, filesOf(shown));
  }

  function forget(gone) {
    if (gone !== id) return;
    id = null;
    unload(video);
  }

  // A browser does not ask again for a video whose answer went wrong.
  video.addEventListener("error", () => {
    video.controls = true;
    if (!id || loads === MOST_LOADS) return;
    setTimeout(() => id && video.load(), 1000 * 2 ** loads);
    loads += 1;
  });
  video.addEventListener("loadeddata", () => {
    loads = 0;
    // A browser takes longer to draw its controls than the first picture, which therefore comes before them.
    requestAnimationFrame(() => (video.controls = true));
  });
  // A dialog covers this player, which need not go on behind it.
  hear("covered", () => video.pause());
  const frame = node("div", "", "", { id: "player" });
  frame.append(video);
  element.append(frame);
  onShown(props, watch, show, forget);
}

export function result({ element, props, watch }) {
  const part = piecesOf(element);
  const section = element.querySelector(".result");
  let id;
  /** @type {any} */
  let settings;

  function show(video) {
    id = video.id;
    settings = video.settings;
    section.hidden = false;
    part("facts").replaceChildren(...video.facts.map((fact) => node("li", fact)));
    part("prompt").textContent = settings.prompt;
    part("download").href = fileOf(video, ".mp4", { download: 1 });
  }

  function forget(gone) {
    if (gone === id) section.hidden = true;
  }

  fill(element, words);
  part("reuse").addEventListener("click", () => send("settings", { settings }));
  part("new-seed").addEventListener("click", () => send("settings", { settings, isRandom: true }));
  part("compare").addEventListener("click", () => send("choose", id));
  part("export").addEventListener("click", () => send("show", id));
  onShown(props, watch, show, forget);
}
