// The form: a choice is applied here immediately, and a click sends the values shown here at that moment. The server
// only prices; a price for an outdated form is dropped, and each price is shown only beside its form.

import { completeControls } from "./accessible_controls.js";
import { identified, settledVisitor, visitor } from "./browser_storage.js";
import { fieldId, node } from "./dom.js";
import { createDraft } from "./draft.js";
import { emit, on, onReturn } from "./events.js";
import { createPriceRequest } from "./form_price.js";
import { agreedPrice, createFormValues, RANDOM_SEED } from "./form_values.js";
import { keepLabel, label } from "./generate_button.js";
import { words } from "./language.js";
import { onTyping } from "./number_input.js";
import { arrived, request, visitorIs } from "./server.js";

const ATTACH_AGAIN_MS = 3000;
const ATTACHED_WITHIN_MS = 15000;
const REFRESH_AFTER_MS = 1000;
const COLLECTED_WITHIN_MS = 50;
const PRICE_WITHIN_MS = 8000; // maximum wait of a click for a pending price

export function form({ element, props, trigger, watch }) {
  const { fields, priced } = props.facts;
  const values = createFormValues(props.facts);
  const line = node("p", "", "", { id: "made-as" });
  /** @type {string | null} */
  let payer = null;
  /** @type {import('./form_values.js').Held | null} */
  let form = null; // Gradio's latest values
  let formKey = "";
  /** @type {any} */
  let price = null; // the latest answer, with the key of its form
  /** @type {any} */
  let named = null; // the price in a refusal, with the key of its form
  /** @type {number | null} */
  let seenUsd = null; // the maximum last shown by the button, a selected card or a refusal
  let lastSeed = null;
  let isReplaced = false; // by the settings of a video or an example
  let isOpen = false; // with the server's first answer
  const changes = []; // functions from the form's values to changed ones, until Gradio applies them
  let news = {}; // other updates for Gradio
  const draft = createDraft(
    () => trigger("keep"),
    (now) => (isReplaced ? now : values.used(now)),
  );
  const question = createPriceRequest({ form: () => form, priceOf, answered: showAnswer });
  const pressed = []; // clicks whose form is still to be read
  const ready = []; // clicks to be sent
  const clicked = new Map(); // the form's values at a click, with their key, by the click's id

  const keyOf = (held, by = payer) => values.keyOf(by, held);
  const isOf = (answer, held, by = payer) => answer !== null && held !== null && answer.key === keyOf(held, by);
  // A preview is free with every setting.
  const isFree = (held, by = payer) => Boolean(price?.is_free && price.payer === by && price.count === held.variations);

  function showPrice() {
    if (form) label(isOf(price, form) || isFree(form) ? price.button : words.pricing);
  }

  function hidePrice() {
    if (price && form && !isFree(form)) label(words.pricing);
  }

  // Price requests

  async function priceOf(
    held,
    { whole = false, by = payer, within_ms, signal = /** @type {AbortSignal | undefined} */ (undefined) },
  ) {
    const asked = { key: keyOf(held, by), payer: by, count: held.variations };
    const json = { ...values.numbersOf(held), count: asked.count, payer: by, is_whole: whole };
    const answer = await request("price", { json, within_ms, signal });
    if (!answer.isOk) throw new Error(`status ${answer.httpStatus}`);
    return { ...answer, ...asked };
  }

  function showAnswer(answer) {
    if (isOf(answer, form)) price = answer;
    if (answer.head && answer.payer === payer) news = { head: answer.head, examples: answer.examples };
    if (answer.last_seed !== undefined) lastSeed = answer.last_seed;
    trigger("say");
  }

  // The form's values

  /** Return the values that Gradio is to set. */
  function settled(given, change = (_held) => ({})) {
    const before = values.byName(given);
    const after = { ...before, ...change(before) };
    look(after);
    return values.changed(before, after);
  }

  function look(held) {
    draft.keep(held);
    const key = keyOf(held);
    const isSame = key === formKey;
    form = held;
    formKey = key;
    showPrice();
    if (isSame) return;
    line.toggleAttribute("data-old", !isOf(price, form));
    emit("priced-anew");
    if (isOf(price, form)) trigger("say");
    else question.ask();
  }

  function fill(change) {
    hidePrice();
    changes.push(change);
    trigger("fill");
  }

  function filled(before) {
    let after = before;
    for (const change of changes.splice(0)) after = { ...after, ...change(after) };
    return { ...after, ...values.presetsOf(after) };
  }

  /**
   * Load the settings of a video or an example into the form. `most_usd` is the price shown beside them, and `since`
   * the form's values when they were requested: later changes are kept. A prompt that this replaces can be brought back.
   */
  function show({ settings, isRandom = false, most_usd = null, since = null, isUndo = false }) {
    isReplaced = true;
    const wish = { ...Object.fromEntries(fields.map((name) => [name, settings[name]])), is_random: isRandom };
    const isFree = (now, name) => !since || Object.is(now[name], since[name]);
    fill((now) => {
      const taken = Object.fromEntries(Object.entries(wish).filter(([name]) => isFree(now, name)));
      const after = { ...now, ...taken };
      if (!isUndo && now.prompt.trim() && after.prompt !== now.prompt) emit("replaced", { before: now, after });
      if ("prompt" in taken) draft.replaced();
      return taken;
    });
    if (most_usd !== null && form?.variations === "1") seenUsd = most_usd;
  }

  /** Reuse the seed of a video for the next one. @param {number} seed */
  function useSeed(seed) {
    fill(() => ({ seed, is_random: false }));
  }

  function paidBy(chosen) {
    if (!chosen || chosen === payer) return;
    payer = chosen;
    question.askWhole(); // the header and the examples depend on the payer
    if (form) look(form);
  }

  const refresh = () => question.ask({ whole: true });

  // Sending

  // The maximum cost of this click: the displayed price, or else a previously seen one that is not lower.
  async function shownFor(held, before, by) {
    if (isOf(named, held, by)) return named.most_usd;
    if (isOf(price, held, by) || isFree(held, by)) return price.most_usd;
    try {
      const answer = await priceOf(held, { by, within_ms: PRICE_WITHIN_MS });
      showAnswer(answer);
      return agreedPrice(before, answer.most_usd);
    } catch {
      return null; // the server then names the price and asks for consent
    }
  }

  /** Handle a reply to a click: the drawn seed, unless another one was typed since, and the price it named. */
  function replied({ answer: id, seed, most_usd }) {
    const { held, key, again } = clicked.get(id) || {};
    if (again) {
      if (seed !== undefined) lastSeed = seed;
      if (most_usd !== undefined) again.most_usd = most_usd;
      return;
    }
    if (seed !== undefined) {
      lastSeed = seed;
      if (held?.is_random) fill((now) => (now.is_random && Object.is(now.seed, held.seed) ? { seed } : {}));
    }
    if (most_usd !== undefined && held) {
      seenUsd = most_usd;
      named = { key, most_usd: seenUsd };
      price = null;
      trigger("say");
    }
  }

  // Handlers of Gradio's events

  window.hunyuan.form = {
    sized: (given) => settled(given, values.sized),
    qualified: (given) => settled(given, values.qualified),
    numbered: (given) => settled(given, values.presetsOf),
    looked: (given) => settled(given),
    seeded: (given) => settled(given, () => ({ is_random: false })),
    reseeded: (given) => settled(given, () => ({ is_random: false, ...(lastSeed !== null && { seed: lastSeed }) })),
    filled: (given) => settled(given, filled),
    kept(given) {
      draft.keep(values.byName(given));
      return [];
    },
    refresh,
    payer: () => payer,
    now: () => draft.held || form,

    /** The form's values for a video of any prompt, with a seed of -1 if each video is to draw a new one. */
    settings() {
      const held = window.hunyuan.form.now();
      if (!held) return null;
      const own = Object.fromEntries(fields.filter((name) => name !== "prompt").map((name) => [name, held[name]]));
      return { ...own, ...(held.is_random && { seed: RANDOM_SEED }) };
    },

    /** Gradio's updates from an answer: the label of the length, the header and the examples. */
    said() {
      const isCurrent = isOf(price, form);
      if (isCurrent) {
        line.textContent = price.line;
        if (price.most_usd !== null) seenUsd = price.most_usd;
        named = null;
      }
      line.toggleAttribute("data-old", !isCurrent);
      showPrice();
      const { head, examples } = news;
      news = {};
      const length = isCurrent && price.frames ? { __type__: "update", label: price.frames } : undefined;
      return [length, head, examples];
    },

    press({ isConfirmed = false } = {}) {
      pressed.push({ id: window.hunyuan.begin(), isConfirmed, before: seenUsd, chosen: payer });
      // By then the form contains the effect of a choice made just before.
      setTimeout(() => trigger("collect"));
      return [];
    },

    /** Make another video with the same settings and a new seed, at the price beside the button; keep the form. */
    again({ settings, most_usd }) {
      const wish = Object.fromEntries(fields.map((name) => [name, settings[name]]));
      const held = { ...form, ...wish, is_random: true, variations: "1" };
      const id = window.hunyuan.begin();
      clicked.set(id, { held, key: keyOf(held), again: { settings, most_usd } });
      // The person confirmed this video's price before, and the button shows it again.
      ready.push({ id, sent: { form: held, payer, shown_usd: most_usd, is_confirmed: true } });
      trigger("send");
      return id;
    },

    /** Resend a refused click: with its own values, or with the form's current ones. */
    repeat({ of, isConfirmed }) {
      const again = clicked.get(of)?.again;
      if (again) window.hunyuan.form.again(again);
      else window.hunyuan.form.press({ isConfirmed });
    },

    async collected(given) {
      const held = values.byName(given);
      const { id, isConfirmed, before, chosen } = pressed.shift();
      const by = () => chosen ?? payer; // a page that is just opening may know of none yet
      look(held);
      clicked.set(id, { held, key: keyOf(held, by()) });
      const shown_usd = await shownFor(held, before, by());
      await settledVisitor();
      ready.push({ id, sent: { form: held, payer: by(), shown_usd, is_confirmed: isConfirmed } });
      trigger("send");
      return [];
    },

    sent(who) {
      const { id, sent } = ready.shift();
      return [id, who || visitor(), JSON.stringify(sent)];
    },
  };

  // Initial values: this tab's last form, else the visitor's newest job; what was typed or chosen meanwhile stays

  function open() {
    const opened = props.value || {};
    if (!opened.token || isOpen) return;
    isOpen = true;
    identified(opened.token);
    visitorIs(opened.token);
    const { payer: usual, price: first } = opened;
    payer ??= usual;
    lastSeed = opened.last_seed;
    price = { ...first, key: values.keyOf(usual, first.of), payer: usual, count: first.of.variations };
    const last = { ...opened.settings, ...(opened.settings && { is_random: true }) };
    whenCollected(() =>
      fill((now) => {
        const before = isReplaced ? {} : values.unused(now, { ...last, ...draft.before(now) });
        draft.begin();
        return before;
      }),
    );
  }

  /** Ask again for what the page opens with: the question may be lost without being refused. */
  function expectAnswer() {
    if (isOpen) return;
    setTimeout(() => {
      if (!isOpen) trigger("attach");
      expectAnswer();
    }, ATTACHED_WITHIN_MS);
  }

  /** Act when the form's values at each click have been read. */
  function whenCollected(act) {
    if (pressed.length) setTimeout(whenCollected, COLLECTED_WITHIN_MS, act);
    else act();
  }

  element.append(line);
  completeControls();
  keepLabel();
  onTyping(["shape", "size", "quality", "variations", ...priced.map(fieldId)], draft.keepSoon, hidePrice);
  window.addEventListener("pagehide", draft.keepLastLetters);
  on("leaving", draft.keepLastLetters);
  on("failed", (what) => what === "load" && setTimeout(trigger, ATTACH_AGAIN_MS, "attach"));
  on("settings", show);
  on("seed", useSeed);
  on("payer", paidBy);
  on("reply", replied);
  // Updates of reserved and remaining money can wait until a quickly finished video is shown.
  on("answered", () => setTimeout(refresh, REFRESH_AFTER_MS));
  onReturn(refresh);
  arrived.then(draft.identified);
  watch("value", open);
  open();
  expectAnswer();
}
