// Loads settings from a generated file: selected, or dropped anywhere on the page.

import { kindOf } from "./batch_state.js";
import { goToField } from "./dom.js";
import { emit } from "./events.js";
import { RANDOM_SEED } from "./form_values.js";
import { filled, words } from "./language.js";
import { settingsIn } from "./mp4_settings.js";
import { ask } from "./server.js";

const MOST_ASKED = 3; // texts of one file that may be settings of this app
const LEFT_AFTER_MS = 800; // browsers say every 50 to 550 ms that files are over a page

function withoutOwn({ isVideo, isCut, program }) {
  if (!isVideo) return words["gallery.not_mp4"];
  if (program) return filled("gallery.of_program", { program });
  if (program === "") return words["gallery.of_another"];
  return words[isCut ? "gallery.cut_short" : "gallery.no_settings"];
}

/**
 * Call `take` with files dropped on an area, and show where they land while they are over it. That they have left is no
 * event where what they were over is gone by then.
 */
export function onFiles(area, landing, take) {
  let left;
  for (const name of ["dragenter", "dragover", "drop"])
    area.addEventListener(name, (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      event.stopPropagation();
      clearTimeout(left);
      landing.hidden = name === "drop";
      if (name === "drop") take(event.dataTransfer.files);
      else left = setTimeout(() => (landing.hidden = true), LEFT_AFTER_MS);
    });
}

/**
 * Read settings from files that the visitor selects or drops.
 * @param {any} part Elements of the page: the button, the file input, the status line, the drop area.
 * @param {(text: string, isProblem?: boolean) => void} say
 */
export function readSettingsFiles(part, say) {
  const sayAndShow = (text) => {
    say(text, true);
    part("line").scrollIntoView({ block: "nearest" });
  };

  // The file is not uploaded: only its settings are sent to the server, which validates them.
  async function restore(file) {
    if (!file) return;
    const since = window.hunyuan.form.now();
    say(words["gallery.reading"]);
    const found = await settingsIn(file).catch(() => null);
    if (!found) return sayAndShow(words["gallery.unreadable"]);
    if (!found.own.length) return sayAndShow(withoutOwn(found));
    const answers = [];
    for (const text of found.own.slice(0, MOST_ASKED)) {
      answers.push(await ask("settings", { json: { text } }));
      if (answers.at(-1).isOk) break;
    }
    const answer = answers.at(-1);
    if (!answer.isOk) return sayAndShow(answers[0].problem || words["gallery.unreachable"]);
    emit("settings", { settings: answer.settings, isRandom: answer.settings.seed === RANDOM_SEED, since });
    say(words["gallery.restored"]);
    goToField();
  }

  function drop([file, ...more]) {
    /** @type {HTMLDialogElement | null} */
    const covering = document.querySelector("dialog[open]");
    covering?.close(); // the file's effect is behind it
    say("");
    // Only the visitor knows which of them was meant.
    if (more.length) sayAndShow(words["gallery.one_file"]);
    else if (file && kindOf(file.name) !== "auto") emit("list-file", file);
    else restore(file);
  }

  part("restore").addEventListener("click", () => part("file").click());
  part("file").addEventListener("change", () => {
    restore(part("file").files[0]);
    part("file").value = "";
  });
  onFiles(document, part("landing"), drop);
}
