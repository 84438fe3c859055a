// The page's browser storage, and fallbacks without it: stores may be disabled, partitioned or emptied, may throw on
// mere access, or silently drop values.

import { isReloading, reload } from "./events.js";
import { agreed } from "./visitor_token.js";

const VISITOR = "hunyuan_visitor";
const BY_ADDRESS = "hunyuan_by_address";
const LANGUAGE = "hunyuan_language";
const SWITCHED = "hunyuan_switched";
const PROBE = "hunyuan_probe";

/** @returns {any} */
const attempt = (act, /** @type {any} */ otherwise = null) => {
  try {
    return act();
  } catch {
    return otherwise;
  }
};

export const newId = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
const isId = (text) => /^[0-9a-f]{32}$/.test(text || "");

const storeIn = (area) => ({
  get: (name) => attempt(() => area().getItem(name)) || null,
  set(name, text) {
    return attempt(() => {
      area().setItem(name, text);
      return area().getItem(name) === text;
    }, false);
  },
  remove: (name) => attempt(() => area().removeItem(name)),
});
export const kept = storeIn(() => localStorage);
const session = storeIn(() => sessionStorage);

// For the lifetime of a tab; its history entry survives a reload even if nothing else is stored.
export const DIALOG = "hunyuan_dialog"; // what has a name like this belongs to a single entry (back_button.js)
const isOfTab = (/** @type {[string, any]} */ [name]) => name.startsWith("hunyuan_") && !name.startsWith(DIALOG);
const entry = () => attempt(() => history.state) || {};
let carried = Object.entries(entry()).filter(isOfTab);

function setEntry(state) {
  if (isReloading()) return;
  attempt(() => history.replaceState(state, ""));
  carried = Object.entries(entry()).filter(isOfTab);
}

// Behind a closed dialog lies an entry as it was when that opened.
globalThis.addEventListener?.("popstate", () => {
  const own = Object.entries(entry()).filter((pair) => !isOfTab(pair));
  if (carried.length || own.length < Object.keys(entry()).length) setEntry(Object.fromEntries([...own, ...carried]));
});

export const tab = {
  get: (name) => session.get(name) || entry()[name] || null,
  set(name, text) {
    if (session.set(name, text)) return;
    session.remove(name); // if it is full, it would go on giving what it had before
    setEntry({ ...entry(), [name]: text });
  },
  remove(name) {
    session.remove(name);
    const { [name]: gone, ...rest } = entry();
    if (gone !== undefined) setEntry(rest);
  },
};

// The visitor's identity: a personal address for the lifetime of the tab, else the browser's storage, else the tab.

const isOfAnotherSite = () => window.top !== window && attempt(() => !window.top?.location.href, true);
/** @type {string | null} */
let me = null;
let isByAddress = false;
let isCut = false; // the page's address named a visitor, but not whole
let proposed = "";
let login = ""; // the beginning of the login's token: enough to tell logins apart, too little to be one

function addressed() {
  const given = new URLSearchParams(location.hash.slice(1)).get("visitor");
  if (given === null) return null;
  // Sharing this page's address must not share the visitor's identity.
  attempt(() => history.replaceState(history.state, "", location.pathname + location.search));
  // A chat program may make the sign behind an address a part of it.
  const [id = null] = given.match(/^[0-9a-f]{32}(?![\p{L}\p{N}])/u) || [];
  isCut = id === null;
  return id;
}

const isFirstVisit = () =>
  !me && ![tab.get(VISITOR), kept.get(VISITOR)].some(isId) && !location.hash.includes("visitor=");

/** Return this visitor's token once all tabs of this browser have agreed on it. */
export async function settledVisitor() {
  if (isFirstVisit()) proposed = await agreed(newId(), isId);
  return visitor();
}

/** Return this visitor's token. */
export function visitor() {
  if (me) return me;
  const known = kept.get(VISITOR);
  const given = addressed();
  isByAddress = given ? given !== known : tab.get(BY_ADDRESS) !== null;
  me = [given, tab.get(VISITOR), known, proposed].find(isId) || newId();
  if (isByAddress) tab.set(BY_ADDRESS, "yes");
  else tab.remove(BY_ADDRESS);
  if (isByAddress || !keep()) tab.set(VISITOR, me);
  else tab.remove(VISITOR);
  return me;
}

function keep() {
  const known = kept.get(VISITOR);
  return known === me || (!isId(known) && kept.set(VISITOR, me));
}

/**
 * Return how visitors find their videos again after closing this page: "kept" by this browser; "framed", kept at the
 * browser's discretion, as for a page inside another site's; else by their personal address only.
 */
export function keeping() {
  visitor();
  if (isByAddress) return "address";
  if (!keep()) return "nothing";
  return isOfAnotherSite() ? "framed" : "kept";
}

/**
 * Return the name under which what is this visitor's alone is held: the browser has a visitor of its own, and several
 * people may log in there one after the other.
 */
export function storageKey(name) {
  if (!isFirstVisit()) visitor();
  if (login) return `${name}_${login}`;
  return isByAddress ? `${name}_${me}` : name;
}

/** Note whom the server has identified by this token. What is a visitor's alone is read after that. */
export function identified(token) {
  login = token === visitor() ? "" : token.slice(0, 8);
}

/** Return the object of a JSON text; null for anything else. */
export function objectIn(text) {
  const found = attempt(() => JSON.parse(text));
  return typeof found === "object" && !Array.isArray(found) ? found : null;
}

/**
 * Make what was written in this tab before the login, or before the server has told of it, this login's own.
 * @param {string} name
 * @param {string} text Its property that is empty if nothing was written.
 */
export function takeOver(name, text) {
  const written = objectIn(tab.get(name));
  if (!login) return;
  tab.remove(name);
  if (written?.[text])
    tab.set(storageKey(name), JSON.stringify({ ...objectIn(tab.get(storageKey(name))), ...written }));
}

const isOfTabAlone = () => isByAddress && !login;

// Of this visitor, beyond the lifetime of a tab; without storage, or by a personal address, for the lifetime of the tab.
export const lasting = {
  get: (name) => tab.get(storageKey(name)) || (isOfTabAlone() ? null : kept.get(storageKey(name))),
  set(name, text) {
    tab.set(storageKey(name), text);
    if (!isOfTabAlone()) kept.set(storageKey(name), text);
  },
  remove(name) {
    tab.remove(storageKey(name));
    if (!isOfTabAlone()) kept.remove(storageKey(name));
  },
};

/** Whether this page was opened by a personal address of which a part is missing, and so leads to nobody. */
export function isAddressCut() {
  visitor();
  return isCut;
}

/**
 * Whether the browser has no stored identity for this visitor: whether to offer a personal address, and whether there
 * is a video, is known only from the server's first answer.
 */
export function isUnknown() {
  if (location.hash.includes("visitor=") || tab.get(BY_ADDRESS) !== null || isOfAnotherSite()) return true;
  const isKept = kept.set(PROBE, "yes");
  kept.remove(PROBE);
  return !isKept;
}

/** Return the personal address. */
export function address() {
  const url = new URL(location.pathname, location.origin);
  const language = addressedLanguage();
  if (language) url.searchParams.set("lang", language);
  url.hash = `visitor=${visitor()}`;
  return url.href;
}

const queried = (name) => new URLSearchParams(location.search).get(name);

// The language: chosen in the page's address, else stored.

const addressedLanguage = () => queried("lang");
const keptLanguage = () => (attempt(() => document.cookie, "").match(/(?:^|; )hunyuan_language=([a-z]+)/) || [])[1];
export const chosenLanguage = () => addressedLanguage() || keptLanguage() || "";

/** Name this page's language in its address once another tab has stored another one: the server answers in that. */
export function holdLanguage(language) {
  const stored = keptLanguage();
  if (stored && stored !== language && addressedLanguage() !== language) setQuery("lang", language);
}

/** Change the language by a reload; `isByKeys` if its button has the focus, which the new page's button then gets. */
export function keepLanguage(name, isByKeys) {
  if (isByKeys) tab.set(SWITCHED, "yes");
  attempt(() => (document.cookie = `${LANGUAGE}=${name}; path=/; max-age=31536000; samesite=lax`));
  setQuery("lang", keptLanguage() === name ? null : name);
  reload();
}

/** Whether this page follows a language change by keyboard; true only once. */
export function isSwitchedByKeys() {
  const isSo = tab.get(SWITCHED) !== null;
  tab.remove(SWITCHED);
  return isSo;
}

/** Return the id of the video that this page's address names; what no id has would change the path of a request. */
export const addressedVideo = () => queried("job")?.replace(/\W/g, "_") || null;

/** Set or remove a query parameter of this page's address. */
export function setQuery(name, value) {
  if (isReloading()) return;
  const url = new URL(location.href);
  if (value) url.searchParams.set(name, value);
  else url.searchParams.delete(name);
  attempt(() => history.replaceState(history.state, "", url));
}

/** Channel to the other tabs of this page. */
export const channel = (name) =>
  attempt(() => new BroadcastChannel(name)) || { postMessage() {}, addEventListener() {} };

export const canNotify = () => attempt(() => isSecureContext && Notification.permission !== "denied", false);
