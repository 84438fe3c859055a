// The page's language and words. A new language needs a new page; the form's draft comes along.

import { chosenLanguage } from "./browser.js";

const LANGUAGES = { en: "en", zh: "zh-CN" };
const wished = [chosenLanguage(), ...(navigator.languages || [])].map((name) => name.slice(0, 2).toLowerCase());

/** @type {string} */
export const language = wished.find((name) => name in LANGUAGES) || "en";

/** @type {Object<string, string>} */
export const words = window.hunyuanWords[language];

/** Return a sentence with its values; `{name:s}` is what makes an English word of one a word of several. */
export const filled = (key, /** @type {Object<string, any>} */ values) =>
  Object.entries(values).reduce(
    (text, [name, value]) =>
      text.replaceAll(`{${name}}`, String(value)).replaceAll(`{${name}:s}`, Number(value) === 1 ? "" : "s"),
    words[key],
  );

function held(store) {
  let value = "";
  store.subscribe((now) => (value = String(now)))();
  return value;
}
// Where a name has its region, others of the same language are written in another script.
const isOwn = (browsers, ours) => (ours.includes("-") ? browsers === ours : browsers.startsWith(ours));
const isStore = (found) => found && typeof found.set === "function" && typeof found.subscribe === "function";

/** Say which language this page is in. */
export const nameLanguage = () => (document.documentElement.lang = LANGUAGES[language]);

/**
 * Label Gradio's controls in this language, once it draws them: it takes the browser's and knows no choice by hand. Its
 * module holds the language in a store, the only one there with a language's name in it; importing it again gives the
 * same one.
 */
export async function translateLabels() {
  if (isOwn((navigator.language || "").toLowerCase(), LANGUAGES[language].toLowerCase())) return;
  const module = performance.getEntriesByType("resource").find(({ name }) => /\/runtime-[^/]+\.js$/.test(name));
  if (!module) return;
  const stores = Object.values(await import(module.name)).filter(isStore);
  const spoken = stores.find((store) => /^[a-z]{2}(-|$)/i.test(held(store)));
  if (spoken) spoken.set(LANGUAGES[language]);
}
