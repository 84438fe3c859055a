const SEARCH_AFTER_MS = 250;
const MAX_FILE_BYTES = 64 * 1024 * 1024;
const READ_WITHIN_MS = 120000;
const RANDOM_SEED = -1;
const WIDE = 1.6; // width over height that fills a tile
const { words } = hunyuan;
const part = (name) => element.querySelector(`[data-part="${name}"]`);
const everybody = part("everybody").querySelector("input");

const otherTabs = hunyuan.browser.channel("hunyuan-deleted");

let shown = []; // videos in the order of the page
let before = null; // where the next page begins
let asked = 0; // answers to older questions are dropped
let isLoading = false;
let isChoosing = false;
let chosen = [];

function say(text, isProblem = false) {
  part("line").textContent = text || "";
  part("line").classList.toggle("problem", isProblem);
}

// The grid

function span(name, text) {
  const node = document.createElement("span");
  node.className = name;
  node.textContent = text;
  return node;
}

function poster(video) {
  const image = document.createElement("img");
  image.alt = "";
  image.loading = "lazy";
  image.decoding = "async";
  image.src = hunyuan.videos.file(video, ".webp");
  image.addEventListener("error", () => image.remove());
  return image;
}

function card(video) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  const tile = span("tile", "");
  const when = hunyuan.videos.time(video.created_at);
  button.type = "button";
  if (video.width < video.height * WIDE) tile.style.setProperty("--poster", `url("${hunyuan.videos.file(video, ".webp")}")`);
  tile.append(poster(video), span("length", video.length), span("mark", ""));
  button.append(tile, span("text", video.settings.prompt), span("when", when));
  button.addEventListener("click", () => (isChoosing ? choose(video) : open(video)));
  item.dataset.id = video.id;
  item.append(button);
  return item;
}

const cardOf = (id) => part("posters").querySelector(`li[data-id="${id}"]`);

function showNothing() {
  const isSearch = part("search").value.trim() !== "";
  part("nothing").hidden = shown.length > 0;
  part("posters").hidden = !shown.length;
  part("more").hidden = before === null;
  part("choose").hidden = shown.length < 2 && !isChoosing;
  part("nothing-lead").textContent = words[isSearch ? "gallery.no_match" : "gallery.empty"];
  part("nothing-help").textContent = isSearch ? "" : words[emptyHelp()];
}

function emptyHelp() {
  if (props.value && props.value.is_owner) return everybody.checked ? "gallery.empty_help" : "gallery.empty_help_owner";
  return hunyuan.videos.keeping() === "kept" ? "gallery.empty_help" : "gallery.empty_help_address";
}

async function page({ isFirst }) {
  const question = (asked += 1);
  const query = new URLSearchParams({ search: part("search").value.trim() });
  if (everybody.checked) query.set("everybody", "1");
  if (!isFirst && before) query.set("before", before);
  isLoading = true;
  const answer = await hunyuan.videos.ask(`videos?${query}`);
  if (question !== asked) return;
  isLoading = false;
  if (!answer.isOk) {
    say(answer.problem || words["gallery.unreachable"], true);
    part("more").hidden = false;
    return;
  }
  say("");
  if (isFirst) {
    shown = [];
    part("posters").replaceChildren();
  }
  append(answer.videos);
  before = answer.before;
  showNothing();
  watchTheEnd();
}

function append(videos) {
  const fresh = videos.filter((video) => !shown.some((known) => known.id === video.id));
  shown.push(...fresh);
  part("posters").append(...fresh.map(card));
}

// A new video comes in front; what is on the page stays where it is.
async function lookForNews() {
  if (part("search").value.trim()) return;
  const answer = await hunyuan.videos.ask(`videos${everybody.checked ? "?everybody=1" : ""}`);
  if (!answer.isOk || part("search").value.trim()) return;
  if (!shown.length) before = answer.before;
  const fresh = answer.videos.filter((video) => !shown.some((known) => known.id === video.id));
  shown.unshift(...fresh);
  part("posters").prepend(...fresh.map(card));
  showNothing();
}

function forget(id) {
  shown = shown.filter((video) => video.id !== id);
  chosen = chosen.filter((video) => video.id !== id);
  if (cardOf(id)) cardOf(id).remove();
  showNothing();
  say(words["gallery.deleted"]);
}

const atTheEnd = new IntersectionObserver((seen) => {
  if (seen.some((entry) => entry.isIntersecting) && before && !isLoading) page({ isFirst: false });
});

function watchTheEnd() {
  // Observed anew, because a button that stays in view does not come into view again.
  atTheEnd.unobserve(part("more"));
  if (before) atTheEnd.observe(part("more"));
}

// Opening one

function open(video) {
  hunyuan.videos.send("open", { video, ids: shown.map((one) => one.id) });
}

async function find(id) {
  const known = shown.find((video) => video.id === id);
  if (known) return known;
  const answer = await hunyuan.videos.ask(`videos/${encodeURIComponent(id)}`);
  if (!answer.isOk) say(answer.problem || words["gallery.unreachable"], true);
  return answer.isOk ? answer.video : null;
}

async function openById(id) {
  const video = await find(id);
  if (video) open(video);
}

// Choosing two

function startChoosing(first = null) {
  isChoosing = true;
  chosen = first ? [first] : [];
  part("choose").setAttribute("aria-pressed", "true");
  element.querySelector(".videos").dataset.choosing = "";
  part("choose").hidden = false;
  mark();
}

function stopChoosing() {
  isChoosing = false;
  chosen = [];
  part("choose").setAttribute("aria-pressed", "false");
  delete element.querySelector(".videos").dataset.choosing;
  mark();
  say("");
}

function choose(video) {
  const isChosen = chosen.some((one) => one.id === video.id);
  chosen = isChosen ? chosen.filter((one) => one.id !== video.id) : [...chosen, video];
  mark();
  if (chosen.length < 2) return;
  const [left, right] = chosen;
  stopChoosing();
  hunyuan.videos.send("compare", { left, right });
}

function mark() {
  for (const item of part("posters").children) {
    const place = chosen.findIndex((video) => video.id === item.dataset.id);
    const button = item.querySelector("button");
    item.querySelector(".mark").textContent = place < 0 ? "" : String.fromCharCode(65 + place);
    if (isChoosing) button.setAttribute("aria-pressed", String(place >= 0));
    else button.removeAttribute("aria-pressed");
  }
  if (isChoosing) say(words[chosen.length ? "gallery.choose_second" : "gallery.choose_first"]);
}

// Settings from a file

async function restore(file) {
  if (!file) return;
  if (file.size > MAX_FILE_BYTES) return say(words["gallery.too_large"], true);
  say(words["gallery.reading"]);
  const answer = await hunyuan.videos.ask("settings", { method: "POST", body: file, within_ms: READ_WITHIN_MS });
  if (!answer.isOk) {
    say(answer.problem || words["gallery.unreachable"], true);
    part("line").scrollIntoView({ block: "nearest" });
    return;
  }
  hunyuan.form.show(answer.settings, { isRandom: answer.settings.seed === RANDOM_SEED });
  say(words["gallery.restored"]);
  hunyuan.videos.goToForm();
}

const holdsFile = (event) => [...(event.dataTransfer ? event.dataTransfer.types : [])].includes("Files");
let depth = 0; // dragging over a child leaves its parent

function drag(event) {
  if (!holdsFile(event)) return;
  event.preventDefault();
  depth += { dragenter: 1, dragleave: -1 }[event.type] || 0;
  if (event.type === "drop") {
    depth = 0;
    restore(event.dataTransfer.files[0]);
  }
  part("landing").hidden = depth <= 0;
}

hunyuan.videos.fill(element, words);
let typing = 0;
part("search").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => page({ isFirst: true }), SEARCH_AFTER_MS);
});
part("more").addEventListener("click", () => page({ isFirst: shown.length === 0 }));
part("choose").addEventListener("click", () => (isChoosing ? stopChoosing() : startChoosing()));
part("restore").addEventListener("click", () => part("file").click());
part("file").addEventListener("change", () => {
  restore(part("file").files[0]);
  part("file").value = "";
});
part("everybody").hidden = !(props.value || {}).is_owner;
everybody.addEventListener("change", () => page({ isFirst: true }));
element.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && isChoosing) stopChoosing();
});
for (const name of ["dragenter", "dragover", "dragleave", "drop"]) document.addEventListener(name, drag);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) lookForNews();
});
hunyuan.videos.hear("done", lookForNews);
hunyuan.videos.hear("deleted", (id) => {
  forget(id);
  otherTabs.postMessage(id);
});
otherTabs.addEventListener("message", ({ data }) => {
  forget(data);
  hunyuan.videos.send("gone", data);
});
hunyuan.videos.hear("show", openById);
hunyuan.videos.hear("choose", async (wish) => {
  const video = await find(wish);
  if (!video) return;
  startChoosing(video);
  part("line").scrollIntoView({ block: "center" });
});

const wished = new URLSearchParams(location.search).get("job");
page({ isFirst: true }).then(() => {
  if (wished) openById(wished);
});
