const words = hunyuan.words(props.words);
const part = (name) => element.querySelector(`[data-part="${name}"]`);

function fact(text) {
  const item = document.createElement("li");
  item.textContent = text;
  return item;
}

// Gradio's player has no muted or inline parameter, and a video that moves by itself is not for everybody.
function calm(video) {
  video.muted = true;
  video.playsInline = true;
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) video.pause();
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
part("reuse").addEventListener("click", () => trigger("reuse", { job: props.value.job }));
part("new-seed").addEventListener("click", () => trigger("new_seed", { job: props.value.job }));
part("compare").addEventListener("click", () => hunyuan.videos.send("choose", props.value.job));
part("export").addEventListener("click", () => hunyuan.videos.send("show", props.value.job));
watch("value", show);
show();
