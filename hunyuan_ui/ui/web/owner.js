// The owner's page: spending, items that need a correction, and every job.

import { tab } from "./browser_storage.js";
import { createDollarsPlot } from "./dollars_plot.js";
import { fill, node, onSecret, onSubmit, piecesOf, showText } from "./dom.js";
import { emit, on, onReturn } from "./events.js";
import { joined, words } from "./language.js";
import { guardPresses } from "./misdirected_press.js";
import { createOwnerJobs, nameColumns } from "./owner_jobs.js";
import { arrived } from "./server.js";

const ANSWER_WITHIN_MS = 15000;
const LOOK_AFTER_MS = 2000;
const ASK_AGAIN_MS = 5000;
const OPEN = "hunyuan_owner_open"; // over a reload, as Gradio's own after a lost line

function save(text) {
  const href = URL.createObjectURL(new Blob(["\ufeff", text], { type: "text/csv" }));
  node("a", "", "", { href, download: "hunyuan-video-jobs.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60000);
}

/** What has buttons that decide on money: where one of these comes or goes, the others move. */
const decisionsOf = ({ unknown, doubtful, waiting, history, is_paused, is_clock_wrong, warnings }) =>
  JSON.stringify([
    ...[unknown, doubtful].map((jobs) => jobs.map(({ id }) => id)),
    ...[waiting?.can_end, history?.wants_word, is_paused, is_clock_wrong, warnings.length],
  ]);

export function owner({ element, props, trigger, watch }) {
  const part = piecesOf(element);
  const details = element.querySelector("details");
  const heading = element.querySelector("summary");
  const jobs = createOwnerJobs(part("jobs"), act);
  const drawDollars = createDollarsPlot(part);
  const decided = ["paused", "unsettled", "doubts", "waiting"].map((name) => guardPresses(part(name)));

  let count = 0; // number of displayed jobs; 0 for the default
  let isDrawn = false;
  let following = 0;
  let isQuiet = false; // the next update was not requested by a person

  let isComposing = false; // an input method, in a box that an answer would replace
  let isAwaited = false; // an answer waits for that
  let asked = 0; // the number of the last question
  let acted = 0; // the number of the last press, which only its own answer ends
  /** @type {any} */
  let late;
  /** @type {any} */
  let shown = {}; // the answer that is shown, with its question's number

  function ask(name, data = {}) {
    asked += 1;
    trigger(name, { ...data, count, asked });
  }

  // A second click is no second action; if no answer comes, the buttons are enabled again.
  function act(name, data = {}) {
    if (element.hasAttribute("aria-busy")) return;
    element.setAttribute("aria-busy", "true");
    clearTimeout(late);
    late = setTimeout(() => element.removeAttribute("aria-busy"), ANSWER_WITHIN_MS);
    ask(name, data);
    acted = asked;
  }

  function lookQuietly() {
    // The answer to a press shows everything too, and what is asked beside it may be answered later with less.
    if (!details.open || !isDrawn || !navigator.onLine || element.hasAttribute("aria-busy")) return;
    isQuiet = true;
    ask("refresh");
  }

  // Repeated until there is content: a request may be lost.
  function fillOpened() {
    if (!details.open) return;
    arrived.then(() => ask("refresh")); // who the visitor is decides whether a proof is needed
    setTimeout(() => props.value.days || props.value.needs_proof || fillOpened(), ASK_AGAIN_MS);
  }

  function list(name, items, draw, box) {
    part(name).hidden = items.length === 0;
    part(box).replaceChildren(...items.map(draw));
  }

  function draw(value) {
    isDrawn = true;
    jobs.clear(Boolean(value.said));
    part("paused").hidden = !value.is_paused;
    part("limits").replaceChildren(...value.limits.map((text) => node("li", text)));
    part("warned").hidden = value.warnings.length === 0;
    part("warnings").textContent = joined(value.warnings);
    part("clock").hidden = !value.is_clock_wrong;
    list("unknown", value.unknown, jobs.unsettled, "unsettled");
    list("doubtful", value.doubtful, jobs.doubt, "doubts");
    part("waiting").hidden = !value.waiting;
    part("waiting-text").textContent = value.waiting?.text || "";
    part("end-waiting").hidden = !value.waiting?.can_end;
    list("replicas", value.replicas, (/** @type {string} */ text) => node("li", text), "replica-list");
    part("history").hidden = !value.history;
    showText(part("history-text"), value.history?.text);
    part("word").hidden = !value.history?.wants_word;
    part("sum").textContent = value.sum;
    part("more").hidden = !value.more;
    drawDollars(value);
    jobs.draw(value.jobs);
    for (const noteContent of decided) noteContent(decisionsOf(value));
    if (value.csv) save(value.csv);
    clearTimeout(following);
    if (jobs.isLooking()) following = setTimeout(lookQuietly, LOOK_AFTER_MS);
    if (value.opened) emit("show", value.opened);
  }

  function show() {
    isAwaited = isComposing;
    if (isComposing) return;
    const value = props.value || {};
    const isNews = ["said", "problem", "csv", "opened"].some((name) => value[name]);
    if (value.asked < shown.asked && !isNews) return;
    shown = value;
    /** @type {any} */
    const used = document.activeElement;
    const name = jobs.nameOf(used);
    const isOurs = element.contains(used);
    if (!(value.asked < acted)) element.removeAttribute("aria-busy");
    element.hidden = !value.is_offered;
    part("proof").hidden = !value.needs_proof;
    part("desk").hidden = !value.days;
    showText(part("problem"), value.problem);
    if (value.said || value.problem || !isQuiet) showText(part("said"), value.said);
    isQuiet = false;
    if (value.days) draw(value);
    if (!isOurs || (document.activeElement === used && used.offsetParent)) return;
    const told = part(value.problem ? "problem" : "said");
    (jobs.control(name) || (told.hidden ? heading : told)).focus({ preventScroll: true });
  }

  fill(element, words);
  part("plot").setAttribute("aria-label", words["owner.days"]);
  nameColumns(part("columns"));
  details.addEventListener("toggle", () => {
    if (details.open) tab.set(OPEN, "yes");
    else tab.remove(OPEN);
    fillOpened();
  });
  for (const change of ["begun", "ended"]) on(change, lookQuietly); // of this page's own videos
  on("failed", (what) => {
    if (what !== "owner") return;
    const problem = isQuiet ? shown.problem : words["gallery.unreachable"];
    props.value = { ...shown, asked, problem, said: "", csv: "", opened: null };
    show();
  });
  onReturn(lookQuietly);
  const presses = {
    refresh: () => ask("refresh"),
    more() {
      count = shown.more;
      ask("refresh");
    },
    resume: () => act("resume"),
    "end-waiting": () => act("end_waiting"),
    find: () => act("find_videos"),
    clock: () => act("set_clock_right"),
    export: () => ask("export"),
  };
  for (const [name, press] of Object.entries(presses)) part(name).addEventListener("click", press);
  onSubmit(part("word"), ({ elements }) => act("say_spent", { usd: elements.usd.valueAsNumber }));
  onSecret(part("proof"), (key) => ask("prove", { key }));
  element.addEventListener("input", () => showText(part("problem"), "")); // it was about what was typed before
  element.addEventListener("compositionstart", () => (isComposing = true));
  element.addEventListener("compositionend", () => {
    isComposing = false;
    if (isAwaited) setTimeout(show, 0); // its box has the text only after this
  });
  watch("value", show);
  show();
  details.open = tab.get(OPEN) !== null;
}
