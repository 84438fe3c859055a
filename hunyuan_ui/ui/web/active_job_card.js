// The large card of an unfinished job: its phase, elapsed time and progress bar, and its actions.

import { setText } from "./dom.js";
import { progress } from "./job_progress.js";
import { words } from "./language.js";
import { setTitle } from "./notifications.js";
import { keeping } from "./server.js";
import { showWritten } from "./text_language.js";

const QUICK_S = 150; // above it the bar's steps are too small to be seen, and sixty frames a second are for nothing

/**
 * @param {any} part The elements of the card.
 * @param {() => boolean} isPublic Whether strangers can reach this page.
 * @param {(text: string) => void} say Announces it to screen readers.
 */
export function createActiveCard(part, isPublic, say) {
  /** @type {any} */
  let shown = null;
  let seenAt = 0;
  const hasAddress = () => isPublic() && keeping() !== "kept";

  // How the job is found again after closing the page; the text must be true of this browser, and of the job.
  function keepText({ needs_key: needsKey }) {
    if (needsKey) return ""; // it does not go on by itself
    if (keeping() === "kept") return words["keep.kept"];
    if (!hasAddress()) return words["keep.everybody"];
    return words[keeping() === "nothing" ? "keep.nothing" : "keep.address"];
  }

  /** Show a job, or that one is followed silently, or none. */
  function draw(job, resting) {
    const before = shown;
    shown = job;
    seenAt = performance.now();
    if (!job) {
      showWritten(part("stopped-prompt"), resting ? resting.prompt : "");
      setText(part("stopped-keep"), keepText(resting || {}));
      if (!document.hidden) setTitle("");
      return;
    }
    setText(part("phase"), job.phase_text);
    setText(part("usual"), job.usual_text);
    setText(part("note"), job.note_text);
    if (before?.id !== job.id) showWritten(part("prompt"), job.prompt);
    setText(part("keep"), keepText(job));
    part("address").hidden = !hasAddress();
    part("ask").hidden = !job.can_ask;
    part("cancel").hidden = !job.can_cancel && !job.can_stop;
    setText(part("cancel"), job.can_stop ? words.stop_run : words.cancel);
    part("stop").hidden = job.can_cancel;
    if (before?.phase_text !== job.phase_text || before.is_late !== job.is_late)
      say([job.phase_text, job.note_text].filter(Boolean).join(". "));
    tick();
  }

  function tick() {
    if (!shown) return;
    const { clock, share } = progress(shown, performance.now() - seenAt);
    part("clock").textContent = clock;
    part("bar").hidden = !shown.is_moving;
    part("bar").toggleAttribute("data-unsure", !shown.usual_s);
    part("bar").toggleAttribute("data-quick", shown.usual_s < QUICK_S);
    part("bar").setAttribute("aria-valuenow", Math.round(share * 100));
    part("bar").setAttribute("aria-label", shown.phase_text);
    // A share of the usual time would be read out as a percentage of the work.
    part("bar").setAttribute("aria-valuetext", shown.progress ? `${shown.progress}%` : `${clock} ${shown.usual_text}`);
    part("bar").firstElementChild.style.translate = `${(share - 1) * 100}%`;
    setTitle(`${clock} ${shown.phase_text}`.trim());
  }

  function showReconnecting() {
    if (!shown) return;
    if (shown.phase_text !== words.reconnecting) say(words.reconnecting);
    shown = { ...shown, phase_text: words.reconnecting };
    setText(part("phase"), words.reconnecting);
    setText(part("usual"), "");
    setText(part("note"), words.reconnecting_help);
  }

  setInterval(tick, 500);
  return { draw, showReconnecting };
}
