// The owner's actions on jobs: in the table of all jobs, and on those that need a decision.

import { requestId } from "./copy_request_id.js";
import { node, onSubmit, button as plainButton } from "./dom.js";
import { words } from "./language.js";

const COLUMNS = ["when", "status", "payer", "cost", "took", "what", "do", "request"];
const MOST_USD = 1000000;

function field(text, values) {
  const label = node("label");
  label.append(node("span", text), node("input", "", "text-field", { required: true, ...values }));
  return label;
}

function told(job) {
  const text = node("div");
  text.append(node("p", job.text));
  if (job.request) text.append(requestId(job.request));
  return text;
}

/** Name the columns of the table. @param {Element} head */
export const nameColumns = (head) =>
  head.append(...COLUMNS.map((name) => node("th", words[`owner.${name}`], "", { scope: "col", role: "columnheader" })));

/**
 * Return an object that renders them.
 * @param {any} table The rows of the table.
 * @param {(name: string, data: object) => void} act Send the owner's decision on a job.
 */
export function createOwnerJobs(table, act) {
  const forms = new Map(); // open corrections, by job: each answer keeps what is half typed in them, and the caret
  const controls = new Map(); // by name, so that the focus returns to the one that was used
  const looked = new Set(); // lost videos that were requested again, until that has ended
  let sent = ""; // the job whose correction is being sent
  let jobs = [];

  function button(text, press, { name = "", about = "" } = {}) {
    const made = plainButton(text, press);
    if (about) made.setAttribute("aria-label", `${text}: ${about}`);
    if (name) controls.set(name, made);
    return made;
  }

  function correction(job, key) {
    const form = forms.get(key) ?? newForm(job, key);
    forms.set(key, form);
    for (const control of form.elements) controls.set(`${control.name || "save"} ${key}`, control);
    return form;
  }

  function newForm(job, key) {
    const form = node("form");
    const save = node("button", words["owner.save"], "button");
    const amount = { name: "usd", type: "number", min: 0, max: MOST_USD, step: "any", autocomplete: "off" };
    const reason = { name: "note", type: "text", maxLength: 500, autocomplete: "off" };
    form.append(field(words["owner.amount"], amount), field(words["owner.because"], reason), save);
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
      const settle = () => act("settle", { job: job.id, was_charged: wasCharged });
      buttons.append(button(say, settle, { about: job.text }));
    }
    item.append(told(job), buttons);
    return item;
  }

  function doubt(job) {
    const item = node("li", "", "case row slim spread");
    item.append(told(job));
    const confirm = () => act("confirm", { job: job.id });
    if (job.can.confirm) item.append(button(words["owner.confirm"], confirm, { about: job.text }));
    if (job.can.correct) item.append(correction(job, `doubt ${job.id}`));
    return item;
  }

  function actions(job) {
    const buttons = node("td");
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
      if (!forms.delete(key)) forms.set(key, newForm(job, key));
      rows();
      (controls.get(`usd ${key}`) || controls.get(`correct ${key}`)).focus();
    });
    controls.get(`correct ${key}`)?.setAttribute("aria-expanded", forms.has(key));
    return buttons;
  }

  /** A row, of which a narrow page makes a card: the roles stay then, and each cell has the name of its column. */
  function row(job) {
    const made = node("tr");
    const request = node("td");
    if (job.request) request.append(job.can.look_again ? requestId(job.request) : node("code", job.request));
    const texts = COLUMNS.slice(0, -2).map((name) => node("td", job[name]));
    for (const [index, cell] of [...texts, actions(job), request].entries()) {
      cell.setAttribute("role", "cell");
      cell.dataset.column = COLUMNS[index];
      if (cell.hasChildNodes()) cell.dataset.name = words[`owner.${COLUMNS[index]}`];
      made.append(cell);
    }
    made.setAttribute("role", "row");
    return made;
  }

  // Earlier corrections, and the form for a new one: a separate row, as wide as the visible table.
  function more(job) {
    const key = `row ${job.id}`;
    const isOpen = job.can.correct && forms.has(key);
    if (!isOpen && !job.corrections.length) return [];
    const made = node("tr", "", "more");
    const cell = node("td");
    const seen = node("div", "", "stack");
    made.setAttribute("role", "row");
    cell.setAttribute("role", "cell");
    cell.colSpan = COLUMNS.length;
    seen.append(...job.corrections.map((text) => node("p", text)));
    if (isOpen) seen.append(correction(job, key));
    cell.append(seen);
    made.append(cell);
    return [made];
  }

  function rows() {
    table.replaceChildren(...jobs.flatMap((job) => [row(job), ...more(job)]));
  }

  return {
    unsettled,
    doubt,

    /**
     * Render the table of an answer.
     * @param {any[]} those
     */
    draw(those) {
      jobs = those;
      rows();
    },

    /**
     * Discard what was rendered, and a correction that was taken.
     * @param {boolean} isTaken
     */
    clear(isTaken) {
      controls.clear();
      if (isTaken) forms.delete(sent);
    },

    /** Whether a video that was requested again is still pending. */
    isLooking() {
      const active = new Set(jobs.filter((job) => job.is_active).map((job) => job.id));
      for (const id of looked) if (!active.has(id)) looked.delete(id);
      return looked.size > 0;
    },

    /** The name of a control, or "". */
    nameOf: (control) => [...controls].find(([, one]) => one === control)?.[0] || "",

    /** The control of a name, or the button that opens its form. */
    control: (name) => controls.get(name) || controls.get(name.replace(/^\w+/, "correct")),
  };
}
