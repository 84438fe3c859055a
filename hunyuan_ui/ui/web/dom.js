// Elements of the page: their texts are set as text, never as HTML.

const FOLD_TRIES = 10;

/**
 * Return a new element.
 * @param {string} tag
 * @param {string} [text]
 * @param {string} [className]
 * @param {Object<string, any>} [properties] Of the element, by the names that scripts know.
 * @returns {any}
 */
export function node(tag, text = "", className = "", properties = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return Object.assign(made, properties);
}

/** Return a button that calls `press` with itself. */
export function button(text, press, className = "button") {
  const made = node("button", text, className, { type: "button" });
  made.addEventListener("click", () => press(made));
  return made;
}

/**
 * Return a function that finds the named pieces of a part's template.
 * @param {Element} element
 * @returns {(name: string) => any}
 */
export const piecesOf = (element) => (name) => element.querySelector(`[data-part="${name}"]`);

/** Put words into a part: as text, and where `data-hint` stands, as the name of a control without one. */
export function fill(element, words) {
  for (const said of element.querySelectorAll("[data-say]")) said.textContent = words[said.dataset.say];
  for (const hinted of element.querySelectorAll("[data-hint]")) {
    const text = words[hinted.dataset.hint];
    hinted[hinted.tagName === "INPUT" ? "placeholder" : "title"] = text;
    hinted.setAttribute("aria-label", text);
  }
}

/** Set a text, and hide what has none. */
export function showText(element, text) {
  element.textContent = text || "";
  element.hidden = !text;
}

/** Call `act` when a form is sent, which stays on this page. */
export function onSubmit(form, act) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    act(form);
  });
}

/** Hand over what was typed into a form's box; it is empty before the answer comes: a secret stays nowhere on the page. */
export function onSecret(form, act) {
  onSubmit(form, () => {
    const box = form.querySelector("input");
    const text = box.value;
    box.value = "";
    if (text) act(text);
  });
}

/**
 * Copy what is selected, by whichever of the two ways is allowed: in a frame or without a certificate it may be the
 * older one only.
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
  for (const piece of joined.match(/[^ ，]+，?| /g) || [])
    part.append(piece === " " ? piece : node("span", piece.replaceAll("\u00a0", " "), "unbroken"));
  return part;
}

/** Set a text whose numbers stay on one line with the words around them; a style says where its parts begin a line. */
export function showUnbroken(element, text) {
  const line = node("span", "", "unbroken-line"); // what stands in a row of boxes would lose its spaces
  for (const part of text.split(" · ")) {
    if (line.firstChild) line.append(node("span", " ·", "dot"), " ");
    line.append(partOf(part));
  }
  element.replaceChildren(line);
}

export const prefersCalm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** Whether this browser has a decoder for what is made here; on Linux it may be a package of its own. */
export const canPlay = () => node("video").canPlayType('video/mp4; codecs="avc1.64001f"') !== "";

/** Whether so little of the page is in sight that what comes has to be scrolled to: a phone, either way it is held. */
export const isSmall = () => matchMedia("(max-width: 700px), (max-height: 500px)").matches;

/**
 * Scroll an element's top into view.
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

/**
 * Change what an area shows; where that takes away what had the focus, give it to the first button that is left in it,
 * else to the form's own.
 * @template Result
 * @param {Element} area
 * @param {() => Result} change
 * @returns {Result}
 */
export function keepingFocus(area, change) {
  const had = area.contains(document.activeElement) ? document.activeElement : null;
  const result = change();
  if (!had || (had.isConnected && had.checkVisibility())) return result;
  const left = [...area.querySelectorAll("button")].find((one) => one.checkVisibility());
  (left || document.getElementById("generate"))?.focus({ preventScroll: true });
  return result;
}

/**
 * Change what an area shows; where its top is in sight, it stays there: a browser would rather hold what lies below, and
 * scroll by what the area has grown.
 * @param {Element} area
 * @param {() => void} change
 */
export function keepingTop(area, change) {
  const { style } = document.documentElement;
  style.overflowAnchor = "none";
  const { top } = area.getBoundingClientRect(); // makes the browser let go of what it held, before anything grows
  if (top < 0 || top > innerHeight) style.overflowAnchor = "";
  change();
  requestAnimationFrame(() => requestAnimationFrame(() => (style.overflowAnchor = "")));
}

/** Call `act` with a field's control. Gradio draws what is inside an accordion only once it is open. */
export function withControl(field, act, triesLeft = FOLD_TRIES) {
  const control = document.getElementById(`field-${field.replaceAll("_", "-")}`);
  /** @type {HTMLElement | null} */
  const fold = document.querySelector("#advanced > button");
  if (control?.offsetParent) act(control, control.querySelector("textarea, input"));
  else if (fold && triesLeft) {
    if (triesLeft === FOLD_TRIES) fold.click();
    setTimeout(withControl, 100, field, act, triesLeft - 1);
  }
}

/** Show a field and put the cursor into it. */
export function goToField(field = "prompt") {
  withControl(field, (control, input) => {
    control.scrollIntoView({ block: "center", behavior: prefersCalm() ? "auto" : "smooth" });
    input?.focus({ preventScroll: true });
  });
}
