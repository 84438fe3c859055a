// The dialog of a list of prompts: written or dropped, checked and priced, confirmed at its price, and followed.

import { closedByBack } from "./back.js";
import {
  EMPTY,
  hasChoices,
  isAsSent,
  isGoing,
  isSame,
  isShort,
  kindOf,
  lineOf,
  MOST_BYTES,
  nameAt,
  SHOWN,
  shareOf,
  textIn,
  wishOf,
  withForm,
} from "./batch_list.js";
import { kept, tab } from "./browser.js";
import { fill, keepingFocus, node, onSubmit, piecesOf, showText, showUnbroken } from "./dom.js";
import { draftIn } from "./draft.js";
import { hear, onReturn, send } from "./events.js";
import { words } from "./language.js";
import { createPoll } from "./poll.js";
import { arrived, ask, request } from "./server.js";
import { languageOf } from "./written_in.js";

const EXAMPLE = "A paper boat on a rainy street\nA {red|blue} kite over a hill";
const DRAFT = "hunyuan_list_draft";
const LIST = "hunyuan_list";
const SEEN = "hunyuan_list_seen"; // the list that ended early and was looked at
const READ_WITHIN_MS = 60000; // a thousand rows on a busy machine
const POLL_MS = 2000;
const KEEP_AFTER_MS = 300;

// A list outlives its tab; where the browser keeps nothing, it lives as long as the tab.
const stored = (name) => tab.get(name) || kept.get(name);
function store(name, text) {
  tab.set(name, text);
  kept.set(name, text);
}

/** Wait until the form holds what rows may lack; a page that was just opened is not there yet. */
async function formIsFilled() {
  for (let tries = 0; tries < 100 && !window.hunyuan.form.settings(); tries += 1)
    await new Promise((go) => setTimeout(go, 100));
}

function said(key, facts) {
  return Object.entries(facts).reduce((text, [name, value]) => text.replace(`{${name}}`, value), words[key]);
}

/** @param {any} form */
function settingsText({ width, height, video_length: frames, infer_steps: steps, seed }) {
  const seeds = seed < 0 ? words["batch.new_seeds"] : said("batch.seed", { seed });
  return said("batch.settings", { width, height, frames, steps, seed: seeds });
}

function row({ row: number, prompt, state, time, price }, isFree) {
  const made = node("tr");
  const texts = [number, prompt, state, ...(isFree ? [] : [time, price])];
  made.append(...texts.map((text, at) => node("td", text ?? "", at === 1 ? "text" : "")));
  made.querySelector(".text").lang = languageOf(prompt ?? "");
  return made;
}

/** Call `take` with the files that are dropped on the dialog, and show the landing meanwhile. */
function onDrop(dialog, landing, take) {
  let depth = 0; // dragging over a child leaves its parent
  for (const kind of ["dragenter", "dragover", "dragleave", "drop"])
    dialog.addEventListener(kind, (event) => {
      if (![...event.dataTransfer.types].includes("Files")) return;
      event.preventDefault();
      event.stopPropagation();
      depth = kind === "drop" ? 0 : depth + ({ dragenter: 1, dragleave: -1 }[kind] || 0);
      landing.hidden = depth <= 0;
      if (kind === "drop") take(event.dataTransfer.files);
    });
}

export function batch({ element }) {
  const part = piecesOf(element);
  const dialog = element.querySelector("dialog");
  const enter = closedByBack(dialog);
  const retry = part("retry").querySelector("input");
  /** @type {import('./batch_list.js').Draft} */
  let draft = { ...EMPTY, ...draftIn(stored(DRAFT), EMPTY) };
  /** @type {string | null} */
  let payer = null;
  /** @type {any} */
  let checked = null; // what the server said of a list, with the wish it was asked
  /** @type {any} */
  let told = null; // how the list that was sent stands
  let id = stored(LIST);
  let isBusy = false;
  let keeping;

  // The draft

  const keep = () => tab.set(DRAFT, JSON.stringify(draft));

  function change(changes) {
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
    const text = textIn(new Uint8Array(await file.arrayBuffer()));
    if (text === null) return say(words["batch.not_text"]);
    say("");
    change({ text, kind: kindOf(file.name), name: file.name.slice(0, 100) });
    takeForm();
    write();
    show();
  }

  // Showing

  const say = (problem) => showText(part("problem"), problem);

  function show() {
    const isFree = payer === "nobody";
    part("budget-box").hidden = isFree;
    part("picks-box").hidden = part("seed-box").hidden = !hasChoices(draft.text);
    if (draft.form) {
      const key = isAsSent(draft) ? "batch.lacking_sent" : "batch.lacking";
      part("lacking").textContent = said(key, { settings: settingsText(draft.form) });
    }
    part("take").hidden = !isAsSent(draft);
    if (checked && !isSame(checked.wish, wish())) checked = null;
    part("checked").hidden = !checked;
    if (checked) showNote();
  }

  function showNote() {
    const canSend = !checked.faults.length && checked.to_make > 0;
    part("send").hidden = !canSend;
    const isTight = canSend && draft.budget !== "" && isShort(checked, draft.budget);
    const done = checked.faults.length || canSend ? "" : words["batch.nothing_left"];
    showText(part("note"), isTight ? words["batch.short"] : done);
  }

  function showTable() {
    const { table, faults, is_free: isFree } = checked;
    part("sum").textContent = checked.sum;
    showUnbroken(part("send"), checked.confirm);
    part("faults").hidden = !faults.length;
    const told = faults
      .slice(0, SHOWN)
      .map(({ line, problem }) => (line ? said("batch.fault", { line, problem }) : problem));
    if (faults.length > SHOWN) told.push(said("batch.and_more", { count: faults.length - SHOWN }));
    part("faults").replaceChildren(...told.map((text) => node("li", text)));
    part("table").hidden = !table.length;
    part("time-head").hidden = part("price-head").hidden = isFree;
    part("rows").replaceChildren(...table.slice(0, SHOWN).map((one) => row(one, isFree)));
    part("more").hidden = table.length <= SHOWN;
    part("more").textContent = said("batch.more", { count: table.length - SHOWN });
    part("retry").hidden = !retry.checked && !table.some(({ status }) => status === "failed");
  }

  function showAll() {
    part("rows").append(...checked.table.slice(SHOWN).map((one) => row(one, checked.is_free)));
    part("more").hidden = true;
    part("table").focus();
  }

  const showStanding = () => keepingFocus(dialog, drawStanding);

  function drawStanding() {
    part("standing").hidden = !told;
    const isSeen = dialog.open || stored(SEEN) === id;
    send("list-line", lineOf(told, isSeen));
    if (!told) return;
    const percent = Math.round(100 * shareOf(told));
    part("line").textContent = told.text;
    part("meter").setAttribute("aria-valuenow", percent);
    part("meter").firstElementChild.style.width = `${percent}%`;
    showText(part("of"), told.name);
    showText(part("stopped"), told.problem);
    showText(part("go-on"), isGoing(told) || told.done === told.rows ? "" : words["batch.go_on"]);
    part("stop").hidden = !told.can_stop;
    part("zip").hidden = !told.zip;
    if (told.zip) part("zip").href = told.zip.replace(/^\//, ""); // the page may lie below a prefix
  }

  // Asking

  async function busy(act) {
    if (isBusy) return;
    isBusy = true;
    dialog.setAttribute("aria-busy", "true");
    await act();
    isBusy = false;
    dialog.removeAttribute("aria-busy");
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
      showTable();
      show();
      part("checked").scrollIntoView({ block: "nearest" });
      part("sum").focus({ preventScroll: true });
      if (answer.to_make < answer.rows) follow(answer.list_id);
    });

  const confirm = () =>
    busy(async () => {
      say("");
      if (payer !== "nobody" && checked.most_usd && draft.budget === "") {
        say(words["batch.no_budget"]);
        part("budget").focus();
        return;
      }
      const json = { ...checked.wish, budget_usd: Number(draft.budget), shown_usd: checked.most_usd };
      const answer = await ask("lists/send", { json, within_ms: READ_WITHIN_MS });
      if (!answer.isOk) return say(answer.problem || answer.error || words["batch.unanswered"]);
      change({ sentName: draft.name });
      store(DRAFT, JSON.stringify(draft));
      kept.remove(SEEN);
      tab.remove(SEEN);
      retry.checked = false;
      checked = null;
      show();
      stands(answer);
      follow(answer.list_id);
      dialog.scrollTop = 0;
      dialog.focus();
    });

  const stop = () =>
    busy(async () => {
      const answer = await ask(`lists/${id}/stop`, { method: "POST", body: "{}" });
      if (answer.isOk) stands(answer);
      else say(answer.problem || words["gallery.unreachable"]);
    });

  function stands(answer) {
    told = answer;
    id = answer.list_id;
    showStanding();
    if (isGoing(told)) send("list-going"); // its videos are followed as any other
  }

  function follow(listId) {
    id = listId;
    store(LIST, listId);
    poll();
  }

  const poll = createPoll(
    async () => {
      await arrived;
      if (!id) return 0;
      const answer = await request(`lists/${id}`);
      if (answer.httpStatus >= 500) throw new Error(`status ${answer.httpStatus}`);
      if (!answer.isOk) {
        id = told = null;
        showStanding();
        return 0;
      }
      if (answer.list_id === id) stands(answer);
      return isGoing(told) ? POLL_MS : 0;
    },
    () => {},
  );

  function open() {
    if (dialog.open) return;
    send("list-opened");
    payer = window.hunyuan.form.payer();
    takeForm();
    write();
    show();
    if (told && !isGoing(told)) store(SEEN, id);
    enter();
    send("covered");
    dialog.showModal();
    showStanding();
    (told ? dialog : part("text")).focus();
  }

  fill(element, words);
  part("text").placeholder = EXAMPLE;
  onSubmit(part("form"), check);
  onDrop(dialog, part("landing"), take);
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
  part("file").addEventListener("change", () => {
    take(part("file").files);
    part("file").value = "";
  });
  part("take").addEventListener("click", () =>
    keepingFocus(dialog, () => {
      change({ sentName: "" });
      takeForm();
      show();
    }),
  );
  retry.addEventListener("change", () => check());
  part("more").addEventListener("click", showAll);
  part("send").addEventListener("click", confirm);
  part("stop").addEventListener("click", stop);
  part("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  hear("list-open", open);
  hear("priced-anew", () => {
    if (!dialog.open) return;
    payer = window.hunyuan.form.payer();
    takeForm();
    show();
  });
  hear("list-file", (file) => {
    open();
    take([file]);
  });
  window.addEventListener("pagehide", keep);
  onReturn(() => id && poll());
  send("list-drawn");
  poll();
}
