// My videos: the grid, the choice of several, deletions, and settings from a file.

import { kindOf } from "./batch_list.js";
import { channel } from "./browser.js";
import { cardOf, showFavourite } from "./card.js";
import { createDeletions } from "./deletions.js";
import { fill, goToField, keepingFocus, node, piecesOf } from "./dom.js";
import { hear, onReturn, send } from "./events.js";
import { words } from "./language.js";
import { settingsIn } from "./mp4_settings.js";
import { ask, fileOf, keeping } from "./server.js";
import { steady } from "./steady.js";

const SEARCH_AFTER_MS = 250;
const RANDOM_SEED = -1;
const MOST_ASKED = 3; // texts of one file that may be settings of this app
const BETWEEN_DOWNLOADS_MS = 400; // a browser drops those that come at once

export function gallery({ element, props }) {
  const part = piecesOf(element);
  const everybody = part("everybody").querySelector("input");
  const otherTabs = channel("hunyuan-deleted");
  let shown = []; // videos in the order of the page
  let before = null; // where the next page begins
  let asked = 0; // answers to older questions are dropped
  let isLoading = false;
  let isChoosing = false;
  let isPair = false; // the second one that is chosen is compared with the first at once
  /** @type {any[]} */
  let chosen = [];
  let typing;
  let opening = 0; // an answer to an older wish opens nothing
  let moves = 0; // of cards to other places
  const standsFor = steady(part("posters"));

  function moved() {
    moves += 1;
    standsFor(String(moves));
  }

  function say(text, isProblem = false) {
    part("line").textContent = text || "";
    part("line").classList.toggle("problem", isProblem);
  }
  const sayProblem = (answer) => say(answer.problem || words["gallery.unreachable"], true);
  const searched = () => part("search").value.trim();
  const isFiltered = () => Boolean(searched() || part("shape").value || onlyFavourites());
  const onlyFavourites = () => part("favourites").getAttribute("aria-pressed") === "true";
  const itemOf = (id) => part("posters").querySelector(`li[data-id="${id}"]`);
  const seen = () => shown.filter((video) => !deletions.has(video.id));

  const deletions = createDeletions({ erase, changed: showDeletions });

  // The grid

  function showNothing() {
    const count = seen().length;
    part("nothing").hidden = count > 0;
    part("posters").hidden = !count;
    part("more").hidden = before === null;
    part("choose").hidden = count < 2 && !isChoosing;
    part("shape").hidden = part("favourites").hidden = !count && !isFiltered();
    part("nothing-lead").textContent = words[searched() ? "gallery.no_match" : emptyLead()];
    part("nothing-help").textContent = isFiltered() ? "" : words[emptyHelp()];
  }

  const emptyLead = () => (isFiltered() ? "gallery.none_such" : "gallery.empty");

  function emptyHelp() {
    if (props.value?.is_owner) return everybody.checked ? "gallery.empty_help" : "gallery.empty_help_owner";
    return keeping() === "kept" ? "gallery.empty_help" : "gallery.empty_help_address";
  }

  async function page({ isFirst }) {
    asked += 1;
    const question = asked;
    const query = new URLSearchParams({ search: searched(), shape: part("shape").value });
    if (onlyFavourites()) query.set("favourites", "1");
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
    part("posters").append(...found.map(drawCard));
    before = answer.before;
    showNothing();
    watchTheEnd();
  }

  const fresh = (videos) => videos.filter((video) => !shown.some((known) => known.id === video.id));

  function drawCard(video) {
    const item = cardOf(video, part("card"), {
      open: () => (isChoosing ? choose(video) : open(video)),
      star: () => star(video),
      reuse() {
        send("settings", { settings: video.settings });
        goToField();
      },
      delete: () => deletions.add([video]),
    });
    item.hidden = deletions.has(video.id);
    return item;
  }

  async function star(video) {
    const isFavourite = !video.is_favourite;
    showFavourite(itemOf(video.id), isFavourite);
    const json = { is_favourite: isFavourite };
    const answer = await ask(`videos/${video.id}/favourite`, { json });
    if (answer.isOk) video.is_favourite = isFavourite;
    else sayProblem(answer);
    const item = itemOf(video.id);
    if (item) showFavourite(item, video.is_favourite);
  }

  // A new video comes in front; what is on the page stays where it is.
  async function lookForNews() {
    if (isFiltered()) return;
    const answer = await ask(`videos${everybody.checked ? "?everybody=1" : ""}`);
    if (!answer.isOk || isFiltered()) return;
    if (!shown.length) before = answer.before;
    const found = fresh(answer.videos);
    shown.unshift(...found);
    part("posters").prepend(...found.map(drawCard));
    if (found.length) moved();
    showNothing();
  }

  function forget(id) {
    shown = shown.filter((video) => video.id !== id);
    chosen = chosen.filter((video) => video.id !== id);
    const item = itemOf(id);
    if (item && !item.hidden) moved();
    item?.remove();
    showNothing();
    if (isChoosing) mark();
  }

  // Deleting

  function showDeletions(waiting) {
    for (const item of part("posters").children) item.hidden = deletions.has(item.dataset.id);
    moved();
    chosen = chosen.filter((video) => !deletions.has(video.id));
    if (isChoosing) mark();
    const text = waiting.length === 1 ? "gallery.deleted" : "gallery.deleted_several";
    part("undo-text").textContent = waiting.length ? words[text].replace("{count}", waiting.length) : "";
    keepingFocus(element, () => (part("undoing").hidden = !waiting.length));
    if (waiting.length) part("undo").focus({ preventScroll: true });
    showNothing();
  }

  async function erase(video) {
    const answer = await ask(`videos/${video.id}`, { method: "DELETE", keepalive: true });
    if (answer.isOk || answer.httpStatus === 404) return send("deleted", video.id);
    const item = itemOf(video.id);
    if (item) item.hidden = false;
    showNothing();
    say(answer.problem || words["export.unreachable"], true);
  }

  function undo() {
    const [first] = deletions.undo();
    itemOf(first?.id)?.querySelector("button").focus();
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

  const open = (video, kind = "") => send("open", { video, kind, ids: seen().map((one) => one.id) });

  async function find(id) {
    const known = shown.find((video) => video.id === id);
    if (known) return known;
    const answer = await ask(`videos/${encodeURIComponent(id)}`);
    if (!answer.isOk) sayProblem(answer);
    return answer.isOk ? answer.video : null;
  }

  async function openById(id, kind = "") {
    opening += 1;
    const wish = opening;
    const video = await find(id);
    if (video && wish === opening) open(video, kind);
  }

  // Choosing several

  /** @param {boolean} isOn @param {any} [first] What a second one is to be compared with. */
  function setChoosing(isOn, first = null) {
    isChoosing = isOn;
    isPair = first !== null;
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
    if (isPair && chosen.length === 2) compareChosen();
  }

  function compareChosen() {
    const [left, right] = chosen;
    setChoosing(false);
    send("compare", { left, right });
  }

  async function downloadChosen() {
    for (const video of [...chosen]) {
      node("a", "", "", { href: fileOf(video, ".mp4", { download: 1 }), download: "" }).click();
      await new Promise((go) => setTimeout(go, BETWEEN_DOWNLOADS_MS));
    }
  }

  function deleteChosen() {
    const gone = chosen;
    setChoosing(false);
    deletions.add(gone);
  }

  function mark() {
    for (const item of part("posters").children) {
      const isChosen = chosen.some((video) => video.id === item.dataset.id);
      const button = item.querySelector(".tile-button");
      item.querySelector(".mark").textContent = isChosen ? "✓" : "";
      if (isChoosing) button.setAttribute("aria-pressed", String(isChosen));
      else button.removeAttribute("aria-pressed");
    }
    part("count").textContent = words["gallery.chosen"].replace("{count}", String(chosen.length));
    part("chosen").hidden = !isChoosing || isPair || !chosen.length;
    part("compare").disabled = chosen.length !== 2;
    if (isChoosing) say(words[isPair ? "gallery.choose_second" : "gallery.choose_some"]);
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
      const [file] = event.dataTransfer.files;
      if (file && kindOf(file.name) !== "auto") send("list-file", file);
      else restore(file);
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
  part("shape").addEventListener("change", () => page({ isFirst: true }));
  part("favourites").addEventListener("click", () => {
    part("favourites").setAttribute("aria-pressed", String(!onlyFavourites()));
    page({ isFirst: true });
  });
  part("compare").addEventListener("click", compareChosen);
  part("download").addEventListener("click", downloadChosen);
  part("delete").addEventListener("click", deleteChosen);
  part("undo").addEventListener("click", undo);
  part("delete-now").addEventListener("click", deletions.finish);
  // What was told as deleted must not come back with the next visit.
  window.addEventListener("pagehide", deletions.finish);
  part("restore").addEventListener("click", () => part("file").click());
  part("file").addEventListener("change", () => {
    restore(part("file").files[0]);
    part("file").value = "";
  });
  part("chosen").setAttribute("aria-label", words["gallery.choose"]);
  part("everybody").hidden = !props.value?.is_owner;
  everybody.addEventListener("change", () => page({ isFirst: true }));
  element.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && isChoosing) setChoosing(false);
  });
  for (const name of ["dragenter", "dragover", "dragleave", "drop"]) document.addEventListener(name, drag);
  onReturn(lookForNews);
  hear("done", lookForNews);
  hear("delete", (video) => deletions.add([video]));
  hear("deleted", (id) => {
    forget(id);
    otherTabs.postMessage(id);
  });
  otherTabs.addEventListener("message", ({ data }) => {
    forget(data);
    send("gone", data);
  });
  hear("show", (id) => openById(id));
  hear("closed", () => (opening += 1));
  hear("export", (id) => openById(id, "gif"));
  hear("choose", async (id) => {
    const video = await find(id);
    if (!video) return;
    const isAlone = seen().every((one) => one.id === id) && !isFiltered() && before === null;
    if (isAlone) say(words["gallery.one_only"]);
    else setChoosing(true, video);
    part("line").scrollIntoView({ block: "center" });
  });

  const wished = new URLSearchParams(location.search).get("job");
  page({ isFirst: true }).then(() => {
    if (wished) openById(wished);
  });
}
