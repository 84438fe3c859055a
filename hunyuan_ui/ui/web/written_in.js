// What a visitor wrote: cut between characters, and read out by a voice for its language where that is one of this page's.

const SCRIPTS = { en: /\p{Script=Latin}/gu, "zh-CN": /\p{Script=Han}/gu };
const LETTERS_OF_A_WORD = 4; // where one sign is about a word
const LETTER = /\p{L}/gu;

const count = (text, letters) => (text.match(letters) || []).length;

/**
 * Return the language's name for an element's `lang`; "", which is an unknown one, where it is none of this page's.
 * @param {string} text
 */
export function languageOf(text) {
  const latin = count(text, SCRIPTS.en);
  const han = count(text, SCRIPTS["zh-CN"]);
  const other = count(text, LETTER) - latin - han;
  const english = latin / LETTERS_OF_A_WORD;
  if (english > Math.max(han, other)) return "en";
  return han > other ? "zh-CN" : "";
}

const MOST_IN_A_NAME = 60;

/** Return the beginning of a text; no character is cut in two. @param {string} text @param {number} most */
export const beginningOf = (text, most) => [...text].slice(0, most).join("");

/** The same, with a sign where more follows. */
export function shortened(text, most) {
  const beginning = beginningOf(text, most);
  return beginning === text ? text : `${beginning.trimEnd()}…`;
}

/** What a video is called by its prompt, where a voice would go on for minutes. @param {string} prompt */
export const nameOf = (prompt) => shortened(prompt, MOST_IN_A_NAME);

/**
 * Set a text that a visitor wrote.
 * @param {any} element
 * @param {string} text
 */
export function showWritten(element, text) {
  element.textContent = text;
  element.lang = languageOf(text);
}
