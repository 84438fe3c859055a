// Help under the prompt: words to append, hints, and the suggested improvement.

import { asToolbar } from "./accessible_controls.js";
import { button, fill, node, piecesOf, promptBox } from "./dom.js";
import { emit, on, onReturn } from "./events.js";
import { words } from "./language.js";
import { request } from "./server.js";
import { languageOf } from "./text_language.js";

const REST_MS = 350;
const HEARD_AFTER_MS = 1200;
const MOST_HINTS = 2;

const text = () => promptBox()?.value || "";

function write(wished) {
  const written = promptBox();
  if (!written) return;
  written.value = wished;
  for (const name of ["input", "change"]) written.dispatchEvent(new Event(name, { bubbles: true }));
}

function piece({ name, is_present }) {
  const item = node("li", words[`coach.${name}`], is_present ? "present" : "absent");
  const state = words[is_present ? "coach.present" : "coach.absent"];
  item.append(node("span", `: ${state}`, "visually-hidden"));
  return item;
}

/** Advice on a prompt that was too large to be looked at. */
const refused = (prompt, problem) => ({ prompt, problem, hints: [problem], pieces: [], chosen: [], additions: [] });

export function panel({ element, props }) {
  const part = piecesOf(element);
  // Replaced prompts: the text before and after; of other settings that came with it, the form before and after.
  const undo = [];
  let negative = "";
  /** @type {any} */
  let answer = null; // of the server, about answer.prompt
  let proposed = ""; // the prompt of the suggestion, and what it adds: a translator changes the displayed ones
  let added = "";
  let openGroup = null;
  let chosen = Promise.resolve();
  let rest;
  let heard;

  function replace(wished) {
    if (wished === text()) return;
    undo.push({ before: text(), after: wished });
    write(wished);
  }

  async function ask(toggle = "") {
    const json = { prompt: text(), negative_prompt: negative, toggle };
    const found = await request("prompt", { json }).catch(() => null);
    if (found?.isOk) return found;
    return found?.detail ? refused(json.prompt, found.detail) : null;
  }

  async function look() {
    clearTimeout(rest);
    const found = await ask();
    // Text typed meanwhile triggers a new request.
    if (found?.prompt === text()) show(found);
    else if (!found && !isCurrent()) for (const old of ["pieces", "hints"]) part(old).replaceChildren();
  }

  const isCurrent = () => answer?.prompt === text();

  async function toggle(key) {
    const before = text();
    const found = await ask(key);
    if (!found) return showFailure(words["coach.unreachable"]);
    if (before !== text()) return toggle(key); // something was typed meanwhile
    replace(found.prompt);
    show(found);
  }

  function showUndo() {
    const last = undo[undo.length - 1];
    part("undo").hidden = !last || last.after !== text();
  }

  function takeBack() {
    const { before, form } = undo.pop();
    if (form)
      emit("settings", { settings: form.before, isRandom: form.before.is_random, since: form.after, isUndo: true });
    else write(before);
    promptBox()?.focus({ preventScroll: true });
  }

  function show(found) {
    if (found) answer = found;
    showUndo();
    if (!answer) return;
    part("pieces").replaceChildren(...answer.pieces.map(piece), ...(answer.tokens ? [node("li", answer.tokens)] : []));
    const spoken = answer.hints.slice(0, MOST_HINTS);
    part("hints").replaceChildren(...spoken.map((hint) => node("li", hint)));
    if (!part("proposal").hidden && answer.prompt !== proposed) part("proposal").hidden = true;
    for (const word of element.querySelectorAll("[data-key]"))
      word.setAttribute("aria-pressed", answer.chosen.includes(word.dataset.key));
    if (found) say(spoken.join(" "), HEARD_AFTER_MS);
  }

  function say(what, after_ms = 0) {
    clearTimeout(heard);
    heard = setTimeout(() => {
      if (part("heard").textContent !== what) part("heard").textContent = what;
    }, after_ms);
  }

  // One after another, so that of two quick presses both count.
  const choose = (key) => (chosen = chosen.then(() => toggle(key)));

  /** Say why a press changed nothing, to be seen and heard. */
  function showFailure(sentence) {
    part("hints").replaceChildren(node("li", sentence));
    say(sentence);
  }

  async function propose() {
    const before = text();
    if (!isCurrent()) await look();
    if (!isCurrent()) return before === text() ? showFailure(words["coach.unreachable"]) : propose(); // something was typed
    if (!answer.additions.length) {
      part("proposal").hidden = true;
      return showFailure(answer.problem || words["coach.complete"]);
    }
    const kept = answer.prompt.trimEnd();
    proposed = answer.prompt;
    added = answer.improved.slice(kept.length);
    part("before").textContent = proposed;
    part("after").replaceChildren(kept, node("mark", added));
    part("additions").replaceChildren(
      ...answer.additions.map((addition) => {
        const item = node("li", `${addition.piece}: `);
        item.append(node("span", addition.clause, "", { lang: "en" }));
        return item;
      }),
    );
    part("proposal").hidden = false;
    if (document.activeElement !== promptBox()) part("accept").focus({ preventScroll: true });
    part("proposal").scrollIntoView({ block: "nearest" });
  }

  /** Return the prompt with the suggestion, and with the text typed since. */
  const improved = () => `${text().trimEnd()}${added}`;

  function settle(wished) {
    part("proposal").hidden = true;
    if (wished !== null) replace(wished);
    part("improve").focus({ preventScroll: true });
  }

  function open(group) {
    openGroup = group === openGroup ? null : group;
    for (const opener of part("groups").children)
      opener.setAttribute("aria-expanded", opener.dataset.group === openGroup);
    part("words").hidden = !openGroup;
    part("words").setAttribute("aria-label", openGroup ? words[`word.${openGroup}`] : "");
    part("words").replaceChildren(...(openGroup ? props.groups[openGroup].map(wordButton) : []));
    show(null);
  }

  function wordButton(key) {
    const made = button(words[`word.${key}`], () => choose(key));
    made.dataset.key = key;
    return made;
  }

  function groupButton(group) {
    const made = button(words[`word.${group}`], () => open(group));
    made.dataset.group = group;
    made.setAttribute("aria-expanded", "false");
    made.setAttribute("aria-controls", "coach-words");
    return made;
  }

  fill(element, words);
  part("groups").setAttribute("aria-label", words["coach.words"]);
  part("pieces").setAttribute("aria-label", words["coach.pieces"]);
  part("groups").replaceChildren(...Object.keys(props.groups).map(groupButton));
  asToolbar(part("groups"));
  part("improve").addEventListener("click", propose);
  part("accept").addEventListener("click", () => settle(improved()));
  part("keep").addEventListener("click", () => settle(null));
  part("undo").addEventListener("click", takeBack);
  // A browser's own undo ends at a text that a script has set.
  document.addEventListener("keydown", (event) => {
    if (event.target !== promptBox() || !(event.ctrlKey || event.metaKey) || event.shiftKey || event.key !== "z")
      return;
    showUndo();
    if (part("undo").hidden) return;
    event.preventDefault();
    takeBack();
  });
  on("replaced", ({ before, after }) =>
    undo.push({ before: before.prompt, after: after.prompt, form: { before, after } }),
  );
  element.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    if (!part("proposal").hidden) settle(null);
    else if (openGroup) {
      part("groups").querySelector(`[data-group="${openGroup}"]`).focus();
      open(openGroup);
    }
  });
  onReturn(() => isCurrent() || look());
  on("prompt", (typed) => {
    showUndo();
    negative = typed.negative;
    const written = promptBox();
    if (written) written.lang = languageOf(typed.prompt || written.placeholder);
    clearTimeout(rest);
    rest = setTimeout(look, REST_MS);
  });
}
