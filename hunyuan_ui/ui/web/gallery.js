// My videos: the grid, its search, and deletions.

import { addressedVideo, channel, setQuery, storageKey, tab, takeOver } from "./browser_storage.js";
import { fill, goToField, isDrawn, piecesOf, reveal, setText } from "./dom.js";
import { draftIn } from "./draft.js";
import { readSettingsFiles } from "./dropped_file.js";
import { emit, on, onReturn } from "./events.js";
import { filled, words } from "./language.js";
import { guardPresses } from "./misdirected_press.js";
import { createSelection } from "./selection.js";
import { arrived, ask, keeping } from "./server.js";
import { createUnconfirmedChanges } from "./unconfirmed_changes.js";
import { createDeletions } from "./undo_delete.js";
import { cardOf, showFavourite } from "./video_card.js";

const SEARCH_AFTER_MS = 250;
const ERASED_WITHIN_MS = 60000; // several, which may lie in a slow store
const STOCK = 4; // videos that are loaded beyond the open one
const EVERYBODY = "hunyuan_everybody";
const FILTERS = "hunyuan_filters";
const MOST_NEWS = 3; // new pages that are prepended; with more the list is reloaded

export function gallery({ element, props }) {
  const part = piecesOf(element);
  const everybody = part("everybody").querySelector("input");
  const otherTabs = channel("hunyuan-deleted");
  let shown = []; // videos in display order
  let before = null; // cursor of the next page
  let asked = 0; // answers to older requests are dropped
  let lists = 0; // how often the list was reloaded
  let listed = ""; // the query of the shown list, to which `before` belongs
  /** @type {{isFirst: boolean} | null} */
  let loading = null; // the page that is on its way
  /** @type {{isFirst: boolean} | null} */
  let owed = null; // the last requested page, if it did not arrive
  let isNewsDue = false; // a first page on its way may be older than a video that has come since
  let typing;
  /** @type {string | null} */
  let unopened = null; // the video that the page's address names, if its answer was lost
  let opening = 0; // an answer to an older request opens nothing
  /** @type {any} */
  let opener = null; // the tile whose video was opened first
  let neighbour = ""; // the id of the video beside the last deleted one
  let undoable = 0; // number of deletions that can be undone
  let moves = 0; // number of changes in the cards' positions
  let starred = Promise.resolve();
  const newer = createUnconfirmedChanges();
  const noteContent = guardPresses(part("posters"));

  function moved() {
    moves += 1;
    noteContent(String(moves));
  }

  function say(text, isProblem = false) {
    setText(part("line"), text || "");
    part("line").classList.toggle("problem", isProblem);
  }
  const sayProblem = (answer) => say(answer.problem || words["gallery.unreachable"], true);
  const searched = () => part("search").value.trim();
  const isFiltered = () => Boolean(searched() || part("shape").value || onlyFavourites());
  const onlyFavourites = () => part("favourites").getAttribute("aria-pressed") === "true";
  const filters = () => ({ search: part("search").value, shape: part("shape").value, favourites: onlyFavourites() });
  const keepFilters = () => tab.set(storageKey(FILTERS), JSON.stringify(filters()));
  const itemOf = (id) => part("posters").querySelector(`li[data-id="${id}"]`);
  const tileOf = (id) => itemOf(id)?.querySelector(".tile-button");
  const seen = () => shown.filter((video) => !deletions.has(video.id));

  const deletions = createDeletions({ erase, changed: showDeletions });
  const choice = createSelection(element, part, { say, remove: (videos) => deletions.add(videos) });

  function bringFiltersBack() {
    takeOver(FILTERS, "search");
    const { search, shape, favourites } = { ...filters(), ...draftIn(tab.get(storageKey(FILTERS)), filters()) };
    part("search").value = search;
    part("shape").value = shape;
    if (part("shape").selectedIndex < 0) part("shape").selectedIndex = 0;
    part("favourites").setAttribute("aria-pressed", String(favourites));
  }

  // The grid

  function showNothing() {
    const count = seen().length;
    part("nothing").hidden = count > 0;
    part("posters").hidden = !count;
    part("more").hidden = before === null;
    // While the list is narrowed nothing beside the filters comes or goes, which would move them from under the pointer.
    part("choose").hidden = count < 2 && !isFiltered() && !choice.isOn();
    part("shape").hidden = part("favourites").hidden = !count && !isFiltered();
    part("nothing-lead").textContent = words[searched() ? "gallery.no_match" : emptyLead()];
    part("nothing-help").textContent = isFiltered() ? "" : words[emptyHelp()];
    emit("listed");
  }

  /** Announce the result of a search or a filter to screen readers. */
  function tellFound() {
    const { length } = seen();
    const key = before === null ? "gallery.found" : "gallery.found_more";
    part("found").textContent = isFiltered() ? filled(key, { count: length }) : "";
  }

  const emptyLead = () => (isFiltered() ? "gallery.none_such" : "gallery.empty");

  function emptyHelp() {
    if (props.value?.is_wiped) return "gallery.empty_help_wiped";
    if (props.value?.is_owner) return everybody.checked ? "gallery.empty_help" : "gallery.empty_help_owner";
    return keeping() === "kept" ? "gallery.empty_help" : "gallery.empty_help_address";
  }

  function wished() {
    const query = new URLSearchParams({ search: searched(), shape: part("shape").value });
    if (onlyFavourites()) query.set("favourites", "1");
    if (everybody.checked) query.set("everybody", "1");
    return String(query);
  }

  /** Load the next page of the shown list, or the first one of another list that was wished for since. */
  function goOn() {
    if (!loading) page({ isFirst: owed?.isFirst || !shown.length || wished() !== listed });
  }

  async function page({ isFirst }) {
    asked += 1;
    lists += Number(isFirst);
    const question = asked;
    const query = wished();
    loading = { isFirst };
    const since = newer.now();
    const answer = await ask(`videos?${query}${!isFirst && before ? `&before=${encodeURIComponent(before)}` : ""}`);
    if (question !== asked) return;
    loading = null;
    owed = answer.isOk ? null : { isFirst };
    if (!answer.isOk) {
      // A computer that has slept gives up the request that it fell asleep over, and may have news to ask for.
      if (isNewsDue) return lookForNews();
      sayProblem(answer);
      part("more").hidden = false;
      return;
    }
    if (isFirst || part("line").classList.contains("problem")) say("");
    keepingPlace(() => {
      if (isFirst) {
        shown = [];
        listed = query;
        part("posters").replaceChildren();
      }
      const found = fresh(newer.over(answer.videos, since));
      shown.push(...found);
      part("posters").append(...found.map(drawCard));
      choice.listed(shown);
      before = answer.before;
      showNothing();
    });
    if (isFirst) tellFound();
    watchTheEnd();
    if (isNewsDue) lookForNews();
  }

  /** Change the grid; the focus stays on its video, or goes to the one that stands in its place. */
  function keepingPlace(change) {
    const items = () => [...part("posters").children];
    const had = document.activeElement;
    const at = had === part("more") ? items().length : items().findIndex((item) => item.contains(had));
    const id = items()[at]?.dataset.id;
    change();
    if (at < 0 || (had?.isConnected && isDrawn(had))) return;
    const inPlace = [...items().slice(at), ...items().slice(0, at).reverse()].find((item) => !item.hidden);
    const tile = (itemOf(id) ?? inPlace)?.querySelector(".tile-button");
    (tile ?? part("search")).focus({ preventScroll: true });
  }

  const fresh = (videos) => videos.filter((video) => !shown.some((known) => known.id === video.id));

  function drawCard(video) {
    const item = cardOf(video, part("card"), {
      open: () => (choice.isOn() ? choice.choose(video) : open(video)),
      star: () => star(video),
      reuse() {
        emit("settings", { settings: video.settings });
        goToField();
      },
      delete: () => deletions.add([video]),
    });
    item.hidden = deletions.has(video.id);
    return item;
  }

  function star(video) {
    const isFavourite = !video.is_favourite;
    mark(video, isFavourite);
    // Serialized, so that the last press wins.
    starred = starred.then(async () => {
      const answer = await ask(`videos/${video.id}/favourite`, { json: { is_favourite: isFavourite } });
      const now = shown.find(({ id }) => id === video.id) ?? video; // the list may be another by now
      if (!answer.isOk) sayProblem(answer);
      if (now.is_favourite === isFavourite) mark(now, answer.isOk === isFavourite);
    });
  }

  function mark(video, isFavourite) {
    newer.note(video.id, { is_favourite: isFavourite });
    video.is_favourite = isFavourite;
    const item = itemOf(video.id);
    if (item) showFavourite(item, isFavourite);
  }

  // New videos are prepended; the displayed ones stay in place.
  async function lookForNews() {
    isNewsDue = Boolean(loading?.isFirst);
    if (isNewsDue) return;
    if (owed?.isFirst) return page(owed);
    const list = lists;
    const isOther = () => list !== lists || wished() !== listed; // it was searched for something else since
    if (isOther()) return;
    const videos = [];
    let next = null; // end of the newest requested page
    for (let pages = 0; pages === 0 || (shown.length && next && !isJoined(videos)); pages += 1) {
      if (pages === MOST_NEWS) return page({ isFirst: true });
      const query = new URLSearchParams([...new URLSearchParams(listed)].filter(([, value]) => value));
      if (next) query.set("before", next);
      const since = newer.now();
      const answer = await ask(`videos${String(query) && `?${query}`}`);
      if (!answer.isOk || isOther()) return;
      videos.push(...newer.over(answer.videos, since));
      next = answer.before;
    }
    if (part("line").classList.contains("problem")) say("");
    if (!shown.length) before = next;
    const found = fresh(videos);
    shown.unshift(...found);
    part("posters").prepend(...found.map(drawCard));
    if (found.length) moved();
    choice.listed(shown);
    showNothing();
  }

  const isJoined = (videos) => fresh(videos).length < videos.length;

  function forget(id) {
    newer.note(id, { isGone: true });
    shown = shown.filter((video) => video.id !== id);
    const item = itemOf(id);
    if (item && !item.hidden) moved();
    keepingPlace(() => item?.remove());
    showNothing();
    choice.keep((video) => video.id !== id);
    deletions.drop(id);
  }

  // Deleting

  function showDeletions(waiting) {
    for (const item of part("posters").children) item.hidden = deletions.has(item.dataset.id);
    moved();
    choice.keep((video) => !deletions.has(video.id));
    const text = waiting.length === 1 ? "gallery.deleted" : "gallery.deleted_several";
    part("undo-text").textContent = waiting.length ? filled(text, { count: waiting.length }) : "";
    const isUsed = part("undoing").contains(document.activeElement);
    part("undoing").hidden = !waiting.length;
    const isMore = waiting.length > undoable;
    undoable = waiting.length;
    if (isMore) {
      const at = shown.findIndex(({ id }) => id === waiting[waiting.length - 1].id);
      neighbour = [...shown.slice(at), ...seen().reverse()].find(({ id }) => !deletions.has(id))?.id;
      part("undo").focus({ preventScroll: true });
    } else if (isUsed && !undoable) (tileOf(neighbour) || part("search")).focus({ preventScroll: true });
    showNothing();
  }

  async function erase(videos) {
    const ids = videos.map(({ id }) => id);
    const answer = await (ids.length > 1 ? eraseSeveral(ids) : eraseOne(ids[0]));
    for (const id of answer.gone) {
      emit("deleted", id);
      otherTabs.postMessage(id);
    }
    if (answer.gone.length < ids.length) say(answer.problem || words["gallery.delete_unanswered"], true);
    return answer.gone;
  }

  async function eraseOne(id) {
    const answer = await ask(`videos/${id}`, { method: "DELETE", keepalive: true });
    return { ...answer, gone: answer.isOk || answer.httpStatus === 404 ? [id] : [] };
  }

  async function eraseSeveral(ids) {
    const answer = await ask("videos/delete", { json: { ids }, keepalive: true, within_ms: ERASED_WITHIN_MS });
    return { ...answer, gone: ids.filter((id) => answer.gone?.includes(id)) };
  }

  function undo() {
    const [first] = deletions.undo();
    itemOf(first?.id)?.querySelector("button").focus();
  }

  const atTheEnd = new IntersectionObserver((seen) => {
    if (seen.some((entry) => entry.isIntersecting) && before) goOn();
  });

  function watchTheEnd() {
    // Observed anew, because a button that stays in view fires no event.
    atTheEnd.unobserve(part("more"));
    if (before) atTheEnd.observe(part("more"));
  }

  // Opening a video

  function open(video, kind = "") {
    unopened = null;
    opener = tileOf(video.id);
    emit("open", { video, kind, listed: () => seen().map((one) => one.id), hasMore: () => before !== null });
    stockUp(video.id);
  }

  /** Load the next page before the dialog has come to the end of this one. */
  function stockUp(id) {
    const at = shown.findIndex((video) => video.id === id);
    if (before && at >= shown.length - STOCK) goOn();
  }

  async function find(id) {
    const known = shown.find((video) => video.id === id);
    if (known) return known;
    const since = newer.now();
    const answer = await ask(`videos/${encodeURIComponent(id)}`);
    if (answer.isOk) return newer.over([answer.video], since)[0] ?? null;
    sayProblem(answer);
    // Its address would say the same after each reload.
    const isAddressed = id === addressedVideo();
    if (isAddressed && answer.httpStatus === 404) setQuery("job", null);
    else if (isAddressed) unopened = id;
    if (!unopened) reveal(part("line"), "center"); // whoever asked for it may look at another part of the page
    return null;
  }

  /** @param {(video: any) => void} show */
  async function openById(id, show = open) {
    opening += 1;
    unopened = null;
    const wish = opening;
    const video = deletions.has(id) ? null : await find(id);
    if (video && wish === opening) show(video);
    else if (!video) emit("unopened");
  }

  /** Show another video of the list through which the dialog goes. */
  function step(video) {
    emit("open", { video });
    stockUp(video.id);
  }

  /** Return to the tile of the video that was shown last, if the browser returned to the one that was opened first. */
  function closed(id) {
    opening += 1;
    if (opener && document.activeElement === opener) tileOf(id)?.focus();
    opener = null;
  }

  fill(element, words);
  for (const name of ["input", "compositionend"])
    part("search").addEventListener(name, ({ isComposing }) => {
      clearTimeout(typing);
      keepFilters();
      // What an input method is still composing are letters that nobody searches for.
      if (!isComposing) typing = setTimeout(page, SEARCH_AFTER_MS, { isFirst: true });
    });
  part("more").addEventListener("click", goOn);
  part("shape").addEventListener("change", () => {
    keepFilters();
    page({ isFirst: true });
  });
  part("favourites").addEventListener("click", () => {
    part("favourites").setAttribute("aria-pressed", String(!onlyFavourites()));
    keepFilters();
    page({ isFirst: true });
  });
  part("undo").addEventListener("click", undo);
  part("delete-now").addEventListener("click", deletions.finish);
  // Videos announced as deleted must not reappear on the next visit.
  window.addEventListener("pagehide", deletions.finish);
  part("everybody").hidden = !props.value?.is_owner;
  everybody.checked = Boolean(props.value?.is_owner && tab.get(EVERYBODY));
  everybody.addEventListener("change", () => {
    if (everybody.checked) tab.set(EVERYBODY, "yes");
    else tab.remove(EVERYBODY);
    page({ isFirst: true });
  });
  readSettingsFiles(part, say);
  onReturn(() => {
    if (owed) goOn();
    else lookForNews();
    if (unopened && unopened === addressedVideo()) openById(unopened);
  });
  for (const news of ["done", "list-ended"]) on(news, lookForNews);
  on("delete", (video) => deletions.add([video]));
  on("deleted", forget);
  otherTabs.addEventListener("message", ({ data }) => {
    const dialog = document.querySelector("dialog[open]");
    emit("deleted", data);
    if (dialog && !dialog.matches("[open]")) say(words["gallery.deleted_elsewhere"]);
  });
  on("show", (id) => openById(id));
  on("step", (id) => openById(id, step));
  on("closed", closed);
  on("export", (id) => openById(id, (video) => open(video, "gif")));
  on("choose", async (id) => {
    const video = await find(id);
    if (!video) return;
    const isAlone = seen().every((one) => one.id === id) && !isFiltered() && before === null;
    if (isAlone) say(words["gallery.one_only"]);
    else choice.seekSecond(video);
    part("line").scrollIntoView({ block: "center" });
  });

  const addressed = addressedVideo();
  arrived
    .then(() => {
      bringFiltersBack();
      return page({ isFirst: true });
    })
    .then(() => {
      if (addressed) openById(addressed);
    });
}
