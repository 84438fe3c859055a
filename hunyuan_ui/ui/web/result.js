const { words } = hunyuan;
const part = (name) => element.querySelector(`[data-part="${name}"]`);
const result = element.querySelector(".result");
let id = null;
let settings = null;

function fact(text) {
  const item = document.createElement("li");
  item.textContent = text;
  return item;
}

function show(video) {
  id = video.id;
  settings = video.settings;
  result.hidden = false;
  part("facts").replaceChildren(...video.facts.map(fact));
  part("prompt").textContent = video.settings.prompt;
  part("download").href = hunyuan.videos.file(video, ".mp4", { download: 1 });
}

function forget(gone) {
  if (gone === id) result.hidden = true;
}

hunyuan.fill(element, words);
part("reuse").addEventListener("click", () => hunyuan.form.show(settings));
part("new-seed").addEventListener("click", () => hunyuan.form.show(settings, { isRandom: true }));
part("compare").addEventListener("click", () => hunyuan.videos.send("choose", id));
part("export").addEventListener("click", () => hunyuan.videos.send("show", id));
hunyuan.videos.shown(props, watch, show, forget);
