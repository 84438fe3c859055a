// The reason of a refused click, the field that caused it, and the credential that is missing to pay: it is requested
// next to the button, and once valid the click is resent.

import { tab, visitor } from "./browser_storage.js";
import { fieldId, fill, keepingFocus, onSecret, piecesOf, showText, withControl } from "./dom.js";
import { emit, isReloading, on, onReturn } from "./events.js";
import { language, words } from "./language.js";
import { guardPresses } from "./misdirected_press.js";
import { arrived } from "./server.js";
import { sayUnreachable } from "./server_reachable.js";
import { dayOf, serverNow } from "./wake_up.js";

const TEXTS = ["prompt", "negative_prompt"];
const LEFT = "hunyuan_refusal";
const SECRETS = {
  code: { payer: "owner", event: "enter", label: "pay.code", give: "pay.use_code_and_send" },
  key: { payer: "visitor", event: "bring", label: "pay.key", give: "pay.use_key_and_send" },
};

/** Return a function that focuses a box, unless a person has typed into another one since they pressed a button. */
function createFocus() {
  /** @type {EventTarget | null} */
  let typedInto = null;
  const forget = () => (typedInto = null);
  document.addEventListener("input", ({ target }) => (typedInto = target), true);
  document.addEventListener("click", forget, true);
  on("sending", forget);
  return (box) => {
    if (!typedInto || typedInto !== document.activeElement) box?.focus({ preventScroll: true });
  };
}

function mark(field, focus) {
  for (const marked of document.querySelectorAll("[data-wrong]")) {
    marked.removeAttribute("data-wrong");
    for (const input of marked.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
  }
  if (!field) return;
  withControl(field, (control, input) => {
    control.dataset.wrong = "";
    input?.setAttribute("aria-invalid", "true");
    focus(input);
  });
}

export function notice({ element, props, watch }) {
  const part = piecesOf(element);
  const box = element.querySelector(".notice");
  const noteContent = guardPresses(part("offers"));
  const focus = createFocus();
  /** @type {any} */
  let cause = null; // the field that caused it
  /** @type {any} */
  let lacks = null; // the missing credential, by its name in SECRETS
  let isGiven = false; // it was entered, and the answer is pending
  /** @type {any} */
  let again = null; // the retried job and its price, if a retry was refused
  /** @type {string | null} */
  let refused = null; // else the refused click
  /** @type {string[]} */
  let endsWith = []; // events that remove the cause
  let shownAt = 0;
  let isToWait = false; // the last one was refused for some seconds, whatever is entered
  let isUnheard = false; // it says that the server did not answer
  /** @type {any} */
  let ending;
  let refusal = ""; // what is to be said of the refused click should the page load again
  let isKept = false; // it was said on the page before: who pays was another matter there

  function show(
    text,
    {
      field = null,
      isConfirmable = false,
      isLimit = false,
      needs = null,
      ends = /** @type {string[]} */ ([]),
      ends_in_s = 0,
    } = {},
  ) {
    clearTimeout(ending);
    refusal = "";
    isKept = false;
    endsWith = ends;
    shownAt = serverNow();
    if (ends_in_s) ending = setTimeout(show, ends_in_s * 1000, "");
    keepingFocus(box, () => {
      box.hidden = !text;
      box.classList.toggle("problem", !isLimit);
      box.classList.toggle("said", isLimit);
      part("text").textContent = text || "";
      part("confirm").hidden = !isConfirmable;
    });
    noteContent(isConfirmable ? text : "");
    cause = field;
    mark(field, focus);
    isUnheard = [words.send_failed, words["gallery.unreachable"]].includes(text);
    sayUnreachable("notice", isUnheard);
    askFor(text ? needs : null);
    if (text) box.scrollIntoView({ block: "nearest" });
  }

  function askFor(needs) {
    const secret = SECRETS[needs];
    lacks = secret ? needs : null;
    isGiven = false;
    part("secret").hidden = !secret;
    showText(part("wrong"), "");
    emit("asked-here", lacks);
    if (!secret) return;
    part("secret-label").textContent = words[secret.label];
    part("give").textContent = words[secret.give];
    focus(part("secret").querySelector("input"));
  }

  /** Keep the refusal: a page whose server was started anew loads again at its answer, before anybody has read it. */
  function keepOverReload() {
    if (refusal) tab.set(LEFT, `${visitor()} ${language} ${refusal}`);
  }

  function showWhatWasKept() {
    const [, by, of, text] = /^(\S+) (\S+) (.+)$/s.exec(tab.get(LEFT) || "") || [];
    tab.remove(LEFT);
    if (!text || of !== language || by !== visitor()) return;
    show(text, { isLimit: true, ends: ["answered"] });
    isKept = true;
  }

  const isMissing = ({ has_key, needs_code }) => (lacks === "key" ? !has_key : needs_code);

  /** Whether the chosen payer still needs what is asked for here: the page may have learnt only now that it is missing. */
  const isStillAsked = (payment) => lacks && payment.chosen === SECRETS[lacks].payer && isMissing(payment);

  /** Handle the new payment state after the missing credential was entered here. */
  function paid({ problem, problem_ends_in_s, has_key, needs_code }) {
    if (!isGiven) return;
    isGiven = false;
    if (problem || isMissing({ has_key, needs_code })) {
      showText(part("wrong"), problem);
      clearTimeout(ending);
      isToWait = Boolean(problem_ends_in_s);
      if (problem_ends_in_s) ending = setTimeout(showText, problem_ends_in_s * 1000, part("wrong"), "");
      focus(part("secret").querySelector("input"));
      return;
    }
    goOn();
  }

  /** Resend what was refused, now that its cause is removed. */
  function goOn(isConfirmed = false) {
    const job = again;
    show("");
    if (job) emit("try-again", job);
    else window.hunyuan.form.repeat({ of: refused, isConfirmed });
  }

  fill(element, words);
  part("dismiss").addEventListener("click", () => show(""));
  part("confirm").addEventListener("click", () => goOn(true));
  onSecret(part("secret"), (text) => {
    isGiven = true;
    showText(part("wrong"), "");
    emit("given", { event: SECRETS[lacks].event, text });
  });
  part("secret").addEventListener("input", () => isToWait || showText(part("wrong"), ""));
  on("paid", paid);
  for (const lost of ["unanswered", "unheard"]) on(lost, () => show(words.send_failed));
  on("partly", () => show(words.partly, { isLimit: true, ends: ["answered"] }));
  on("unsent", () => show(words.not_sent, { isLimit: true }));
  on("failed", (what) => what === "watch" && show(words["gallery.unreachable"]));
  on("answered", () => {
    if (isUnheard || endsWith.includes("answered")) show("");
  });
  // A notice is removed with its cause: the field was changed, the price or the payer is different.
  on("prompt", () => TEXTS.includes(cause) && show(""));
  on("priced-anew", () => {
    if (endsWith.includes("priced-anew") || (cause && !TEXTS.includes(cause))) show("");
  });
  on("settings", () => cause && show(""));
  on("ended", () => endsWith.includes("ended") && show(""));
  onReturn(() => endsWith.includes("day") && dayOf(shownAt) !== dayOf(serverNow()) && show(""));
  on("paid-anew", (payment) => !cause && !isKept && !isStillAsked(payment) && show(""));
  document.addEventListener("input", ({ target }) => {
    if (cause && target instanceof Element && target.closest(`#${fieldId(cause)}`)) show("");
  });
  watch("value", () => {
    const value = props.value || {};
    emit("reply", value);
    window.hunyuan.answered(value.answer);
    refused = value.answer || null;
    again = value.again ? { id: value.again, most_usd: value.most_usd } : null;
    const { field, is_confirmable: isConfirmable, is_limit: isLimit, needs } = value;
    show(value.text, { field, isConfirmable, isLimit, needs, ends: value.ends_with, ends_in_s: value.ends_in_s });
    // On the next page there is no price to confirm: Generate shows the new one.
    refusal = isConfirmable ? words.not_sent : value.text || "";
    if (isReloading()) keepOverReload();
  });
  on("leaving", keepOverReload);
  arrived.then(showWhatWasKept); // before, the page is still being drawn, and what is scrolled to moves away
}
