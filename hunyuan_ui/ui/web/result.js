// What the video that the page shows was made with, and what can be done with it.

import { fill, node, piecesOf } from "./dom.js";
import { hear, send } from "./events.js";
import { words } from "./language.js";
import { fileOf } from "./server.js";

/** Call `show` with the video that the page opened with, then with each that becomes ready, until it is deleted. */
export function onShown(props, watch, show, forget) {
  const opened = () => props.value?.id && show(props.value);
  hear("ready", show);
  for (const end of ["deleted", "gone"]) hear(end, forget);
  watch("value", opened);
  opened();
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
    send("shown", id);
    part("facts").replaceChildren(...video.facts.map((fact) => node("li", fact)));
    part("prompt").textContent = settings.prompt;
    part("download").href = fileOf(video, ".mp4", { download: 1 });
  }

  function forget(gone) {
    if (gone !== id) return;
    section.hidden = true;
    send("shown");
  }

  fill(element, words);
  part("reuse").addEventListener("click", () => send("settings", { settings }));
  part("new-seed").addEventListener("click", () => send("settings", { settings, isRandom: true }));
  part("compare").addEventListener("click", () => send("choose", id));
  part("export").addEventListener("click", () => send("export", id));
  onShown(props, watch, show, forget);
}
