// The form: what a choice sets is set here at once, and what a click sends is what stands here at that moment. The
// server only prices; its answer is dropped when the form has changed since, and a price is shown only beside its form.
const ASK_AFTER_MS = 50; // a slider that moves asks once it rests
const ASK_AGAIN_MS = 2000;
const ANSWER_WITHIN_MS = 10000;
const PRICE_WITHIN_MS = 3000; // so long a click waits for a price that is on its way
const CENT_USD = 0.01;
const { words } = hunyuan;
const { held: NAMES, fields: FIELDS, priced: PRICED, sizes: SIZES, steps: STEPS } = props.facts;
const line = element.querySelector("p");

let token = "";
let payer = null;
let form = null; // every value by its name, as Gradio last handed them over
let formKey = null;
let price = null; // the last answer, with the key of the form it is for
let named = null; // the price that a refusal has named, with the key of the form it is for
let seenUsd = null; // the most that the button, a picked card or a refusal has shown last
let lastSeed = null;
let isTouched = false;
let changes = []; // functions from what the form holds to what it should hold, until Gradio takes them
let news = {}; // what else Gradio is to show
let isWhole = false; // the next question is also about the page's head and the examples
let asking = null;
let rest = 0;
let pressed = []; // clicks whose form is still to be read
let ready = []; // clicks that are to be sent
const clicked = new Map(); // by its id, what the form held at a click, with its key

const keyOf = (held) => JSON.stringify([payer, held.variations, ...PRICED.map((name) => held[name])]);
const isOf = (answer, held) => answer !== null && held !== null && answer.key === keyOf(held);
// A preview stays free whatever is chosen.
const isFree = (held) => Boolean(price && price.is_free && price.payer === payer && price.count === held.variations);
const byName = (values) => Object.fromEntries(NAMES.map((name, index) => [name, values[index]]));

// Gradio would draw the button's text later, and a price must not stand beside another form for one frame.
function label(text) {
  const button = document.getElementById("generate");
  const isText = ({ data }) => (data.trim() ? NodeFilter.FILTER_ACCEPT : NodeFilter.FILTER_REJECT);
  const node = button && document.createTreeWalker(button, NodeFilter.SHOW_TEXT, isText).nextNode();
  if (node && node.data !== text) node.data = text;
}

function showPrice() {
  if (form) label(isOf(price, form) || isFree(form) ? price.button : words.pricing);
}

function hidePrice() {
  if (price && form && !isFree(form)) label(words.pricing);
}

// Asking for a price

async function priceOf(held, { whole = false, signal }) {
  const asked = { key: keyOf(held), payer, count: held.variations };
  const numbers = Object.fromEntries(PRICED.map((name) => [name, held[name]]));
  const answer = await fetch("gradio_api/hunyuan/price", {
    method: "POST",
    cache: "no-store",
    headers: { "content-type": "application/json", ...(token && { "x-hunyuan-visitor": token }) },
    body: JSON.stringify({ ...numbers, count: asked.count, payer, is_whole: whole }),
    signal,
  });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return { ...(await answer.json()), ...asked };
}

function ask({ whole = false, after_ms = ASK_AFTER_MS } = {}) {
  isWhole = isWhole || whole;
  if (!form) return;
  clearTimeout(rest);
  rest = setTimeout(askNow, after_ms);
}

async function askNow() {
  if (asking) asking.abort();
  const mine = new AbortController();
  const deadline = setTimeout(() => mine.abort(), ANSWER_WITHIN_MS);
  const whole = isWhole;
  asking = mine;
  try {
    const answer = await priceOf(form, { whole, signal: mine.signal });
    if (asking !== mine) return;
    isWhole = false;
    take(answer);
  } catch {
    if (asking === mine) ask({ after_ms: ASK_AGAIN_MS });
  } finally {
    clearTimeout(deadline);
  }
}

function take(answer) {
  if (isOf(answer, form)) price = answer;
  if (answer.head && answer.payer === payer) news = { head: answer.head, examples: answer.examples };
  if (answer.last_seed !== undefined) lastSeed = answer.last_seed;
  trigger("say");
}

// What the form holds

// Return what Gradio is to set.
function settled(values, change) {
  const before = byName(values);
  const after = { ...before, ...change(before) };
  look(after);
  return NAMES.map((name) => (Object.is(after[name], before[name]) ? undefined : after[name]));
}

function look(held) {
  const key = keyOf(held);
  const isSame = key === formKey;
  form = held;
  formKey = key;
  showPrice();
  if (isSame) return;
  line.toggleAttribute("data-old", !isOf(price, form));
  document.dispatchEvent(new CustomEvent("hunyuan:priced-anew"));
  if (isOf(price, form)) trigger("say");
  else ask();
}

const presetsOf = ({ width, height, infer_steps }) => {
  let found = { shape: null, size: null };
  for (const [shape, sizes] of Object.entries(SIZES))
    for (const [size, pixels] of Object.entries(sizes))
      if (pixels[0] === width && pixels[1] === height) found = { shape, size };
  return { ...found, quality: Object.keys(STEPS).find((name) => STEPS[name] === infer_steps) || null };
};

function sized({ shape, size }) {
  const chosen = { shape: shape || Object.keys(SIZES)[0], size: size || Object.keys(Object.values(SIZES)[0])[0] };
  const [width, height] = SIZES[chosen.shape][chosen.size];
  return { ...chosen, width, height };
}

function fill(change) {
  hidePrice();
  changes.push(change);
  trigger("fill");
}

function filled(before) {
  let after = before;
  for (const change of changes.splice(0)) after = { ...after, ...change(after) };
  return { ...after, ...presetsOf(after) };
}

// Sending

// The most that this click may cost: what is shown, or else what had been seen before and is not less.
async function shownFor(held, before) {
  if (isOf(named, held)) return named.most_usd;
  if (isOf(price, held) || isFree(held)) return price.most_usd;
  try {
    const answer = await priceOf(held, { signal: AbortSignal.timeout(PRICE_WITHIN_MS) });
    take(answer);
    return answer.most_usd <= before + CENT_USD ? answer.most_usd : before;
  } catch {
    return null; // the server says the price, and asks
  }
}

hunyuan.form = {
  // A choice

  sized: (values) => settled(values, sized),
  qualified: (values) => settled(values, ({ quality }) => ({ infer_steps: STEPS[quality] })),
  numbered: (values) => settled(values, presetsOf),
  looked: (values) => settled(values, () => ({})),
  seeded: (values) => settled(values, () => ({ is_random: false })),
  reseeded: (values) => settled(values, () => ({ is_random: false, ...(lastSeed !== null && { seed: lastSeed }) })),
  filled: (values) => settled(values, filled),

  // Put a video's or an example's settings into the form. `most_usd` is the price that stood beside them.
  show(settings, { isRandom = false, most_usd = null } = {}) {
    isTouched = true;
    const wish = Object.fromEntries(FIELDS.map((name) => [name, settings[name]]));
    fill(() => ({ ...wish, is_random: isRandom }));
    if (most_usd !== null && form && form.variations === "1") seenUsd = most_usd;
  },

  paidBy(chosen) {
    if (!chosen || chosen === payer) return;
    payer = chosen;
    isWhole = true; // the head and the examples speak of who pays
    if (form) look(form);
  },

  refresh: () => ask({ whole: true }),

  // What Gradio is to show of an answer: the label of the length, the head and the examples.
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

  // A click

  press({ isConfirmed = false } = {}) {
    isTouched = true;
    pressed.push({ id: hunyuan.begin(), isConfirmed, before: seenUsd });
    // What a choice a moment ago sets is in the form by then.
    setTimeout(() => trigger("collect"));
    return [];
  },

  async collected(values) {
    const held = byName(values);
    const { id, isConfirmed, before } = pressed.shift();
    look(held);
    clicked.set(id, { held, key: keyOf(held) });
    const shown_usd = await shownFor(held, before);
    ready.push({ id, sent: { form: held, payer, shown_usd, is_confirmed: isConfirmed } });
    trigger("send");
    return [];
  },

  sent(who) {
    const { id, sent } = ready.shift();
    return [id, who || hunyuan.visitor(), JSON.stringify(sent)];
  },

  // The seed that was drawn for a click, unless another one was typed since.
  made(id, seed) {
    const { held } = clicked.get(id) || {};
    lastSeed = seed;
    if (!held || !held.is_random) return;
    fill((now) => (now.is_random && Object.is(now.seed, held.seed) ? { seed } : {}));
  },

  // The price of one video that a refusal has named, in place of the one that was shown.
  saw(id, most_usd) {
    const { held, key } = clicked.get(id) || {};
    if (!held) return;
    seenUsd = most_usd * Number(held.variations);
    named = { key, most_usd: seenUsd };
    price = null;
    trigger("say");
  },
};

// The beginning: what the visitor made last, unless something is in the form already

function open() {
  const opened = props.value || {};
  if (!opened.token) return;
  token = opened.token;
  payer = opened.payer;
  lastSeed = opened.last_seed;
  price = { ...opened.price, key: keyOf(opened.price.of), payer, count: opened.price.of.variations };
  const wish = isTouched ? {} : { ...opened.settings, ...(opened.settings && { is_random: true }) };
  fill((now) => ({ ...wish, ...(isTouched ? {} : { prompt: hunyuan.carried(wish.prompt || now.prompt) }) }));
}

const atFocus = new WeakMap(); // numbers as they were when their boxes were entered
const boxOf = (event) => (event.target instanceof Element && event.target.closest("#form") ? event.target : null);

function within({ value, min, max }, before) {
  if (value === "") return before;
  if (max !== "" && Number(value) > Number(max)) return max;
  return min !== "" && Number(value) < Number(min) ? min : value;
}

const PRICED_BY = ["shape", "size", "quality", "variations", ...PRICED.map((name) => `field-${name.replaceAll("_", "-")}`)];
const isPriced = (box) => PRICED_BY.some((id) => box.closest(`#${id}`));

for (const name of ["input", "click"])
  document.addEventListener(
    name,
    (event) => {
      const box = boxOf(event);
      if (!box) return;
      if (name === "input") isTouched = true;
      if (isPriced(box) && (name === "input" || box.closest("button"))) hidePrice();
    },
    true,
  );
document.addEventListener("focusin", (event) => {
  const box = boxOf(event);
  if (box && box.type === "number" && box.value) atFocus.set(box, box.value);
});
// Gradio brings a number into its range after all its events have been told the old one, and knows no empty box.
document.addEventListener(
  "change",
  (event) => {
    const box = boxOf(event);
    if (!box || box.type !== "number") return;
    const fit = within(box, atFocus.get(box) || "");
    if (fit === box.value) return;
    box.value = fit;
    box.dispatchEvent(new Event("input", { bubbles: true }));
  },
  true,
);
document.addEventListener("hunyuan:answered", hunyuan.form.refresh);
document.addEventListener("visibilitychange", () => !document.hidden && hunyuan.form.refresh());
label(words.pricing);
watch("value", open);
open();
