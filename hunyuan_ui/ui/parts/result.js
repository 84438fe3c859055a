const words = hunyuan.words(props.words);
const MOST_LOADS = 6;
const part = (name) => element.querySelector(`[data-part="${name}"]`);

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
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) video.pause();
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
document.addEventListener("loadedmetadata", (event) => event.target.closest("#player") && calm(event.target), true);
document.addEventListener("error", (event) => event.target.matches("#player video") && loadAgain(event.target), true);
part("reuse").addEventListener("click", () => trigger("reuse", { job: props.value.job }));
part("new-seed").addEventListener("click", () => trigger("new_seed", { job: props.value.job }));
part("compare").addEventListener("click", () => hunyuan.videos.send("choose", props.value.job));
part("export").addEventListener("click", () => hunyuan.videos.send("show", props.value.job));
watch("value", show);
show();
