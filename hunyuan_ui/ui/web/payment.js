// Choice of the payer.

import { newId, tab } from "./browser_storage.js";
import { fill, keepingFocus, node, onSecret, piecesOf, showText } from "./dom.js";
import { emit, on, onReturn } from "./events.js";
import { words } from "./language.js";
import { ask, request } from "./server.js";

const CHOSEN = "hunyuan_payer";
const PAYERS = { bring: "visitor", forget: "visitor", enter: "owner" }; // whose credential each event is about
// What is said of a credential that is asked for.
const MISSING = { key: { has_key: false, accepted: "" }, code: { needs_code: true, accepted: "" } };

export function payment({ element, props, trigger, watch }) {
  const part = piecesOf(element);
  /** @type {string | null} */
  let shownState = "";
  let choice = tab.get(CHOSEN); // made in this tab; neither an answer nor a reload reverts it
  /** @type {Object<string, string>} */
  let allowance = {}; // the visitor's remaining quota, by payer; empty in private
  let lacks = null; // the credential that is requested next to the button, and so not here
  const page = `pages/${newId()}`;
  let hadKey = false;
  let isCounted = false; // the server keeps the visitor's key while this page is open
  let asked = 0; // answers to older requests are dropped
  let isAsking = false;
  /** @type {any} */
  let ending;

  function choose(payer) {
    choice = payer;
    tab.set(CHOSEN, payer);
    props.value = { ...props.value, chosen: payer, problem: "", accepted: "" };
    show();
  }

  function option({ payer, label }, chosen) {
    const made = node("label", "", "slim");
    const input = node("input", "", "", { type: "radio", name: "payer", value: payer, checked: payer === chosen });
    input.addEventListener("change", () => choose(payer));
    made.append(input, node("span", label));
    return made;
  }

  function send(event, data = {}) {
    choose(PAYERS[event]); // an error in the next one is new, too
    trigger(event, data);
  }

  /** @param {{ ofRefusal?: boolean }} [cause] A refusal asks for a credential, which must not end the refusal. */
  function show({ ofRefusal = false } = {}) {
    const choices = props.value?.choices || [];
    const isOffered = choices.some(({ payer }) => payer === choice);
    const value = { ...props.value, ...(isOffered ? { chosen: choice } : {}) };
    const chosen = choices.find((entry) => entry.payer === value.chosen);
    const isFocused = part("choices").contains(document.activeElement);
    element.querySelector(".payment").hidden = choices.length < 2;
    part("choices").replaceChildren(...choices.map((entry) => option(entry, value.chosen)));
    if (isFocused) part("choices").querySelector("input:checked")?.focus();
    part("help").textContent = chosen ? chosen.help : "";
    keepingFocus(element, () => {
      part("key-form").hidden = value.chosen !== "visitor" || value.has_key || lacks === "key";
      part("kept").hidden = value.chosen !== "visitor" || !value.has_key;
      part("code-form").hidden = value.chosen !== "owner" || !value.needs_code || lacks === "code";
    });
    part("get-key").hidden = !value.keys_url;
    if (value.keys_url) part("get-key").href = value.keys_url;
    showText(part("allowance"), allowance[value.chosen]);
    part("login").hidden = value.chosen !== "owner" || !value.needs_login;
    showText(part("accepted"), value.accepted);
    showText(part("problem"), value.problem);
    const state = JSON.stringify([value.chosen, value.has_key, value.needs_code, value.needs_login]);
    if (state !== shownState && !ofRefusal) emit("paid-anew", value);
    shownState = state;
    emit("payer", value.chosen);
    count();
  }

  /** Handle the server's value. */
  function told() {
    if (props.value?.allowance) allowance = props.value.allowance;
    // Whether a credential is still missing is announced before anything that depends on it.
    if (props.value?.choices) emit("paid", props.value);
    // An error in a code is shown only where it was entered.
    if (lacks && props.value?.problem) props.value = { ...props.value, problem: "" };
    show();
    clearTimeout(ending);
    if (props.value?.problem_ends_in_s) ending = setTimeout(forgive, props.value.problem_ends_in_s * 1000);
  }

  function forgive() {
    props.value = { ...props.value, problem: "", problem_ends_in_s: null };
    show();
  }

  function count() {
    const isKnown = isCounted && hadKey; // a restart forgets both the key and the page
    hadKey = Boolean(props.value?.has_key);
    if (isKnown || !hadKey) return;
    isCounted = true;
    ask(page, { method: "POST" });
  }

  // The browser closes the page, so the request must outlive it.
  function leave() {
    if (isCounted) request(page, { method: "DELETE", keepalive: true }).catch(() => {});
    isCounted = false;
  }

  async function lookAtAllowance() {
    if (!Object.keys(allowance).length) return;
    asked += 1;
    const question = asked;
    isAsking = true;
    const answer = await ask("allowance");
    if (question !== asked) return;
    isAsking = false;
    if (!answer.isOk) return;
    allowance = answer.allowance;
    // A key is dropped after a while, or by another tab; one being entered is updated by its own answer.
    if (!lacks) props.value = { ...props.value, has_key: answer.has_key, needs_code: answer.needs_code };
    show();
  }

  /** Typing removes an error about what was typed before; one that time removes says how long to wait. */
  function retyped() {
    if (props.value?.problem && !props.value.problem_ends_in_s) forgive();
  }

  fill(element, words);
  part("choices").setAttribute("aria-label", words["pay.title"]);
  onSecret(part("key-form"), (key) => send("bring", { key }));
  onSecret(part("code-form"), (code) => send("enter", { code }));
  for (const name of ["key-form", "code-form"]) part(name).addEventListener("input", retyped);
  part("forget").addEventListener("click", () => send("forget"));
  on("failed", (what) => {
    if (what !== "pay") return;
    props.value = { ...props.value, problem: words["gallery.unreachable"] };
    told();
  });
  on("given", ({ event, text }) => send(event, { [event === "bring" ? "key" : "code"]: text }));
  on("asked-here", (name) => {
    if (name === lacks) return;
    lacks = name;
    // A click was refused for it: what was here before may have expired, or been forgotten by a restart.
    props.value = { ...props.value, ...MISSING[name] };
    show({ ofRefusal: Boolean(name) });
  });
  for (const change of ["begun", "ended"]) on(change, lookAtAllowance);
  onReturn(lookAtAllowance);
  window.addEventListener("pagehide", leave);
  window.addEventListener("pageshow", count);
  watch("value", () => {
    told();
    if (isAsking) lookAtAllowance(); // what is on its way may be older than this
  });
  told();
}
