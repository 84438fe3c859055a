// The page's language and words. Changing the language reloads the page; the form's draft is kept.

import { chosenLanguage } from "./browser_storage.js";

const LANGUAGES = { en: "en", zh: "zh-CN" };

/** Return the first of our languages among names with or without regions, as the server does for its sentences. */
export const languageNamed = (/** @type {readonly string[]} */ names) =>
  names.map((name) => name.split(/[-_]/)[0].toLowerCase()).find((name) => Object.keys(LANGUAGES).includes(name)) ||
  "en";

/** @type {string} */
export const language = languageNamed([chosenLanguage(), ...(navigator.languages || [])]);

/** @type {Object<string, string>} */
export const words = window.hunyuanWords[language];

/** Return a sentence with its values, a visitor's text last; `{name:s}` adds an English plural s. */
export const filled = (key, /** @type {Object<string, any>} */ values) =>
  Object.entries(values).reduce(
    (text, [name, value]) =>
      text.replaceAll(`{${name}}`, () => String(value)).replaceAll(`{${name}:s}`, Number(value) === 1 ? "" : "s"),
    words[key],
  );

/** Return the given ones of sentences as one text. @param {(string | false)[]} sentences */
export const joined = (sentences) =>
  sentences.reduce((first, next) => (first && next ? filled("sentences", { first, next }) : first || next), "") || "";

function held(store) {
  let value = "";
  store.subscribe((now) => (value = String(now)))();
  return value;
}
// If our language names a region, variants of the same language use another script.
const isOwn = (browsers, ours) => (ours.includes("-") ? browsers === ours : browsers.startsWith(ours));
const isStore = (found) => found && typeof found.set === "function" && typeof found.subscribe === "function";

/** Set the page's `lang`. */
export const nameLanguage = () => (document.documentElement.lang = LANGUAGES[language]);

/**
 * Set the language of Gradio's control labels once it renders them: it uses the browser's and has no manual choice. Its
 * module holds the language in a store, the only one there whose value is a language name; importing it again gives the
 * same instance.
 */
export async function translateLabels() {
  if (isOwn((navigator.language || "").toLowerCase(), LANGUAGES[language].toLowerCase())) return;
  const module = performance.getEntriesByType("resource").find(({ name }) => /\/runtime-[^/]+\.js$/.test(name));
  if (!module) return;
  const stores = Object.values(await import(module.name)).filter(isStore);
  const spoken = stores.find((store) => /^[a-z]{2}(-|$)/i.test(held(store)));
  if (spoken) spoken.set(LANGUAGES[language]);
}

/** Let Gradio's message about a lost server speak the page's language: Gradio has it in English only. */
export function translateMessage() {
  new MutationObserver(() => {
    const text = document.querySelector("[data-testid=toast-text]:not([lang])");
    if (!text?.textContent?.startsWith("Connection to the server was lost")) return;
    const toast = text.closest(".toast-body");
    text.setAttribute("lang", document.documentElement.lang);
    text.textContent = words["gallery.unreachable"];
    const title = toast?.querySelector(".toast-title");
    if (title) title.textContent = words.reconnecting;
    toast?.querySelector("button")?.setAttribute("aria-label", words["viewer.close"]);
  }).observe(document.body, { childList: true, subtree: true });
}
