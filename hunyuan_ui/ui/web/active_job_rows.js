// One line for each further unfinished job, below the large card.

import { button, node, setText } from "./dom.js";
import { filled, words } from "./language.js";
import { languageOf, nameOf } from "./text_language.js";

function lineButton(action, prompt, press) {
  const made = button(action, press, "button bare");
  made.setAttribute("aria-label", filled("line_action", { action, prompt: nameOf(prompt) }));
  return made;
}

/**
 * Return a function that renders the lines of jobs.
 * @param {any} box
 * @param {(id: string) => boolean} isStopped Whether a job is followed silently.
 * @param {{watch: (id: string) => void, lookAgain: (id: string, button: any) => void, cancel: (id: string) => void}} does
 */
export function createActiveRows(box, isStopped, does) {
  const list = box.querySelector("ul");
  /** @type {Map<string, {item: any, state: any, offers: string}>} */
  let rows = new Map(); // by the ids of their jobs

  function newRow(job, offers) {
    const item = node("li", "", "slim");
    const state = node("span");
    item.append(state, node("span", job.prompt, "one-line", { lang: languageOf(job.prompt) }));
    const offer = (text, press) => item.append(lineButton(text, job.prompt, press));
    if (isStopped(job.id)) offer(words.watch_again, () => does.watch(job.id));
    else if (job.can_ask) offer(words.ask_now, (pressed) => does.lookAgain(job.id, pressed));
    if (job.can_cancel) offer(words.cancel, () => does.cancel(job.id));
    else if (job.can_stop) offer(words.stop_run, () => does.cancel(job.id));
    return { item, state, offers };
  }

  // A row that is rerendered or moved receives no click from the finger on it, and its focus would go to another job.
  function rowOf(job) {
    const offers = [isStopped(job.id), job.can_ask, job.can_cancel, job.can_stop].join();
    const known = rows.get(job.id);
    const row = known?.offers === offers ? known : newRow(job, offers);
    const text = isStopped(job.id) ? words.stopped : job.note_text || job.phase_text;
    setText(row.state, text);
    if (known && row !== known) {
      const hadFocus = known.item.contains(document.activeElement);
      known.item.replaceWith(row.item);
      if (hadFocus) row.item.querySelector("button")?.focus({ preventScroll: true });
    }
    return row;
  }

  return function draw(jobs) {
    rows = new Map(jobs.map((job) => [job.id, rowOf(job)]));
    box.hidden = !jobs.length;
    const items = [...rows.values()].map(({ item }) => item);
    for (const item of [...list.children]) if (!items.includes(item)) item.remove();
    for (const [at, item] of items.entries())
      if (list.children[at] !== item) list.insertBefore(item, list.children[at] ?? null);
  };
}
