// The videos of one click, side by side: each appears in its place.

import { kept } from "./browser_storage.js";
import { fill, isSmall, keepingFocus, node, piecesOf, prefersCalm, reveal, setText, showUnbroken } from "./dom.js";
import { emit, on } from "./events.js";
import { filled, words } from "./language.js";
import { guardPresses } from "./misdirected_press.js";
import { fileOf, filesOf } from "./server.js";

const CLOSED = "hunyuan_variations_closed";
const NAMES = { keep: "variations.keep", compare: "variations.compare", download: "download" };

export function variations({ element, props, watch }) {
  const part = piecesOf(element);
  const section = element.querySelector(".variations");
  const screen = element.closest("#screen");
  const noteContent = guardPresses(section);
  /** @type {string | null} */
  let clickId = null;
  /** @type {string[]} */
  let ids = []; // of its jobs
  const known = new Map(); // each job in the server's latest answer
  /** @type {any[]} */
  let tiles = []; // in the order of the ids
  let isStill = prefersCalm();
  /** @type {any} */
  let first = null; // the video to compare a second one with

  const videoOf = (id) => known.get(id)?.video;
  const done = () => ids.map(videoOf).filter(Boolean);
  const waiting = () => ids.filter((id) => known.get(id)?.can_cancel);
  const say = (text) => (part("line").textContent = text);

  // A tile

  function newTile(index) {
    const item = part("tile").content.firstElementChild.cloneNode(true);
    const piece = (selector) => item.querySelector(selector);
    /** @type {Object<string, (video: any, job: any) => void>} */
    const does = {
      keep: (video) => keepSeed(video.settings.seed),
      compare: choose,
      again: (_video, job) => emit("try-again", job),
    };
    for (const [name, key] of Object.entries(NAMES)) piece(`[data-do=${name}]`).textContent = words[key];
    for (const [name, act] of Object.entries(does))
      piece(`[data-do=${name}]`).addEventListener("click", () => act(videoOf(ids[index]), known.get(ids[index])));
    piece(".tile-button").addEventListener("click", () => {
      emit("open", { video: videoOf(ids[index]), listed: () => done().map((one) => one.id) });
    });
    return { item, piece, shown: "", again: "" };
  }

  function drawTile(tile, id, index) {
    const job = known.get(id) || {};
    const { video } = job;
    const state = video ? `${id} done` : id;
    setText(tile.piece(".phase"), video ? "" : job.phase_text || "");
    setText(tile.piece(".note"), job.is_active || !job.again_text ? "" : job.note_text);
    setText(tile.piece(".seed"), job.seed === undefined ? "" : filled("variations.seed", { seed: job.seed }));
    tile.piece("[data-do=again]").hidden = !job.again_text;
    if (tile.again !== job.again_text) showUnbroken(tile.piece("[data-do=again]"), job.again_text || "");
    tile.again = job.again_text;
    tile.piece("[data-do=again]").setAttribute("aria-label", `${job.again_text}: ${job.seed}`);
    if (tile.shown === state) return;
    tile.shown = state;
    if (job.ratio) tile.piece(".tile").style.setProperty("--ratio", job.ratio);
    tile.piece("video")?.remove();
    tile.piece(".tile-button").disabled = !video;
    for (const name of Object.keys(NAMES)) tile.piece(`[data-do=${name}]`).hidden = !video;
    if (video) showVideo(tile, video, index);
  }

  function showVideo(tile, video, index) {
    const { poster, src, ratio } = filesOf(video);
    const player = node("video", "", "", { muted: true, playsInline: true, loop: true, preload: "none", poster, src });
    const name = filled("variations.open", { index: index + 1, count: ids.length });
    tile.piece(".tile").style.setProperty("--ratio", ratio);
    tile.piece(".tile-button").setAttribute("aria-label", name);
    tile.piece("[data-do=download]").href = fileOf(video, ".mp4", { download: 1 });
    for (const does of Object.keys(NAMES))
      tile.piece(`[data-do=${does}]`).setAttribute("aria-label", `${words[NAMES[does]]}: ${video.settings.seed}`);
    tile.piece(".tile").append(player);
    if (!isStill) player.play().catch(() => {});
  }

  // All tiles

  const draw = () => keepingFocus(section, drawAll);

  function drawAll() {
    const isShown = ids.length > 1;
    section.hidden = !isShown;
    noteContent(ids.join());
    screen.toggleAttribute("data-together", isShown);
    screen.toggleAttribute("data-together-ready", isShown && done().length > 0);
    if (!isShown) return;
    if (tiles.length !== ids.length) {
      tiles = ids.map((_id, index) => newTile(index));
      part("tiles").replaceChildren(...tiles.map(({ item }) => item));
      markFirst();
    }
    for (const [index, id] of ids.entries()) drawTile(tiles[index], id, index);
    const ready = filled("variations.ready", { done: done().length, count: ids.length });
    setText(part("title"), ready);
    part("cancel").hidden = !waiting().length;
    part("play").hidden = !done().length;
    setText(part("play"), words[isStill ? "variations.play" : "variations.pause"]);
    for (const { piece } of tiles) piece("[data-do=compare]").disabled = done().length < 2;
  }

  function show(click, jobs = []) {
    if (kept.get(CLOSED) === click.id) return;
    if (click.id !== clickId) {
      tiles = [];
      known.clear();
      choose(null);
    }
    clickId = click.id;
    for (const job of jobs) known.set(job.id, job);
    setIds(click.jobs);
  }

  function setIds(now) {
    ids = now;
    if (first && !ids.includes(first.id)) choose(null);
    emit("together", ids);
    draw();
  }

  function take(jobs) {
    const mine = jobs.filter(({ id }) => ids.includes(id));
    // A late answer must not show an ended job as unfinished.
    for (const job of mine) if (!job.is_active || !videoOf(job.id)) known.set(job.id, job);
    if (mine.length) draw();
  }

  function close() {
    if (!ids.length) return;
    for (const { piece } of tiles) piece("video")?.pause();
    tiles = [];
    part("tiles").replaceChildren();
    setIds([]);
  }

  function forget(id) {
    if (!ids.includes(id)) return;
    const left = ids.filter((one) => one !== id);
    if (left.length > 1) setIds(left);
    else close();
  }

  function togglePlay() {
    isStill = !isStill;
    for (const { piece } of tiles) {
      if (isStill) piece("video")?.pause();
      else
        piece("video")
          ?.play()
          .catch(() => {});
    }
    drawAll();
  }

  function keepSeed(seed) {
    emit("seed", seed);
    say(filled("variations.kept", { seed }));
  }

  function markFirst() {
    for (const [index, { piece }] of tiles.entries())
      piece("[data-do=compare]").setAttribute("aria-pressed", String(Boolean(first) && ids[index] === first.id));
  }

  /** Select one for a comparison, which the second selection starts. @param {any} video */
  function choose(video) {
    const left = first;
    first = left || !video ? null : video;
    markFirst();
    say(first ? words["variations.choose"] : "");
    if (left && video && left.id !== video.id) emit("compare", { left, right: video });
  }

  fill(element, words);
  part("cancel").addEventListener("click", () => emit("cancel", waiting()));
  part("play").addEventListener("click", togglePlay);
  part("close").addEventListener("click", () => {
    kept.set(CLOSED, clickId);
    close();
  });
  on("click", show);
  on("jobs", take);
  on("begun", (id) => {
    if (ids.length && !ids.includes(id)) close();
  });
  on("bring-up", () => isSmall() && reveal(element));
  // Another video has come or is requested in place of these.
  on("ready", close);
  on("covered", () => {
    for (const { piece } of tiles) piece("video")?.pause();
  });
  on("deleted", forget);
  watch("value", open);
  open();

  function open() {
    const { click, jobs } = props.value || {};
    if (click) show(click, jobs);
  }
}
