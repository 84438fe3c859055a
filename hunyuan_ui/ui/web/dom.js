// DOM helpers: texts are set as text, never as HTML.

import { beginningOf } from "./text_language.js";

const FOLD_TRIES = 10;
const MOST_SECRET = 700; // characters; the server reads 600 of a key or a code

/**
 * Return a new element.
 * @param {string} tag
 * @param {string} [text]
 * @param {string} [className]
 * @param {Object<string, any>} [properties] Of the element, by their DOM names.
 * @returns {any}
 */
export function node(tag, text = "", className = "", properties = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return Object.assign(made, properties);
}

/**
 * Return a picture that only decorates; one that cannot be loaded is replaced, or leaves its place empty.
 * @param {string} src
 * @param {{instead?: string, [property: string]: any}} [properties]
 */
export function picture(src, { instead, ...properties } = {}) {
  const image = node("img", "", "", { alt: "", decoding: "async", ...properties, src });
  image.addEventListener("error", () => {
    if (instead) image.src = instead;
    else image.remove();
    instead = undefined;
  });
  return image;
}

/** Return a button that calls `press` with itself. */
export function button(text, press, className = "button") {
  const made = node("button", text, className, { type: "button" });
  made.addEventListener("click", () => press(made));
  return made;
}

/**
 * Return a function that finds the named elements of a part's template.
 * @param {Element} element
 * @returns {(name: string) => any}
 */
export const piecesOf = (element) => (name) => element.querySelector(`[data-part="${name}"]`);

/** Insert words into a part: as text, and at `data-hint` as the accessible name of a control. */
export function fill(element, words) {
  for (const said of element.querySelectorAll("[data-say]")) said.textContent = words[said.dataset.say];
  for (const hinted of element.querySelectorAll("[data-hint]")) {
    const text = words[hinted.dataset.hint];
    hinted[hinted.tagName === "INPUT" ? "placeholder" : "title"] = text;
    hinted.setAttribute("aria-label", text);
  }
}

/** @type {WeakMap<Element, string>} */
const told = new WeakMap();

/** Set an element's text unless it was set to the same before: that would be read out, and translated by a browser, anew. */
export function setText(element, text) {
  if (told.get(element) === text) return;
  told.set(element, text);
  element.textContent = text;
}

/** Set an element's text, and hide it if empty. */
export function showText(element, text) {
  setText(element, text || "");
  element.hidden = !text;
}

/** Let a button keep the focus but take no press until the returned function is called; `disabled` would drop both. */
export function hold(button) {
  const held = new AbortController();
  button.setAttribute("aria-disabled", "true");
  button.addEventListener("click", (event) => event.stopImmediatePropagation(), { capture: true, signal: held.signal });
  return () => {
    held.abort();
    button.removeAttribute("aria-disabled");
  };
}

/** Call `act` when a form is submitted, without leaving this page. */
export function onSubmit(form, act) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    act(form);
  });
}

/**
 * Pass on the text typed into a form's box and clear the box immediately: a secret must not stay on the page. What is
 * longer than any secret is shortened, so that the server still says that it is wrong.
 */
export function onSecret(form, act) {
  onSubmit(form, () => {
    const box = form.querySelector("input");
    const text = box.value;
    box.value = "";
    if (text) act(beginningOf(text, MOST_SECRET));
  });
}

/**
 * Copy the selection by whichever of the two APIs is permitted: in a frame or without TLS it may be only the older one.
 * @returns {Promise<boolean>} Whether it was copied.
 */
export async function copySelected(text) {
  if (document.execCommand("copy")) return true;
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

function partOf(text) {
  const bound = text.replace(/(\d) (?=\S)| (?=\$)/g, (_all, digit = "") => `${digit}\u00a0`);
  const joined = bound.replace(/(\p{L}) (?=\d|\p{L}+\u00a0\$|\p{L}{1,3}$)/gu, "$1\u00a0");
  const part = node("span", "", "part");
  for (const piece of joined.match(/[^ ，；、]+[，；、]?| /g) || [])
    part.append(piece === " " ? piece : node("span", piece.replaceAll("\u00a0", " "), "unbroken"));
  return part;
}

/** Set a text with numbers that are not separated from adjacent words; a style allows breaks between its parts. */
export function showUnbroken(element, text) {
  const line = node("span", "", "unbroken-line"); // as direct children of a flex row the parts would lose their spaces
  for (const part of text.split(" · ")) {
    if (line.lastChild) {
      line.lastElementChild.lastElementChild?.append(node("span", " ·", "dot")); // no line may begin with it
      line.append(" ");
    }
    line.append(partOf(part));
  }
  element.replaceChildren(line);
}

export const prefersCalm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** Whether this browser can decode the videos; on Linux the decoder may be a separate package. */
export const canPlay = () => node("video").canPlayType('video/mp4; codecs="avc1.64001f"') !== "";

/** Whether the viewport is so small that new content must be scrolled to: a phone in either orientation. */
export const isSmall = () => matchMedia("(max-width: 700px), (max-height: 500px)").matches;

/**
 * Scroll the top of an element into view.
 * @param {Element} element
 * @param {ScrollLogicalPosition} [block]
 */
export const reveal = (element, block = "start") =>
  element.scrollIntoView({ block, behavior: prefersCalm() ? "auto" : "smooth" });

export const loadFile = (video, files) => {
  video.style.aspectRatio = files.ratio;
  video.poster = files.poster;
  video.src = files.src;
};

export function unload(video) {
  video.pause();
  video.removeAttribute("src");
  video.removeAttribute("poster");
  video.load();
}

/** Whether an element is drawn; where the browser cannot tell (Safari before 17.4), it counts as that. */
export const isDrawn = (element) => element.checkVisibility?.() ?? true;

// A second press of what has just gone must not close or buy anything. What stands where nothing is yet makes way for
// what comes, and would take the focus along.
const HARMLESS = "button:not(:disabled, [data-part=close], [data-spends], .nothing button)";

/**
 * Change an area's content; if that removes the focused element, focus the next harmless button, else the area's title
 * if it can be focused, else the form's own button.
 * @template Result
 * @param {Element} area
 * @param {() => Result} change
 * @returns {Result}
 */
export function keepingFocus(area, change) {
  const had = area.contains(document.activeElement) ? document.activeElement : null;
  const result = change();
  if (!had || (had.isConnected && isDrawn(had))) return result;
  const drawn = (selector) => /** @type {HTMLElement[]} */ ([...area.querySelectorAll(selector)].filter(isDrawn));
  const buttons = drawn(HARMLESS);
  const isAfter = (button) => had.compareDocumentPosition(button) & Node.DOCUMENT_POSITION_FOLLOWING;
  const left = (had.isConnected && buttons.find(isAfter)) || buttons[0] || drawn("[tabindex='-1']")[0];
  (left || document.getElementById("generate"))?.focus({ preventScroll: true });
  return result;
}

/**
 * Change an area's content; if its top is visible, it stays in place: a browser would rather anchor the content below,
 * and scroll by the area's growth.
 * @param {Element} area
 * @param {() => void} change
 */
export function keepingTop(area, change) {
  const { style } = document.documentElement;
  style.overflowAnchor = "none";
  const { top } = area.getBoundingClientRect(); // makes the browser drop its scroll anchor before anything grows
  if (top < 0 || top > innerHeight) style.overflowAnchor = "";
  change();
  requestAnimationFrame(() => requestAnimationFrame(() => (style.overflowAnchor = "")));
}

/** Return the id of the element of a request's field. */
export const fieldId = (field) => `field-${field.replaceAll("_", "-")}`;

/** @returns {HTMLTextAreaElement | null} */
export const promptBox = () => document.querySelector("#field-prompt textarea");

/** Call `act` with a field's control. Gradio renders the content of an accordion only once it is open. */
export function withControl(field, act, triesLeft = FOLD_TRIES) {
  const control = document.getElementById(fieldId(field));
  /** @type {HTMLElement | null} */
  const fold = document.querySelector("#advanced > button");
  if (control?.offsetParent) act(control, control.querySelector("textarea, input"));
  else if (fold && triesLeft) {
    if (triesLeft === FOLD_TRIES) fold.click();
    setTimeout(withControl, 100, field, act, triesLeft - 1);
  }
}

/** Show and focus a field. */
export function goToField(field = "prompt") {
  withControl(field, (control, input) => {
    control.scrollIntoView({ block: "center", behavior: prefersCalm() ? "auto" : "smooth" });
    input?.focus({ preventScroll: true });
  });
}
