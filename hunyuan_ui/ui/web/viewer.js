// The dialog of one video: its settings, frames and exports.

import { closedBeside, closedByBack } from "./back_button.js";
import { addressedVideo, setQuery } from "./browser_storage.js";
import { frameOf, timeOf } from "./compare_sync.js";
import { fill, goToField, hold, loadFile, node, piecesOf, prefersCalm, unload } from "./dom.js";
import { emit, on } from "./events.js";
import { filled, words } from "./language.js";
import { onMenu } from "./menu.js";
import { sayWhyUnplayed } from "./playback_failure.js";
import { fileOf, filesOf, sizeText, timeText } from "./server.js";
import { nameOf, showWritten } from "./text_language.js";

const EXPORT_WITHIN_MS = 120000;

/** Return the bytes of a finished export, which the browser caches for its download. */
async function sizeOf(url) {
  const answer = await fetch(url, { signal: AbortSignal.timeout(EXPORT_WITHIN_MS) });
  if (!answer.ok) throw new Error((await answer.json())?.problem || "");
  return (await answer.blob()).size;
}

export function viewer({ element, props }) {
  const part = piecesOf(element);
  const dialog = element.querySelector("dialog");
  const player = part("video");
  const enter = closedByBack(dialog, () => emit("show", addressedVideo()));
  const withSettings = part("settings").querySelector("input");
  let video;
  /** @type {() => string[]} */
  let listed = () => []; // the ids of the list from which it was opened, as it is now: for the arrow keys
  let hasMore; // whether the server has more of that list
  let isAwaited = false; // the next one was asked for before it was listed
  let making = 0; // an answer to an older request is dropped
  let release = () => {}; // the held button

  const say = (text, isProblem = false) => {
    part("line").textContent = text;
    part("line").classList.toggle("problem", isProblem);
  };

  // A video

  function show(opened) {
    video = opened;
    isAwaited = false;
    part("when").textContent = timeText(video.created_at);
    showWritten(part("prompt"), video.settings.prompt);
    part("facts").replaceChildren(...video.facts.map((fact) => node("li", fact)));
    sayUnplayed("");
    load();
    player.setAttribute("aria-label", nameOf(video.settings.prompt));
    showNeighbours();
    offer();
    // The address names the open video, so that a reload shows it again; it grants no access to others.
    const isNew = !dialog.open;
    if (isNew) {
      setQuery("job", null);
      enter();
    }
    setQuery("job", video.id);
    emit("covered");
    if (isNew) dialog.showModal();
    for (const box of [dialog, part("prompt").parentElement, part("prompt")]) box.scrollTop = 0;
    // Its keys work from here, not from the player; the button that opened it may be disabled by now.
    if (isNew || document.activeElement?.matches(":disabled")) dialog.focus();
  }

  function load() {
    loadFile(player, filesOf(video));
    if (!prefersCalm()) player.play().catch(() => {});
  }

  function neighbour(by) {
    const ids = listed();
    const place = ids.indexOf(video.id);
    return place < 0 ? undefined : ids[place + by];
  }

  function showNeighbours() {
    part("previous").disabled = !neighbour(-1);
    part("next").disabled = !neighbour(1);
  }

  function forget(id) {
    if (dialog.open && video.id === id) dialog.close();
  }

  function step(by) {
    const id = neighbour(by);
    isAwaited = !id && by > 0 && hasMore?.();
    if (id) emit("step", id);
  }

  function stepFrame(by) {
    player.pause();
    player.currentTime = timeOf(player, frameOf(player) + by);
  }

  function empty() {
    unload(player);
    emit("closed", video.id);
  }

  function reuse({ isRandom = false, field = "prompt" } = {}) {
    emit("settings", { settings: video.settings, isRandom });
    dialog.close();
    goToField(field);
  }

  function sayUnplayed(text) {
    part("missing").textContent = text;
    part("missing").hidden = !text;
    player.hidden = Boolean(text);
  }

  // Exporting

  const isAnimation = () => ["gif", "webp"].includes(part("kind").value);

  function offer() {
    making += 1;
    part("side").hidden = part("rate").hidden = !isAnimation();
    part("settings").hidden = part("kind").value !== "mp4";
    release();
    say("");
    // The file itself is there already.
    if (part("kind").value === "mp4") offerFile(wished(), words.download);
    else {
      part("make").hidden = false;
      part("save").hidden = true;
    }
  }

  function offerFile(url, text) {
    part("make").hidden = true;
    part("save").hidden = false;
    part("save").href = `${url}&download=1`;
    part("save").textContent = text;
  }

  function wished() {
    const kind = part("kind").value;
    if (kind === "mp4") return fileOf(video, ".mp4", withSettings.checked ? {} : { plain: 1 });
    if (isAnimation()) return fileOf(video, `/export.${kind}`, { side: part("side").value, fps: part("rate").value });
    const at = kind === "poster" ? video.duration_s / 3 : player.currentTime;
    return fileOf(video, "/export.png", { at: at.toFixed(3) });
  }

  /** An earlier frame is no longer the one that is offered as "this". */
  function leaveFrame() {
    if (part("kind").value !== "frame") return;
    const isUsed = document.activeElement === part("save");
    offer();
    if (isUsed) part("make").focus();
  }

  async function make() {
    if (part("kind").value === "frame") player.pause();
    making += 1;
    const wish = making;
    const url = wished();
    release();
    release = hold(part("make"));
    say(words["export.making"]);
    try {
      const bytes = await sizeOf(url);
      if (wish === making) ready(url, bytes);
    } catch (/** @type {any} */ error) {
      const sentence = error.name === "Error" && error.message ? error.message : words["export.unreachable"];
      if (wish === making) say(sentence, true);
    }
    if (wish === making) release();
  }

  function ready(url, bytes) {
    offerFile(url, filled("export.save", { size: sizeText(bytes) }));
    say("");
    part("save").focus();
  }

  // A deletion can be undone below.
  function remove() {
    const gone = video;
    dialog.close();
    emit("delete", gone);
  }

  const options = (name, values, text) =>
    part(name).append(...values.map((value) => node("option", text(value), "", { value })));

  fill(element, words);
  options("change", ["", ...props.value.fields], (name) => words[name ? `field.${name}` : "viewer.change"]);
  options("side", props.value.sides, (side) => filled("export.side_px", { side }));
  options("rate", props.value.rates, (rate) => filled("export.rate_fps", { rate }));
  part("side").value = props.value.sides[1];
  part("rate").value = props.value.rates[1];

  const presses = {
    reuse,
    "new-seed": () => reuse({ isRandom: true }),
    compare() {
      dialog.close();
      emit("choose", video.id);
    },
    make,
    delete: remove,
    previous: () => step(-1),
    next: () => step(1),
    close: () => dialog.close(),
  };
  const KEYS = {
    ArrowLeft: () => step(-1),
    ArrowRight: () => step(1),
    ",": () => stepFrame(-1),
    ".": () => stepFrame(1),
  };
  for (const [name, press] of Object.entries(presses)) part(name).addEventListener("click", () => press());
  onMenu(
    part("change"),
    (field) => reuse({ field }),
    (isMoving) => say(isMoving ? words["viewer.change_enter"] : ""),
  );
  for (const name of ["kind", "side", "rate"]) part(name).addEventListener("change", offer);
  withSettings.addEventListener("change", offer);
  dialog.addEventListener("close", empty);
  closedBeside(dialog);
  dialog.addEventListener("keydown", (event) => {
    if (event.target.matches("select, textarea") || event.ctrlKey || event.altKey || event.metaKey) return;
    const press = KEYS[event.key];
    // Whoever has moved into the video's own controls by keyboard seeks in it.
    if (!press || (event.key.startsWith("Arrow") && player.matches(":focus-visible"))) return;
    event.preventDefault();
    press();
  });
  player.addEventListener("error", () => sayWhyUnplayed(player, video, sayUnplayed, load));
  player.addEventListener("loadeddata", () => sayUnplayed(""));
  for (const change of ["seeking", "play"]) player.addEventListener(change, leaveFrame);
  on("deleted", forget);
  on("listed", () => {
    if (!dialog.open) return;
    showNeighbours();
    if (isAwaited) step(1);
  });
  on("open", (opened) => {
    if (opened.listed) ({ listed, hasMore } = opened);
    if (opened.kind) part("kind").value = opened.kind;
    show(opened.video);
  });
}
