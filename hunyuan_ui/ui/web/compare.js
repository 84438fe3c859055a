const FPS = 24;
const FRAME_S = 1 / FPS;
const APART_S = FRAME_S / 4; // below this, two videos are in step
const JUMP_S = 0.2; // further apart, one of them jumps instead of hurrying
const HURRY = 0.25; // most that the second may run faster or slower
const { words } = hunyuan;
const part = (name) => element.querySelector(`[data-part="${name}"]`);
const dialog = element.querySelector("dialog");
const both = [part("left"), part("right")];

let isPlaying = false;
let isLoop = true;
let timer = 0;

// The longer one leads; the shorter one rests on its last frame until both begin again.
const length_s = (video) => (Number.isFinite(video.duration) ? video.duration : 0);
const leader = () => (length_s(both[1]) > length_s(both[0]) ? both[1] : both[0]);
const follower = () => both.find((video) => video !== leader());
const frames = () => Math.max(1, Math.round(length_s(leader()) * FPS));
const frameNow = () => Math.min(frames() - 1, Math.floor(leader().currentTime * FPS + 0.01));
const isReady = () => both.every((video) => video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA);
const isRested = (video) => video.ended || video.currentTime >= length_s(video) - APART_S;

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

function pause() {
  isPlaying = false;
  cancelAnimationFrame(timer);
  for (const video of both) video.pause();
  goTo(frameNow());
  showState();
}

function keepInStep() {
  if (!isPlaying) return;
  const [first, second] = [leader(), follower()];
  if (first.ended) {
    if (!isLoop) return pause();
    goTo(0);
    whenShown(resume);
    return;
  }
  const isLate = both.some((video) => !isRested(video) && video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA);
  if (isLate) {
    // Whoever has data waits for the other one, instead of running ahead and being fetched back.
    for (const video of both) video.pause();
    whenShown(resume);
    return;
  }
  correct(first, second);
  showTime();
  timer = requestAnimationFrame(keepInStep);
}

function correct(first, second) {
  const ahead_s = second.currentTime - first.currentTime;
  if (isRested(second) || second.seeking) return;
  if (Math.abs(ahead_s) > JUMP_S) {
    second.currentTime = first.currentTime;
  } else {
    const hurry = Math.abs(ahead_s) < APART_S ? 0 : Math.max(-HURRY, Math.min(HURRY, -ahead_s * 6));
    second.playbackRate = 1 + hurry;
  }
  if (second.paused) second.play().catch(() => {});
}

// Goes on when both show what they were told to show.
function whenShown(then) {
  const turn = (whenShown.turn = (whenShown.turn || 0) + 1);
  const look = () => {
    if (turn !== whenShown.turn || !dialog.open) return;
    if (isReady() && both.every((video) => !video.seeking)) then();
    else setTimeout(look, 15);
  };
  look();
}

// The middle of a frame, so that rounding never shows its neighbour.
function goTo(frame) {
  const wished = Math.max(0, Math.min(frames() - 1, frame));
  for (const video of both) {
    video.playbackRate = 1;
    const last = Math.max(0, Math.round(length_s(video) * FPS) - 1);
    video.currentTime = (Math.min(wished, last) + 0.5) * FRAME_S;
  }
  showTime(wished);
}

function step(by) {
  if (isPlaying) pause();
  goTo(Number(part("timeline").value) + by);
}

// Showing

function showState() {
  part("play").textContent = words[isPlaying ? "compare.pause" : "compare.play"];
  dialog.dataset.playing = isPlaying;
}

function showTime(frame = frameNow()) {
  const text = `${(frame * FRAME_S).toFixed(2)} / ${length_s(leader()).toFixed(2)} s`;
  part("timeline").max = frames() - 1;
  part("timeline").value = frame;
  part("timeline").setAttribute("aria-valuetext", text);
  part("time").textContent = text;
}

const shown = (name, value) => (name === "negative_prompt" && value === "" ? "–" : String(value));

function row(name, left, right) {
  const term = document.createElement("dt");
  const values = document.createElement("dd");
  const [from, arrow, to] = ["span", "span", "span"].map((kind) => document.createElement(kind));
  term.textContent = words[`field.${name}`];
  from.textContent = shown(name, left);
  arrow.textContent = " → ";
  arrow.className = "arrow";
  to.textContent = shown(name, right);
  values.classList.toggle("long", typeof left === "string");
  values.append(from, arrow, to);
  return [term, values];
}

function showDifferences(left, right) {
  const names = props.value.fields.filter((name) => left.settings[name] !== right.settings[name]);
  part("differs-title").textContent = words[names.length ? "compare.differs" : "compare.same"];
  part("differs").replaceChildren(...names.flatMap((name) => row(name, left.settings[name], right.settings[name])));
}

function open({ left, right }) {
  isPlaying = false;
  part("line").textContent = "";
  for (const [index, video] of [left, right].entries()) {
    both[index].style.aspectRatio = `${video.width} / ${video.height}`;
    both[index].poster = hunyuan.videos.file(video, ".webp");
    both[index].src = hunyuan.videos.file(video, ".mp4");
    part(["left-text", "right-text"][index]).textContent = video.facts.join(" · ");
    both[index].setAttribute("aria-label", `${"AB"[index]}: ${video.settings.prompt}`);
  }
  part("pair").dataset.tall = left.height > left.width && right.height > right.width;
  showDifferences(left, right);
  showState();
  hunyuan.videos.rest();
  if (!dialog.open) dialog.showModal();
  part("play").focus();
  whenShown(() => (matchMedia("(prefers-reduced-motion: reduce)").matches ? goTo(0) : play()));
}

function empty() {
  isPlaying = false;
  cancelAnimationFrame(timer);
  whenShown.turn = (whenShown.turn || 0) + 1;
  for (const video of both) {
    video.pause();
    video.removeAttribute("src");
    video.removeAttribute("poster");
    video.load();
  }
}

hunyuan.videos.fill(element, words);
part("play").addEventListener("click", () => (isPlaying ? pause() : play()));
part("back").addEventListener("click", () => step(-1));
part("forward").addEventListener("click", () => step(1));
part("timeline").addEventListener("input", () => {
  const frame = Number(part("timeline").value);
  if (isPlaying) pause();
  goTo(frame);
});
part("loop").addEventListener("click", () => {
  isLoop = !isLoop;
  part("loop").setAttribute("aria-pressed", String(isLoop));
});
part("close").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", empty);
dialog.addEventListener("keydown", (event) => {
  const isOnButton = event.target.matches("button");
  if (event.key === " " && !isOnButton) part("play").click();
  else if (event.key === ",") step(-1);
  else if (event.key === ".") step(1);
  else return;
  event.preventDefault();
});
for (const video of both) {
  video.addEventListener("loadedmetadata", () => showTime());
  video.addEventListener("error", () => {
    if (!video.getAttribute("src")) return;
    part("line").textContent = words["compare.missing"];
    part("line").classList.add("problem");
  });
}
hunyuan.videos.hear("compare", open);
