const words = hunyuan.words(props.words);
const MOST_LOADS = 6;
const BY_HAND_MS = 1000;
const part = (name) => element.querySelector(`[data-part="${name}"]`);
let touchedAt = -Infinity;

function fact(text) {
  const item = document.createElement("li");
  item.textContent = text;
  return item;
}

// Gradio's player has no muted or inline parameter, and a video that moves by itself is not for everybody.
function calm(video) {
  delete video.dataset.tries;
  video.muted = true;
  video.playsInline = true;
  rest(video);
}

// Gradio starts it more than once; only a hand on the player may.
function rest(video) {
  const isByHand = performance.now() - touchedAt < BY_HAND_MS;
  if (matchMedia("(prefers-reduced-motion: reduce)").matches && !isByHand) video.pause();
}

function inPlayer(react) {
  return (event) => event.target.closest("#player") && react(event.target);
}

// A browser does not ask again for a video whose answer went wrong.
function loadAgain(video) {
  const tries = Number(video.dataset.tries || 0);
  if (tries === MOST_LOADS) return;
  video.dataset.tries = tries + 1;
  setTimeout(() => video.load(), 1000 * 2 ** tries);
}

function show() {
  const value = props.value || {};
  element.querySelector(".result").hidden = !value.job;
  if (!value.job) return;
  part("facts").replaceChildren(...value.facts.map(fact));
  part("prompt").textContent = value.prompt;
  part("download").href = value.url;
  part("download").download = value.file_name;
}

hunyuan.fill(element, words);
document.addEventListener("loadedmetadata", inPlayer(calm), true);
document.addEventListener("play", inPlayer(rest), true);
for (const touch of ["pointerdown", "keydown"])
  document.addEventListener(touch, inPlayer(() => (touchedAt = performance.now())), true);
document.addEventListener("error", (event) => event.target.matches("#player video") && loadAgain(event.target), true);
part("reuse").addEventListener("click", () => trigger("reuse", { job: props.value.job }));
part("new-seed").addEventListener("click", () => trigger("new_seed", { job: props.value.job }));
part("compare").addEventListener("click", () => hunyuan.videos.send("choose", props.value.job));
part("export").addEventListener("click", () => hunyuan.videos.send("show", props.value.job));
watch("value", show);
show();
