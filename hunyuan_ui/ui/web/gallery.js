// My videos: the grid, the choice of two, and settings from a file.

import { channel } from "./browser.js";
import { fill, goToField, node, piecesOf } from "./dom.js";
import { hear, onReturn, send } from "./events.js";
import { words } from "./language.js";
import { settingsIn } from "./mp4_settings.js";
import { ask, fileOf, keeping, timeText } from "./server.js";

const SEARCH_AFTER_MS = 250;
const RANDOM_SEED = -1;
const MOST_ASKED = 3; // texts of one file that may be settings of this app
const WIDE = 1.6; // width over height that fills a tile

function card(video, press) {
  const item = node("li");
  const button = node("button", "", "tile-button", { type: "button" });
  const tile = node("span", "", "tile");
  const src = fileOf(video, ".webp");
  const image = node("img", "", "", { alt: "", loading: "lazy", decoding: "async", src });
  image.addEventListener("error", () => image.remove());
  if (video.width < video.height * WIDE) tile.style.setProperty("--poster", `url("${src}")`);
  tile.append(image, node("span", video.length, "length"), node("span", "", "mark"));
  button.append(
    tile,
    node("span", video.settings.prompt, "text two-lines"),
    node("span", timeText(video.created_at), "when"),
  );
  button.addEventListener("click", press);
  item.dataset.id = video.id;
  item.append(button);
  return item;
}

export function gallery({ element, props }) {
  const part = piecesOf(element);
  const everybody = part("everybody").querySelector("input");
  const otherTabs = channel("hunyuan-deleted");
  let shown = []; // videos in the order of the page
  let before = null; // where the next page begins
  let asked = 0; // answers to older questions are dropped
  let isLoading = false;
  let isChoosing = false;
  let chosen = [];
  let typing;

  function say(text, isProblem = false) {
    part("line").textContent = text || "";
    part("line").classList.toggle("problem", isProblem);
  }
  const sayProblem = (answer) => say(answer.problem || words["gallery.unreachable"], true);
  const searched = () => part("search").value.trim();

  // The grid

  function showNothing() {
    const isSearch = searched() !== "";
    part("nothing").hidden = shown.length > 0;
    part("posters").hidden = !shown.length;
    part("more").hidden = before === null;
    part("choose").hidden = shown.length < 2 && !isChoosing;
    part("nothing-lead").textContent = words[isSearch ? "gallery.no_match" : "gallery.empty"];
    part("nothing-help").textContent = isSearch ? "" : words[emptyHelp()];
  }

  function emptyHelp() {
    if (props.value?.is_owner) return everybody.checked ? "gallery.empty_help" : "gallery.empty_help_owner";
    return keeping() === "kept" ? "gallery.empty_help" : "gallery.empty_help_address";
  }

  async function page({ isFirst }) {
    asked += 1;
    const question = asked;
    const query = new URLSearchParams({ search: searched() });
    if (everybody.checked) query.set("everybody", "1");
    if (!isFirst && before) query.set("before", before);
    isLoading = true;
    const answer = await ask(`videos?${query}`);
    if (question !== asked) return;
    isLoading = false;
    if (!answer.isOk) {
      sayProblem(answer);
      part("more").hidden = false;
      return;
    }
    say("");
    if (isFirst) {
      shown = [];
      part("posters").replaceChildren();
    }
    const found = fresh(answer.videos);
    shown.push(...found);
    part("posters").append(...found.map(cardOf));
    before = answer.before;
    showNothing();
    watchTheEnd();
  }

  const fresh = (videos) => videos.filter((video) => !shown.some((known) => known.id === video.id));
  const cardOf = (video) => card(video, () => (isChoosing ? choose(video) : open(video)));

  // A new video comes in front; what is on the page stays where it is.
  async function lookForNews() {
    if (searched()) return;
    const answer = await ask(`videos${everybody.checked ? "?everybody=1" : ""}`);
    if (!answer.isOk || searched()) return;
    if (!shown.length) before = answer.before;
    const found = fresh(answer.videos);
    shown.unshift(...found);
    part("posters").prepend(...found.map(cardOf));
    showNothing();
  }

  function forget(id) {
    shown = shown.filter((video) => video.id !== id);
    chosen = chosen.filter((video) => video.id !== id);
    part("posters").querySelector(`li[data-id="${id}"]`)?.remove();
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

  const open = (video, kind = "") => send("open", { video, kind, ids: shown.map((one) => one.id) });

  async function find(id) {
    const known = shown.find((video) => video.id === id);
    if (known) return known;
    const answer = await ask(`videos/${encodeURIComponent(id)}`);
    if (!answer.isOk) sayProblem(answer);
    return answer.isOk ? answer.video : null;
  }

  async function openById(id, kind = "") {
    const video = await find(id);
    if (video) open(video, kind);
  }

  // Choosing two

  function setChoosing(isOn, first = null) {
    isChoosing = isOn;
    chosen = first ? [first] : [];
    part("choose").setAttribute("aria-pressed", String(isOn));
    element.querySelector(".videos").toggleAttribute("data-choosing", isOn);
    if (isOn) part("choose").hidden = false;
    mark();
    if (!isOn) say("");
  }

  function choose(video) {
    const isChosen = chosen.some((one) => one.id === video.id);
    chosen = isChosen ? chosen.filter((one) => one.id !== video.id) : [...chosen, video];
    mark();
    if (chosen.length < 2) return;
    const [left, right] = chosen;
    setChoosing(false);
    send("compare", { left, right });
  }

  function mark() {
    for (const item of part("posters").children) {
      const place = chosen.findIndex((video) => video.id === item.dataset.id);
      const button = item.querySelector("button");
      item.querySelector(".mark").textContent = place < 0 ? "" : "AB"[place];
      if (isChoosing) button.setAttribute("aria-pressed", String(place >= 0));
      else button.removeAttribute("aria-pressed");
    }
    if (isChoosing) say(words[chosen.length ? "gallery.choose_second" : "gallery.choose_first"]);
  }

  // Settings from a file

  const sayAndShow = (text) => {
    say(text, true);
    part("line").scrollIntoView({ block: "nearest" });
  };

  function withoutOwn({ isVideo, isCut, program }) {
    if (!isVideo) return words["gallery.not_mp4"];
    if (program) return words["gallery.of_program"].replace("{program}", program);
    if (program === "") return words["gallery.of_another"];
    return words[isCut ? "gallery.cut_short" : "gallery.no_settings"];
  }

  // The file stays here: the server is sent the settings alone, whose rules it knows.
  async function restore(file) {
    if (!file) return;
    say(words["gallery.reading"]);
    const found = await settingsIn(file).catch(() => null);
    if (!found) return sayAndShow(words["gallery.unreadable"]);
    if (!found.own.length) return sayAndShow(withoutOwn(found));
    const answers = [];
    for (const text of found.own.slice(0, MOST_ASKED)) {
      answers.push(await ask("settings", { json: { text } }));
      if (answers.at(-1).isOk) break;
    }
    const answer = answers.at(-1);
    if (!answer.isOk) return sayAndShow(answers[0].problem || words["gallery.unreachable"]);
    send("settings", { settings: answer.settings, isRandom: answer.settings.seed === RANDOM_SEED });
    say(words["gallery.restored"]);
    goToField();
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

  fill(element, words);
  part("search").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(page, SEARCH_AFTER_MS, { isFirst: true });
  });
  part("more").addEventListener("click", () => page({ isFirst: shown.length === 0 }));
  part("choose").addEventListener("click", () => setChoosing(!isChoosing));
  part("restore").addEventListener("click", () => part("file").click());
  part("file").addEventListener("change", () => {
    restore(part("file").files[0]);
    part("file").value = "";
  });
  part("everybody").hidden = !props.value?.is_owner;
  everybody.addEventListener("change", () => page({ isFirst: true }));
  element.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && isChoosing) setChoosing(false);
  });
  for (const name of ["dragenter", "dragover", "dragleave", "drop"]) document.addEventListener(name, drag);
  onReturn(lookForNews);
  hear("done", lookForNews);
  hear("deleted", (id) => {
    forget(id);
    otherTabs.postMessage(id);
  });
  otherTabs.addEventListener("message", ({ data }) => {
    forget(data);
    send("gone", data);
  });
  hear("show", (id) => openById(id));
  hear("export", (id) => openById(id, "gif"));
  hear("choose", async (id) => {
    const video = await find(id);
    if (!video) return;
    const isAlone = shown.every((one) => one.id === id) && !searched() && before === null;
    if (isAlone) say(words["gallery.one_only"]);
    else setChoosing(true, video);
    part("line").scrollIntoView({ block: "center" });
  });

  const wished = new URLSearchParams(location.search).get("job");
  page({ isFirst: true }).then(() => {
    if (wished) openById(wished);
  });
}
