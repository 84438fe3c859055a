// The prompt list dialog: typed or dropped lists are checked, priced, confirmed at their price, and followed.

import { closedBeside, closedByBack, openAfterReload } from "./back_button.js";
import { showChecked, showNote, showOtherRows } from "./batch_check.js";
import { createListProgress } from "./batch_progress.js";
import {
  EMPTY,
  hasChoices,
  isAsSent,
  isSame,
  kindOf,
  MOST_BYTES,
  nameAt,
  textIn,
  wishOf,
  withForm,
} from "./batch_state.js";
import { lasting, storageKey, tab, takeOver } from "./browser_storage.js";
import { fill, keepingFocus, onSubmit, piecesOf, showText } from "./dom.js";
import { draftIn } from "./draft.js";
import { onFiles } from "./dropped_file.js";
import { emit, on } from "./events.js";
import { filled, words } from "./language.js";
import { guardPresses } from "./misdirected_press.js";
import { arrived, ask } from "./server.js";
import { beginningOf } from "./text_language.js";

const EXAMPLE = "A paper boat on a rainy street\nA {red|blue} kite over a hill";
const DRAFT = "hunyuan_list_draft";
const READ_WITHIN_MS = 60000; // a thousand rows on a busy machine
const KEEP_AFTER_MS = 300;

/** Wait until the form has values for fields that rows leave out; it is empty when the page has just opened. */
async function formIsFilled() {
  for (let tries = 0; tries < 100 && !window.hunyuan.form.settings(); tries += 1)
    await new Promise((go) => setTimeout(go, 100));
}

/** @param {any} form @param {number} multiple The service rounds sizes up to one of it. */
function settingsText({ video_length: frames, infer_steps: steps, seed, ...form }, multiple) {
  const [width, height] = [form.width, form.height].map((side) => multiple * Math.ceil(side / multiple));
  const seeds = seed < 0 ? words["batch.new_seeds"] : filled("batch.seed", { seed });
  return filled("batch.settings", { width, height, frames, steps, seed: seeds });
}

export function batch({ element, props }) {
  const part = piecesOf(element);
  const dialog = element.querySelector("dialog");
  dialog.addEventListener("close", () => keep()); // in the history's entry that the dialog then leaves
  const enter = closedByBack(dialog, open);
  const retry = part("retry").querySelector("input");
  /** @type {import('./batch_state.js').Draft} */
  let draft = EMPTY;
  let isRead = false; // whose draft is shown is known once the server has identified the visitor
  /** @type {string | null} */
  let payer = null;
  /** @type {any} */
  let checked = null; // the server's answer on a list, with its request
  let isBusy = false;
  let keeping;
  const replaced = []; // lists that a file has taken the place of, with the file's text
  const standing = createListProgress(dialog, part);
  const noteContent = guardPresses(part("checked"));

  // The draft

  const keep = () => isRead && tab.set(storageKey(DRAFT), JSON.stringify(draft));

  function read() {
    takeOver(DRAFT, "text");
    draft = { ...EMPTY, ...draftIn(lasting.get(DRAFT), EMPTY) };
    isRead = true;
    emit("list-drawn");
    openAfterReload(dialog);
  }

  function change(changes) {
    say(""); // it was about the draft before
    draft = { ...draft, ...changes };
    clearTimeout(keeping);
    keeping = setTimeout(keep, KEEP_AFTER_MS);
    show();
  }

  const wish = () => wishOf(draft, payer, retry.checked);

  function takeForm() {
    draft = withForm(draft, window.hunyuan.form.settings());
  }

  function write() {
    part("text").value = draft.text;
    part("name").value = draft.name;
    part("budget").value = draft.budget;
    part("picks").value = draft.picks;
    part("picks-seed").value = draft.picksSeed;
  }

  async function take([file, ...more]) {
    if (!file) return;
    if (more.length) return say(words["gallery.one_file"]);
    if (file.size > MOST_BYTES) return say(words["batch.too_large"]);
    const bytes = await file.arrayBuffer().catch(() => null); // it may be a folder, or have been moved
    if (!bytes) return say(words["gallery.unreadable"]);
    const text = textIn(new Uint8Array(bytes));
    if (text === null) return say(words["batch.not_text"]);
    const { text: before, kind, name } = draft;
    if (before.trim() && before !== text) replaced.push({ by: text, list: { text: before, kind, name } });
    put({ text, kind: kindOf(file.name), name: beginningOf(file.name, 100) });
  }

  function put(list) {
    change(list);
    takeForm();
    write();
    show();
  }

  function takeBack() {
    put(replaced.pop().list);
    part("text").focus();
  }

  // Display

  const say = (problem) => showText(part("problem"), problem);

  function show() {
    const isFree = payer === "nobody";
    part("budget-box").hidden = isFree;
    part("picks-box").hidden = part("seed-box").hidden = !hasChoices(draft.text);
    if (draft.form) {
      const key = isAsSent(draft) ? "batch.lacking_sent" : "batch.lacking";
      part("lacking").textContent = filled(key, { settings: settingsText(draft.form, props.multiple) });
    }
    part("take").hidden = !isAsSent(draft);
    part("undo").hidden = replaced.at(-1)?.by !== draft.text;
    if (checked && !isSame(checked.wish, wish())) checked = null;
    part("checked").hidden = !checked;
    noteContent(checked ? `${checked.list_id} ${checked.confirm}` : "");
    if (checked) showNote(part, checked, draft.budget);
  }

  // Requests

  async function busy(act) {
    if (isBusy) return;
    isBusy = true;
    dialog.setAttribute("aria-busy", "true");
    try {
      await act();
    } finally {
      isBusy = false;
      dialog.removeAttribute("aria-busy");
    }
  }

  const check = () =>
    busy(async () => {
      say("");
      if (!draft.name.trim()) {
        change({ name: nameAt(new Date()) });
        write();
      }
      await formIsFilled();
      takeForm();
      const wished = wish();
      const answer = await ask("lists/check", { json: wished, within_ms: READ_WITHIN_MS });
      if (!answer.isOk) return say(answer.problem || answer.error || words["gallery.unreachable"]);
      checked = { ...answer, wish: wished };
      showChecked(part, checked, retry.checked);
      show();
      part("checked").scrollIntoView({ block: "nearest" });
      part("sum").focus({ preventScroll: true });
      if (answer.to_make < answer.rows) standing.follow(answer.list_id);
    });

  /** Keep the values that a list was sent with, whatever was typed meanwhile. */
  function noteSent({ name, form }) {
    change({ sentName: name, sentForm: form });
    takeForm();
    lasting.set(DRAFT, JSON.stringify(draft));
    show();
  }

  const confirm = () =>
    busy(async () => {
      say("");
      // Said by the browser, beside the box; the server would name its own field.
      if (checked.most_usd && !part("budget").reportValidity()) return;
      if (checked.most_usd && draft.budget === "") {
        say(words["batch.no_budget"]);
        part("budget").focus();
        return;
      }
      const json = { ...checked.wish, budget_usd: Number(draft.budget), shown_usd: checked.most_usd };
      const answer = await ask("lists/send", { json, within_ms: READ_WITHIN_MS });
      // Without an answer of this page's own server the list may have been sent, and would be made anew with other values.
      if (answer.isOk || !answer.version) noteSent(json);
      if (!answer.isOk) return say(answer.problem || answer.error || words["batch.unanswered"]);
      retry.checked = false;
      checked = null;
      show();
      standing.begin(answer);
      dialog.scrollTop = 0;
      dialog.focus();
    });

  function open() {
    if (dialog.open || !isRead) return;
    emit("list-opened");
    payer = window.hunyuan.form.payer();
    say("");
    takeForm();
    write();
    show();
    standing.see();
    enter();
    emit("covered");
    dialog.showModal();
    standing.show();
    (standing.isTold() ? dialog : part("text")).focus();
  }

  fill(element, words);
  part("text").placeholder = EXAMPLE;
  onSubmit(part("form"), check);
  onFiles(dialog, part("landing"), take);
  for (const [name, field] of Object.entries({
    name: "name",
    budget: "budget",
    picks: "picks",
    "picks-seed": "picksSeed",
  }))
    part(name).addEventListener("input", () => {
      change({ [field]: part(name).value });
      takeForm();
      show();
    });
  part("text").addEventListener("input", () => change({ text: part("text").value, kind: "auto" }));
  part("choose").addEventListener("click", () => part("file").click());
  part("undo").addEventListener("click", takeBack);
  part("file").addEventListener("change", () => {
    take(part("file").files);
    part("file").value = "";
  });
  part("take").addEventListener("click", () =>
    keepingFocus(dialog, () => {
      change({ sentName: "", sentForm: null });
      takeForm();
      show();
    }),
  );
  retry.addEventListener("change", () => check());
  part("more").addEventListener("click", () => showOtherRows(part, checked));
  part("send").addEventListener("click", confirm);
  part("stop").addEventListener("click", () => busy(async () => say((await standing.stop()) || "")));
  part("close").addEventListener("click", () => dialog.close());
  closedBeside(dialog);
  on("list-open", open);
  on("priced-anew", () => {
    if (!dialog.open) return;
    payer = window.hunyuan.form.payer();
    takeForm();
    show();
  });
  on("list-file", async (file) => {
    await arrived;
    open();
    take([file]);
  });
  window.addEventListener("pagehide", keep);
  on("leaving", keep);
  arrived.then(read);
}
