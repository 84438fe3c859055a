// The dialog that plays two videos in sync.

import { closedBeside, closedByBack, openAfterReload } from "./back_button.js";
import { correction, frameOf, framesOf, isRested, leaderOf, timeOf, timesOf } from "./compare_sync.js";
import { fill, loadFile, node, piecesOf, prefersCalm, showUnbroken, unload } from "./dom.js";
import { emit, on } from "./events.js";
import { filled, joined, words } from "./language.js";
import { sayWhyUnplayed } from "./playback_failure.js";
import { ask, filesOf } from "./server.js";
import { languageOf, nameOf } from "./text_language.js";

const shown = (name, value) => (name === "negative_prompt" && value === "" ? "–" : String(value));

function difference(name, left, right) {
  const values = node("dd", "", typeof left === "string" ? "long" : "");
  // In either text direction, the first stays before the arrow.
  const side = (value) => node("bdi", value, "", typeof left === "string" ? { lang: languageOf(value) } : {});
  values.append(side(shown(name, left)), node("span", " → ", "arrow"), side(shown(name, right)));
  return [node("dt", words[`field.${name}`]), values];
}

export function compare({ element, props }) {
  const part = piecesOf(element);
  const dialog = element.querySelector("dialog");
  const enter = closedByBack(dialog, again);
  const both = [part("left"), part("right")];
  const unplayed = ["", ""];
  let compared = [];
  let isPlaying = false;
  let isLoop = true;
  let timer = 0;
  let turn = 0; // an outdated wait does nothing

  const leader = () => leaderOf(both);
  const isReady = () => both.every((video) => video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA && !video.seeking);

  // Playing

  function play() {
    isPlaying = true;
    if (isRested(leader())) goTo(0);
    resume();
    showState();
  }

  function resume() {
    if (!isPlaying) return;
    for (const video of both) if (!isRested(video)) video.play().catch(() => {});
    cancelAnimationFrame(timer);
    timer = requestAnimationFrame(keepInStep);
  }

  function stop() {
    isPlaying = false;
    cancelAnimationFrame(timer);
    for (const video of both) video.pause();
  }

  function pause() {
    stop();
    goTo(frameOf(leader()));
    showState();
  }

  function keepInStep() {
    if (!isPlaying) return;
    if (leader().ended) {
      if (!isLoop) return pause();
      goTo(0);
      return whenShown(resume);
    }
    if (both.some((video) => !isRested(video) && video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA)) {
      // The video with data waits for the other, rather than running ahead and seeking back.
      for (const video of both) video.pause();
      return whenShown(resume);
    }
    correct(leader(), leader() === both[0] ? both[1] : both[0]);
    showTime();
    timer = requestAnimationFrame(keepInStep);
  }

  function correct(first, second) {
    if (isRested(second) || second.seeking) return;
    const { jump_s, rate } = correction(first.currentTime, second.currentTime);
    if (rate === undefined) second.currentTime = jump_s;
    else second.playbackRate = rate;
    if (second.paused) second.play().catch(() => {});
  }

  // Continues when both show the requested frames.
  function whenShown(then) {
    turn += 1;
    const mine = turn;
    const look = () => {
      if (mine !== turn || !dialog.open) return;
      if (isReady()) then();
      else setTimeout(look, 15);
    };
    look();
  }

  function goTo(frame) {
    const wished = Math.max(0, Math.min(framesOf(leader()) - 1, frame));
    for (const video of both) {
      video.playbackRate = 1;
      video.currentTime = timeOf(video, wished);
    }
    showTime(wished);
  }

  function pauseAt(frame) {
    if (isPlaying) pause();
    goTo(frame);
  }
  const step = (by) => {
    if (isPlaying) pause();
    goTo(Number(part("timeline").value) + by);
  };

  // Display

  function showState() {
    part("play").textContent = words[isPlaying ? "compare.pause" : "compare.play"];
    // A running time would be read out endlessly; a time reached by stepping is an answer.
    part("time").setAttribute("aria-live", isPlaying ? "off" : "polite");
    dialog.dataset.playing = isPlaying;
  }

  function showTime(frame = frameOf(leader())) {
    const text = filled("compare.time", timesOf(frame, leader()));
    part("timeline").max = framesOf(leader()) - 1;
    part("timeline").value = frame;
    part("timeline").setAttribute("aria-valuetext", text);
    part("time").textContent = text;
  }

  function showDifferences({ settings: left }, { settings: right }) {
    const names = props.value.fields.filter((name) => left[name] !== right[name]);
    part("differs-title").textContent = words[names.length ? "compare.differs" : "compare.same"];
    part("differs").replaceChildren(...names.flatMap((name) => difference(name, left[name], right[name])));
  }

  function open({ left, right }) {
    isPlaying = false;
    compared = [left, right];
    for (const [index, video] of compared.entries()) {
      sayUnplayed(index, "");
      load(index);
      showUnbroken(part(["left-text", "right-text"][index]), video.facts.join(" · "));
      both[index].setAttribute("aria-label", `${"AB"[index]}: ${nameOf(video.settings.prompt)}`);
    }
    showDifferences(left, right);
    showState();
    emit("covered");
    if (!dialog.open) enter([left.id, right.id]);
    if (!dialog.open) dialog.showModal();
    part("play").focus();
    whenShown(() => (prefersCalm() ? goTo(0) : play()));
  }

  async function again(ids) {
    const answers = await Promise.all(ids.map((id) => ask(`videos/${id}`)));
    if (!answers.every(({ isOk }) => isOk)) return emit("unopened");
    const [left, right] = answers.map(({ video }) => video);
    open({ left, right });
  }

  const load = (index) => loadFile(both[index], filesOf(compared[index]));

  function sayUnplayed(index, text) {
    unplayed[index] = text;
    part("line").textContent = joined(unplayed);
  }

  function empty() {
    stop();
    turn += 1;
    both.forEach(unload);
  }

  fill(element, words);
  part("play").addEventListener("click", () => (isPlaying ? pause() : play()));
  part("back").addEventListener("click", () => step(-1));
  part("forward").addEventListener("click", () => step(1));
  part("timeline").addEventListener("input", () => pauseAt(Number(part("timeline").value)));
  part("loop").addEventListener("click", () => {
    isLoop = !isLoop;
    part("loop").setAttribute("aria-pressed", String(isLoop));
  });
  part("close").addEventListener("click", () => dialog.close());
  closedBeside(dialog);
  dialog.addEventListener("close", empty);
  dialog.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === " " && !event.target.matches("button")) part("play").click();
    else if (event.key === ",") step(-1);
    else if (event.key === ".") step(1);
    else return;
    event.preventDefault();
  });
  for (const video of both) {
    video.addEventListener("loadedmetadata", () => showTime());
    const index = both.indexOf(video);
    const say = (text) => sayUnplayed(index, text && `${"AB"[index]}: ${text}`);
    video.addEventListener("error", () => sayWhyUnplayed(video, compared[index], say, () => load(index)));
    video.addEventListener("loadeddata", () => say(""));
  }
  on("compare", open);
  on("deleted", (id) => compared.some((one) => one.id === id) && dialog.close());
  openAfterReload(dialog);
}
