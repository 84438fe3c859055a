// Text by visitors: truncated between characters, and marked with its language for screen readers.

const SCRIPTS = { en: /\p{Script=Latin}/gu, "zh-CN": /\p{Script=Han}/gu };
const LETTERS_OF_A_WORD = 4; // in scripts with about one sign per word
const LETTER = /\p{L}/gu;

const count = (text, letters) => (text.match(letters) || []).length;

/**
 * Return a text's language for an element's `lang`; "" (unknown) if it is none of this page's.
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

/** Return the beginning of a text without splitting a character. @param {string} text @param {number} most */
export const beginningOf = (text, most) => [...text].slice(0, most).join("");

/** The same, with an ellipsis if truncated. */
export function shortened(text, most) {
  const beginning = beginningOf(text, most);
  return beginning === text ? text : `${beginning.trimEnd()}…`;
}

/** Return a video's name from its prompt, short enough for a screen reader. @param {string} prompt */
export const nameOf = (prompt) => shortened(prompt, MOST_IN_A_NAME);

/**
 * Set a text by a visitor.
 * @param {any} element
 * @param {string} text
 */
export function showWritten(element, text) {
  element.textContent = text;
  element.lang = languageOf(text);
}
