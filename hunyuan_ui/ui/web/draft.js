// What stands in the form, kept in the tab: over a reload, another language, a crash, a restart of the server.

import { tab } from "./browser.js";

const DRAFT = "hunyuan_draft";
const KEEP_AFTER_MS = 100;

/**
 * Return the values of a draft that a form can take: those of its own names and kinds; null where there is no draft.
 * @param {string | null} text
 * @param {Object<string, any>} now What the form holds.
 * @returns {Object<string, any> | null}
 */
export function draftIn(text, now) {
  let kept;
  try {
    kept = JSON.parse(text || "null");
  } catch {
    return null;
  }
  if (typeof kept !== "object" || kept === null || Array.isArray(kept)) return null;
  return Object.fromEntries(Object.entries(kept).filter(([name, value]) => typeof value === typeof now[name]));
}

/**
 * Return what keeps it.
 * @param {() => void} read Have what is in the form read, and kept.
 */
export function createDraft(read) {
  /** @type {any} */
  let held = null;
  let isBegun = false;
  let keeping;

  function keep(now) {
    if (!isBegun) return;
    held = now;
    tab.set(DRAFT, JSON.stringify(now));
  }

  return {
    keep,

    /** What the form held last, or null. */
    get held() {
      return held;
    },

    /** Keep from now on: the server has said what the form begins with. */
    begin() {
      isBegun = true;
    },

    /** What stood in this tab's form before, if it fits what the form holds. */
    before: (now) => draftIn(tab.get(DRAFT), now),

    /** Keep what is in the form once Gradio has it all. */
    keepSoon() {
      clearTimeout(keeping);
      keeping = setTimeout(read, KEEP_AFTER_MS);
    },

    // The page may go before Gradio has handed over the last letters.
    keepLastLetters() {
      /** @type {HTMLTextAreaElement | null} */
      const box = document.querySelector("#field-prompt textarea");
      if (held && box) keep({ ...held, prompt: box.value });
    },
  };
}
