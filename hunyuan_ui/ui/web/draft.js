// The form's content, kept in the tab: over a reload, another language, a crash, a restart of the server.

import { objectIn, storageKey, tab, takeOver } from "./browser_storage.js";
import { promptBox } from "./dom.js";

const DRAFT = "hunyuan_draft";
const KEEP_AFTER_MS = 100;

/**
 * Return a draft's values that the form accepts: those with its names and types; null if there is no draft.
 * @param {string | null} text
 * @param {Object<string, any>} now The form's current values.
 * @returns {Object<string, any> | null}
 */
export function draftIn(text, now) {
  const kept = objectIn(text);
  return kept && Object.fromEntries(Object.entries(kept).filter(([name, value]) => typeof value === typeof now[name]));
}

/**
 * Return the draft's storage.
 * @param {() => void} read Triggers reading and storing the form.
 * @param {(now: any) => any} used Those of the form's values that were set before it has its initial values.
 */
export function createDraft(read, used) {
  const stored = () => objectIn(tab.get(storageKey(DRAFT)));
  const store = (own) => tab.set(storageKey(DRAFT), JSON.stringify(own));
  let earlier = stored();
  /** @type {any} */
  let held = null;
  let isBegun = false;
  let isTyped = false; // before the form was stored for the first time: Gradio may not have passed it on
  let keeping;

  function keep(now) {
    const box = isTyped ? promptBox() : null;
    const own = { ...(isBegun ? now : { ...earlier, ...used(now) }), ...(box && { prompt: box.value }) };
    store(own);
    if (!isBegun) return;
    isTyped = false;
    held = own;
  }

  function keepLetters() {
    const box = promptBox();
    if (held && box) keep({ ...held, prompt: box.value });
    else if (box && (box.value || isTyped)) {
      // The rest is still what was stored before.
      isTyped = true;
      store({ ...stored(), prompt: box.value });
    }
  }

  return {
    keep,

    /** The last stored values, or null. */
    get held() {
      return held;
    },

    /** Start storing: the form has its initial values. What was stored before must have been read. */
    begin() {
      isBegun = true;
    },

    /** Other settings take the place of what was typed, which its box still shows. */
    replaced() {
      isTyped = false;
    },

    /** The values previously stored in this tab, if they match the form. */
    before: (now) => draftIn(tab.get(storageKey(DRAFT)), now),

    /** The visitor is identified: somebody else may have written what was stored here. */
    identified() {
      if (storageKey(DRAFT) === DRAFT) return;
      takeOver(DRAFT, "prompt");
      earlier = stored();
    },

    /** Store the form once Gradio has all its values. */
    keepSoon() {
      if (!held) keepLetters();
      clearTimeout(keeping);
      keeping = setTimeout(read, KEEP_AFTER_MS);
    },

    /** Store the last characters: the page may close before Gradio has passed them on. */
    keepLastLetters: keepLetters,
  };
}
