const EXPORT_WITHIN_MS = 120000;
const { words } = hunyuan;
const part = (name) => element.querySelector(`[data-part="${name}"]`);
const dialog = element.querySelector("dialog");
const player = part("video");
const withSettings = part("settings").querySelector("input");

let video = null;
let ids = []; // the order of the grid, for the arrows
let making = 0; // an answer to an older wish is dropped

const say = (text, isProblem = false) => {
  part("line").textContent = text;
  part("line").classList.toggle("problem", isProblem);
};

function fact(text) {
  const item = document.createElement("li");
  item.textContent = text;
  return item;
}

function option(value, text) {
  const node = document.createElement("option");
  node.value = value;
  node.textContent = text;
  return node;
}

// One video

function show(newVideo) {
  video = newVideo;
  part("when").textContent = hunyuan.videos.time(video.created_at);
  part("prompt").textContent = video.settings.prompt;
  part("facts").replaceChildren(...video.facts.map(fact));
  part("missing").hidden = true;
  player.hidden = false;
  player.style.aspectRatio = `${video.width} / ${video.height}`;
  player.poster = hunyuan.videos.file(video, ".webp");
  player.src = hunyuan.videos.file(video, ".mp4");
  const place = ids.indexOf(video.id);
  part("previous").disabled = place <= 0;
  part("next").disabled = place < 0 || place + 1 >= ids.length;
  ask(false);
  offer();
  address(video.id);
  hunyuan.videos.rest();
  if (!dialog.open) dialog.showModal();
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) player.play().catch(() => {});
}

function step(by) {
  const id = ids[ids.indexOf(video.id) + by];
  if (id) hunyuan.videos.send("show", id);
}

// The address names the open video, so that a reload shows it again; it opens nothing for anybody else.
function address(id) {
  const url = new URL(location.href);
  if (id) url.searchParams.set("job", id);
  else url.searchParams.delete("job");
  history.replaceState(history.state, "", url);
}

function empty() {
  player.pause();
  player.removeAttribute("src");
  player.removeAttribute("poster");
  player.load();
  address(null);
  making += 1;
}

function leaveFor(field) {
  dialog.close();
  hunyuan.videos.goToForm(field);
}

// Taking it along

const isAnimation = () => ["gif", "webp"].includes(part("kind").value);

function offer() {
  making += 1;
  part("side").hidden = part("rate").hidden = !isAnimation();
  part("settings").hidden = part("kind").value !== "mp4";
  part("make").hidden = false;
  part("make").disabled = false;
  part("save").hidden = true;
  say("");
}

function wished() {
  const kind = part("kind").value;
  if (kind === "mp4") return hunyuan.videos.file(video, ".mp4", withSettings.checked ? {} : { plain: 1 });
  if (isAnimation()) {
    const options = { side: part("side").value, fps: part("rate").value };
    return hunyuan.videos.file(video, `/export.${kind}`, options);
  }
  const at = kind === "poster" ? video.duration_s / 3 : player.currentTime;
  return hunyuan.videos.file(video, "/export.png", { at: at.toFixed(3) });
}

async function make() {
  const wish = (making += 1);
  const url = wished();
  const abort = new AbortController();
  const deadline = setTimeout(() => abort.abort(), EXPORT_WITHIN_MS);
  part("make").disabled = true;
  say(words["export.making"]);
  try {
    const answer = await fetch(url, { signal: abort.signal });
    if (!answer.ok) throw new Error(((await answer.json()) || {}).problem || "");
    const bytes = (await answer.blob()).size;
    if (wish === making) ready(url, bytes);
  } catch (error) {
    const sentence = error.name === "Error" && error.message ? error.message : words["export.unreachable"];
    if (wish === making) say(sentence, true);
  }
  clearTimeout(deadline);
  if (wish === making) part("make").disabled = false;
}

function ready(url, bytes) {
  part("make").hidden = true;
  part("save").hidden = false;
  part("save").href = `${url}&download=1`;
  part("save").textContent = words["export.save"].replace("{size}", hunyuan.videos.size(bytes));
  say("");
  part("save").focus();
}

// Deleting asks once

function ask(isAsking) {
  part("sure").hidden = !isAsking;
  part("delete").hidden = isAsking;
  if (isAsking) part("keep").focus();
}

async function remove() {
  const { id } = video;
  part("really").disabled = true;
  const answer = await hunyuan.videos.ask(`videos/${id}`, { method: "DELETE" });
  part("really").disabled = false;
  ask(false);
  if (!answer.isOk) return say(answer.problem || words["export.unreachable"], true);
  dialog.close();
  hunyuan.videos.send("deleted", id);
}

hunyuan.videos.fill(element, words);
part("change").append(option("", words["viewer.change"]));
for (const name of props.value.fields) part("change").append(option(name, words[`field.${name}`]));
for (const side of props.value.sides) part("side").append(option(side, words["export.side_px"].replace("{side}", side)));
for (const rate of props.value.rates) part("rate").append(option(rate, words["export.rate_fps"].replace("{rate}", rate)));
part("side").value = props.value.sides[1];
part("rate").value = props.value.rates[1];

part("reuse").addEventListener("click", () => {
  hunyuan.form.show(video.settings);
  leaveFor("prompt");
});
part("new-seed").addEventListener("click", () => {
  hunyuan.form.show(video.settings, { isRandom: true });
  leaveFor("prompt");
});
part("change").addEventListener("change", () => {
  const field = part("change").value;
  part("change").value = "";
  if (!field) return;
  hunyuan.form.show(video.settings);
  leaveFor(field);
});
part("compare").addEventListener("click", () => {
  dialog.close();
  hunyuan.videos.send("choose", video.id);
});
for (const name of ["kind", "side", "rate"]) part(name).addEventListener("change", offer);
withSettings.addEventListener("change", offer);
part("make").addEventListener("click", make);
part("delete").addEventListener("click", () => ask(true));
part("keep").addEventListener("click", () => {
  ask(false);
  part("delete").focus();
});
part("really").addEventListener("click", remove);
part("previous").addEventListener("click", () => step(-1));
part("next").addEventListener("click", () => step(1));
part("close").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", empty);
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});
dialog.addEventListener("keydown", (event) => {
  if (event.target.matches("input, select, video, textarea")) return;
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
});
player.addEventListener("error", () => {
  if (!player.getAttribute("src")) return;
  player.hidden = true;
  part("missing").hidden = false;
});
hunyuan.videos.hear("gone", (id) => {
  if (dialog.open && video.id === id) dialog.close();
});
hunyuan.videos.hear("open", (opened) => {
  if (opened.ids) ids = opened.ids;
  show(opened.video);
});
