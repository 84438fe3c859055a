// One line for each further unfinished job, below the large card.

import { button, node } from "./dom.js";
import { words } from "./language.js";
import { languageOf } from "./written_in.js";

const lineButton = (text, press) => button(text, press, "button bare");

/**
 * Return a function that renders the lines of jobs.
 * @param {any} box
 * @param {(id: string) => boolean} isStopped Whether a job is followed silently.
 * @param {{watch: (id: string) => void, lookAgain: (id: string, button: any) => void, cancel: (id: string) => void}} does
 */
export function createOthers(box, isStopped, does) {
  let told = ""; // the lines as last rendered

  function line(job) {
    const row = node("li", "", "slim");
    row.append(
      node("span", isStopped(job.id) ? words.stopped : job.note_text || job.phase_text),
      node("span", job.prompt, "one-line", { lang: languageOf(job.prompt) }),
    );
    if (isStopped(job.id)) row.append(lineButton(words.watch_again, () => does.watch(job.id)));
    else if (job.can_ask) row.append(lineButton(words.ask_now, (pressed) => does.lookAgain(job.id, pressed)));
    if (job.can_cancel) row.append(lineButton(words.cancel, () => does.cancel(job.id)));
    else if (job.can_stop) row.append(lineButton(words.stop_run, () => does.cancel(job.id)));
    return row;
  }

  const facts = ({ id, note_text, phase_text, can_ask, can_cancel, can_stop }) =>
    [id, note_text, phase_text, can_ask, can_cancel, can_stop, isStopped(id)].join();

  // A row that is rerendered under a finger receives no click.
  return function draw(jobs) {
    const now = jobs.map(facts).join("\n");
    if (now === told) return;
    told = now;
    box.hidden = !jobs.length;
    box.querySelector("ul").replaceChildren(...jobs.map(line));
  };
}
