const REST_MS = 350;
const HEARD_AFTER_MS = 1200;
const MOST_HINTS = 2;
const { words } = hunyuan;
const part = (name) => element.querySelector(`[data-part="${name}"]`);
const box = () => document.querySelector("#field-prompt textarea");

const undo = []; // what this help has changed: the text before and after
let negative = "";
let answer = null; // of the server, about answer.prompt
let openGroup = null;
let rest = 0;
let heard = 0;

const text = () => (box() ? box().value : "");

function node(tag, content, looks = {}) {
  const made = document.createElement(tag);
  made.textContent = content;
  return Object.assign(made, looks);
}

function write(wished) {
  box().value = wished;
  box().dispatchEvent(new Event("input", { bubbles: true }));
  box().dispatchEvent(new Event("change", { bubbles: true }));
}

function replace(wished) {
  if (wished === text()) return;
  undo.push({ before: text(), after: wished });
  write(wished);
}

async function ask(toggle = "") {
  try {
    const found = await fetch("gradio_api/hunyuan/prompt", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ prompt: text(), negative_prompt: negative, toggle }),
    });
    if (!found.ok) throw new Error(`status ${found.status}`);
    return await found.json();
  } catch {
    return null;
  }
}

async function look() {
  clearTimeout(rest);
  const found = await ask();
  // What has been typed meanwhile is looked at by itself.
  if (found && found.prompt === text()) show(found);
}

async function choose(key) {
  const before = text();
  const found = await ask(key);
  if (!found) say(words["coach.unreachable"]);
  else if (before === text()) {
    replace(found.prompt);
    show(found);
  }
}

function show(found) {
  if (found) answer = found;
  const last = undo[undo.length - 1];
  part("undo").hidden = !last || last.after !== text();
  if (!answer) return;
  part("pieces").replaceChildren(...answer.pieces.map(piece), ...(answer.tokens ? [node("li", answer.tokens)] : []));
  const spoken = answer.hints.slice(0, MOST_HINTS);
  part("hints").replaceChildren(...spoken.map((hint) => node("li", hint)));
  if (!part("proposal").hidden && answer.prompt !== part("before").textContent) part("proposal").hidden = true;
  for (const button of element.querySelectorAll("[data-key]"))
    button.setAttribute("aria-pressed", answer.chosen.includes(button.dataset.key));
  if (found) say(spoken.join(" "), HEARD_AFTER_MS);
}

function piece({ name, is_present }) {
  const item = node("li", words[`coach.${name}`], { className: is_present ? "present" : "absent" });
  item.append(node("span", `: ${words[is_present ? "coach.present" : "coach.absent"]}`, { className: "only-heard" }));
  return item;
}

function say(what, after_ms = 0) {
  clearTimeout(heard);
  heard = setTimeout(() => {
    if (part("heard").textContent !== what) part("heard").textContent = what;
  }, after_ms);
}

async function propose() {
  if (!answer || answer.prompt !== text()) await look();
  if (!answer || answer.prompt !== text()) {
    say(words["coach.unreachable"]);
    return;
  }
  if (!answer.additions.length) {
    part("proposal").hidden = true;
    part("hints").replaceChildren(node("li", words["coach.complete"]));
    say(words["coach.complete"]);
    return;
  }
  const kept = answer.prompt.trimEnd();
  part("before").textContent = answer.prompt;
  part("after").replaceChildren(kept, node("mark", answer.improved.slice(kept.length)));
  part("additions").replaceChildren(
    ...answer.additions.map((addition) => {
      const item = node("li", `${addition.piece}: `);
      item.append(node("span", addition.clause, { lang: "en" }));
      return item;
    }),
  );
  part("proposal").hidden = false;
  part("accept").focus({ preventScroll: true });
  part("proposal").scrollIntoView({ block: "nearest" });
}

function settle(wished) {
  part("proposal").hidden = true;
  if (wished !== null) replace(wished);
  part("improve").focus({ preventScroll: true });
}

function open(group) {
  openGroup = group === openGroup ? null : group;
  for (const button of part("groups").children)
    button.setAttribute("aria-expanded", button.dataset.group === openGroup);
  part("words").hidden = !openGroup;
  part("words").setAttribute("aria-label", openGroup ? words[`word.${openGroup}`] : "");
  part("words").replaceChildren(...(openGroup ? props.groups[openGroup].map(wordButton) : []));
  show(null);
}

function wordButton(key) {
  const button = node("button", words[`word.${key}`], { type: "button" });
  button.dataset.key = key;
  button.addEventListener("click", () => choose(key));
  return button;
}

function groupButton(group) {
  const button = node("button", words[`word.${group}`], { type: "button" });
  button.dataset.group = group;
  button.setAttribute("aria-expanded", "false");
  button.setAttribute("aria-controls", "coach-words");
  button.addEventListener("click", () => open(group));
  return button;
}

hunyuan.fill(element, words);
part("groups").setAttribute("aria-label", words["coach.words"]);
part("pieces").setAttribute("aria-label", words["coach.pieces"]);
part("groups").replaceChildren(...Object.keys(props.groups).map(groupButton));
part("improve").addEventListener("click", propose);
part("accept").addEventListener("click", () => settle(answer.improved));
part("keep").addEventListener("click", () => settle(null));
part("undo").addEventListener("click", () => {
  write(undo.pop().before);
  box().focus({ preventScroll: true });
});
element.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  if (!part("proposal").hidden) settle(null);
  else if (openGroup) {
    part("groups").querySelector(`[data-group="${openGroup}"]`).focus();
    open(openGroup);
  }
});
document.addEventListener("hunyuan:prompt", (event) => {
  negative = event.detail.negative;
  clearTimeout(rest);
  rest = setTimeout(look, REST_MS);
});
