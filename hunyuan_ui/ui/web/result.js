// Settings and actions of the displayed video.

import { canPlay, fill, goToField, keepingFocus, node, piecesOf, showUnbroken } from "./dom.js";
import { emit, on } from "./events.js";
import { words } from "./language.js";
import { guardPresses } from "./misdirected_press.js";
import { fileOf, request } from "./server.js";
import { showWritten } from "./text_language.js";

/** Call `show` with the page's initial video, then with each that becomes ready, until it is deleted. */
export function onShown(props, watch, show, forget) {
  const opened = () => props.value?.id && show(props.value);
  on("ready", show);
  on("deleted", forget);
  watch("value", opened);
  opened();
}

export function result({ element, props, watch }) {
  const part = piecesOf(element);
  const section = element.querySelector(".result");
  const noteContent = guardPresses(section);
  let id;
  /** @type {any} */
  let settings;
  /** @type {any} */
  let again = null; // the payer of another video with these settings, and its button's label
  let payer = null;
  /** @type {string | null} */
  let clicked = null; // the last click on that button

  function show(video) {
    id = video.id;
    settings = video.settings;
    section.hidden = false;
    noteContent(id);
    offer(video.again);
    emit("shown", id);
    sayUnplayed();
    part("facts").replaceChildren(...video.facts.map((fact) => node("li", fact)));
    showWritten(part("prompt"), settings.prompt);
    part("download").href = fileOf(video, ".mp4", { download: 1 });
  }

  /** Show why the browser does not play the video, if known. */
  function sayUnplayed(why = canPlay() ? "" : "cannot_play") {
    part("unplayed").hidden = !why;
    part("unplayed").textContent = words[why] || "";
  }

  function offer(offered) {
    again = offered?.most_usd === null ? null : offered;
    keepingFocus(section, () => (part("again").hidden = !again));
    showUnbroken(part("again"), again?.text || "");
    if (again && payer && again.payer !== payer) price();
  }

  /** Request the price of another one for the current payer. */
  async function price() {
    const asked = { id, payer };
    const answer = await request("price", { json: { ...settings, count: "1", payer } }).catch(() => null);
    if (answer?.isOk && asked.id === id && asked.payer === payer)
      offer({ payer, text: answer.again, most_usd: answer.most_usd });
  }

  function forget(gone) {
    if (gone !== id) return;
    section.hidden = true;
    emit("shown");
  }

  fill(element, words);
  part("reuse").addEventListener("click", () => {
    emit("settings", { settings });
    goToField();
  });
  part("again").addEventListener("click", () => {
    clicked = window.hunyuan.form.again({ settings, most_usd: again.most_usd });
  });
  on("unplayed", ({ id: failed, why }) => failed === id && sayUnplayed(why || undefined));
  on("payer", (chosen) => {
    payer = chosen;
    if (again && again.payer !== payer) price();
  });
  on("reply", ({ answer, most_usd }) => {
    if (answer === clicked && most_usd !== undefined) price();
  });
  part("compare").addEventListener("click", () => emit("choose", id));
  part("export").addEventListener("click", () => emit("export", id));
  onShown(props, watch, show, forget);
}
