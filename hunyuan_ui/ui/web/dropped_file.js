// Loads settings from a generated file: selected, or dropped anywhere on the page.

import { kindOf } from "./batch_state.js";
import { goToField } from "./dom.js";
import { emit } from "./events.js";
import { words } from "./language.js";
import { settingsIn } from "./mp4_settings.js";
import { ask } from "./server.js";

const RANDOM_SEED = -1;
const MOST_ASKED = 3; // texts of one file that may be settings of this app

function withoutOwn({ isVideo, isCut, program }) {
  if (!isVideo) return words["gallery.not_mp4"];
  if (program) return words["gallery.of_program"].replace("{program}", program);
  if (program === "") return words["gallery.of_another"];
  return words[isCut ? "gallery.cut_short" : "gallery.no_settings"];
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

  const holdsFile = (event) => [...(event.dataTransfer ? event.dataTransfer.types : [])].includes("Files");
  let depth = 0; // dragging over a child fires dragleave on its parent

  function drag(event) {
    if (!holdsFile(event)) return;
    event.preventDefault();
    depth += { dragenter: 1, dragleave: -1 }[event.type] || 0;
    if (event.type === "drop") {
      depth = 0;
      const [file, ...more] = event.dataTransfer.files;
      /** @type {HTMLDialogElement | null} */
      const covering = document.querySelector("dialog[open]");
      covering?.close(); // the file's effect is behind it
      say("");
      // Only the visitor knows which of them was meant.
      if (more.length) sayAndShow(words["gallery.one_file"]);
      else if (file && kindOf(file.name) !== "auto") emit("list-file", file);
      else restore(file);
    }
    part("landing").hidden = depth <= 0;
  }

  part("restore").addEventListener("click", () => part("file").click());
  part("file").addEventListener("change", () => {
    restore(part("file").files[0]);
    part("file").value = "";
  });
  for (const name of ["dragenter", "dragover", "dragleave", "drop"]) document.addEventListener(name, drag);
}
