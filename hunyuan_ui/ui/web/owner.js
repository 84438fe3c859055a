// The owner's page: what was spent, what is to be put right, and every job.

import { fill, node, onSecret, onSubmit, piecesOf, button as plainButton, showText } from "./dom.js";
import { hear, send } from "./events.js";
import { words } from "./language.js";
import { requestId } from "./request_id.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 100; // of the drawing, which is stretched to the page's
const HEIGHT = 100;
const COLUMNS = 8; // of the table
const MOST_USD = 1000000;
const ANSWER_WITHIN_MS = 15000;
const LOOK_AFTER_MS = 2000;
const ASK_AGAIN_MS = 5000;

function shape(tag, values) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(values)) made.setAttribute(name, value);
  return made;
}

function bar(day, index, width, top) {
  const height = Math.max(1, (HEIGHT * day.usd) / top);
  const kind = day.usd > 0 ? "spent" : "none";
  return shape("rect", { class: kind, x: (index + 0.1) * width, width: 0.8 * width, y: HEIGHT - height, height });
}

function field(text, draft, values) {
  const label = node("label");
  const input = node("input", "", "text-field", { required: true, value: draft[values.name] || "", ...values });
  input.addEventListener("input", () => (draft[values.name] = input.value));
  label.append(node("span", text), input);
  return label;
}

function told(job) {
  const text = node("div");
  text.append(node("p", job.text));
  if (job.request) text.append(requestId(job.request));
  return text;
}

function save(text) {
  const href = URL.createObjectURL(new Blob(["\ufeff", text], { type: "text/csv" }));
  node("a", "", "", { href, download: "hunyuan-video-jobs.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60000);
}

export function owner({ element, props, trigger, watch }) {
  const part = piecesOf(element);
  const details = element.querySelector("details");

  const drafts = new Map(); // what is being typed, by the job it is about; it outlives each answer
  const controls = new Map(); // by name, so that the focus comes back to the one that was used
  let sent = ""; // whose draft is on its way
  let count = 0; // jobs that are shown; 0 for as many as usual
  let picked = null; // the day whose dollars are read out
  let days = [];
  const looked = new Set(); // lost videos that were asked for once more, until that has ended
  let following = 0;
  let isQuiet = false; // what comes next was not asked for by a person

  function button(text, act, { name = "", about = "" } = {}) {
    const made = plainButton(text, act);
    if (about) made.setAttribute("aria-label", `${text}: ${about}`);
    if (name) controls.set(name, made);
    return made;
  }

  const ask = (name, data = {}) => trigger(name, { ...data, count });

  // A second click is no second wish; if no answer comes, the buttons work again.
  function act(name, data = {}) {
    if (element.hasAttribute("aria-busy")) return;
    element.setAttribute("aria-busy", "true");
    setTimeout(() => element.removeAttribute("aria-busy"), ANSWER_WITHIN_MS);
    ask(name, data);
  }

  // Dollars a day

  function plot(value) {
    part("dollars").hidden = !value.axis;
    if (!value.axis) return;
    const { top, limit_text: limitText } = value.axis;
    const width = WIDTH / days.length;
    const drawn = days.map((day, index) => bar(day, index, width, top));
    const limitAt = 100 * value.axis.limit_share; // percent of the height
    if (value.axis.has_line)
      drawn.push(shape("line", { class: "limit", x1: 0, x2: WIDTH, y1: HEIGHT - limitAt, y2: HEIGHT - limitAt }));
    part("plot").replaceChildren(...drawn);
    part("top").textContent = value.axis.top_text;
    part("half").textContent = value.axis.half_text;
    showText(part("limit-text"), limitText);
    part("limit-text").classList.toggle("below", limitAt > 50);
    part("limit-text").style.bottom = `${limitAt}%`;
    part("ends").replaceChildren(node("span", days[0].name), node("span", days[days.length - 1].name));
    part("plot").setAttribute("aria-valuemax", days.length);
    pick(days.findIndex((day) => day.name === picked));
  }

  // One day is read out: the last one, until another is pointed at or gone to by the keys.
  function pick(index) {
    const at = index < 0 ? days.length - 1 : Math.min(index, days.length - 1);
    picked = days[at].name;
    part("day").textContent = days[at].text;
    part("plot").setAttribute("aria-valuenow", at + 1);
    part("plot").setAttribute("aria-valuetext", days[at].text);
    for (const [place, drawn] of [...part("plot").querySelectorAll("rect")].entries())
      drawn.classList.toggle("picked", place === at);
  }

  function pointAt(event) {
    const box = part("plot").getBoundingClientRect();
    pick(Math.max(0, Math.floor((days.length * (event.clientX - box.left)) / box.width)));
  }

  function walk(event) {
    const at = days.findIndex((day) => day.name === picked);
    const last = days.length - 1;
    const to = { ArrowLeft: at - 1, ArrowDown: at - 1, ArrowRight: at + 1, ArrowUp: at + 1, Home: 0, End: last }[
      event.key
    ];
    if (to === undefined) return;
    event.preventDefault();
    pick(Math.max(0, Math.min(last, to)));
  }

  // One job

  function correction(job, key) {
    const form = node("form");
    const draft = drafts.get(key) || {};
    drafts.set(key, draft);
    const save = node("button", words["owner.save"], "button");
    const amount = { name: "usd", type: "number", min: 0, max: MOST_USD, step: "any", autocomplete: "off" };
    const reason = { name: "note", type: "text", maxLength: 500, autocomplete: "off" };
    form.append(field(words["owner.amount"], draft, amount), field(words["owner.because"], draft, reason), save);
    for (const control of form.elements) controls.set(`${control.name || "save"} ${key}`, control);
    onSubmit(form, () => {
      sent = key;
      act("correct", { job: job.id, cost_usd: form.elements.usd.valueAsNumber, note: form.elements.note.value });
    });
    return form;
  }

  function unsettled(job) {
    const item = node("li", "", "case row slim spread");
    const buttons = node("div", "", "row");
    for (const wasCharged of [true, false]) {
      const say = words[wasCharged ? "owner.charged" : "owner.not_charged"];
      buttons.append(button(say, () => act("settle", { job: job.id, was_charged: wasCharged })));
    }
    item.append(told(job), buttons);
    return item;
  }

  function doubt(job) {
    const item = node("li", "", "case row slim spread");
    item.append(told(job));
    if (job.can.confirm) item.append(button(words["owner.confirm"], () => act("confirm", { job: job.id })));
    if (job.can.correct) item.append(correction(job, `doubt ${job.id}`));
    return item;
  }

  function actions(job) {
    const buttons = node("td", "", "do");
    const key = `row ${job.id}`;
    const offer = (can, text, name, done) => {
      if (can) buttons.append(button(words[text], done, { name: `${name} ${key}`, about: job.when }));
    };
    offer(job.can.open, "owner.show_video", "open", () => act("open_video", { job: job.id }));
    offer(job.can.look_again, "owner.look_again", "look", () => {
      looked.add(job.id);
      act("look_again", { job: job.id });
    });
    offer(job.can.correct, "owner.correct", "correct", () => {
      if (!drafts.delete(key)) drafts.set(key, {});
      rows();
      (controls.get(`usd ${key}`) || controls.get(`correct ${key}`)).focus();
    });
    controls.get(`correct ${key}`)?.setAttribute("aria-expanded", drafts.has(key));
    return buttons;
  }

  function row(job) {
    const made = node("tr");
    made.append(...[job.when, job.status, job.payer, job.cost, job.took, job.what].map((text) => node("td", text)));
    const request = node("td");
    if (job.request) request.append(job.can.look_again ? requestId(job.request) : node("code", job.request));
    made.append(actions(job), request);
    return made;
  }

  // What was put right before, and the form to do it again: a row of its own, as wide as what is seen of the table.
  function more(job) {
    const key = `row ${job.id}`;
    const isOpen = job.can.correct && drafts.has(key);
    if (!isOpen && !job.corrections.length) return [];
    const made = node("tr", "", "more");
    const cell = node("td");
    const seen = node("div", "", "stack");
    cell.colSpan = COLUMNS;
    seen.append(...job.corrections.map((text) => node("p", text)));
    if (isOpen) seen.append(correction(job, key));
    cell.append(seen);
    made.append(cell);
    return [made];
  }

  function rows() {
    part("jobs").replaceChildren(...props.value.jobs.flatMap((job) => [row(job), ...more(job)]));
  }

  function follow(jobs) {
    clearTimeout(following);
    const active = new Set(jobs.filter((job) => job.is_active).map((job) => job.id));
    for (const id of looked) if (!active.has(id)) looked.delete(id);
    if (looked.size) following = setTimeout(lookQuietly, LOOK_AFTER_MS);
  }

  function lookQuietly() {
    if (!details.open || !days.length) return;
    isQuiet = true;
    ask("refresh");
  }

  // All of it

  // Again until there is something to see: a question may be lost on its way.
  function fillOpened() {
    if (!details.open) return;
    ask("refresh");
    setTimeout(() => props.value.days || props.value.needs_proof || fillOpened(), ASK_AGAIN_MS);
  }

  function list(name, items, draw, box) {
    part(name).hidden = items.length === 0;
    part(box).replaceChildren(...items.map(draw));
  }

  function draw(value) {
    days = value.days;
    controls.clear();
    if (value.said) drafts.delete(sent);
    part("paused").hidden = !value.is_paused;
    part("limits").replaceChildren(...value.limits.map((text) => node("li", text)));
    part("warned").hidden = value.warnings.length === 0;
    part("warnings").textContent = value.warnings.join(" ");
    part("clock").hidden = !value.is_clock_wrong;
    list("unknown", value.unknown, unsettled, "unsettled");
    list("doubtful", value.doubtful, doubt, "doubts");
    part("waiting").hidden = !value.waiting;
    part("waiting-text").textContent = value.waiting?.text || "";
    part("end-waiting").hidden = !value.waiting?.can_end;
    list("replicas", value.replicas, (/** @type {string} */ text) => node("li", text), "replica-list");
    part("history").hidden = !value.history;
    showText(part("history-text"), value.history?.text);
    part("word").hidden = !value.history?.wants_word;
    part("sum").textContent = value.sum;
    part("more").hidden = !value.more;
    plot(value);
    rows();
    if (value.csv) save(value.csv);
    follow(value.jobs);
    if (value.opened) send("show", value.opened);
  }

  function show() {
    const value = props.value || {};
    /** @type {any} */
    const used = document.activeElement;
    const [name = ""] = [...controls].find(([, control]) => control === used) || [];
    const isOurs = element.contains(used);
    element.removeAttribute("aria-busy");
    element.hidden = !value.is_offered;
    part("proof").hidden = !value.needs_proof;
    part("desk").hidden = !value.days;
    showText(part("problem"), value.problem);
    if (value.said || value.problem || !isQuiet) showText(part("said"), value.said);
    isQuiet = false;
    if (value.days) draw(value);
    if (!isOurs || (element.contains(used) && used.offsetParent)) return;
    const back = controls.get(name) || controls.get(name.replace(/^\w+/, "correct"));
    (back || part(value.problem ? "problem" : "said")).focus({ preventScroll: true });
  }

  fill(element, words);
  part("plot").setAttribute("aria-label", words["owner.days"]);
  for (const name of ["pointermove", "pointerdown"]) part("plot").addEventListener(name, pointAt);
  part("plot").addEventListener("keydown", walk);
  details.addEventListener("toggle", fillOpened);
  for (const change of ["begun", "ended"]) hear(change, lookQuietly); // of this page's own videos
  const presses = {
    refresh: () => ask("refresh"),
    more() {
      count = props.value.more;
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
  watch("value", show);
  show();
}
