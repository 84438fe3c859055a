// The form: what a click sends is what was shown at that moment, at the price that was shown beside it.

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { drawn, newBrowser, StandIn, settled } from "./stand_in.js";

let browser = newBrowser();
const { form } = await import("../../hunyuan_ui/ui/web/form.js");

const TOKEN = "0123456789abcdef".repeat(2);
const HELD = [
  "prompt",
  "width",
  "height",
  "infer_steps",
  "seed",
  "is_random",
  "variations",
  "shape",
  "size",
  "quality",
];
const FACTS = {
  fields: ["prompt", "width", "height", "infer_steps", "seed"],
  priced: ["width", "height", "infer_steps"],
  held: HELD,
  sizes: { wide: { small: [64, 36], large: [128, 72] }, tall: { small: [36, 64], large: [72, 128] } },
  steps: { quick: 10, good: 40 },
};
const FIRST = {
  ...{ prompt: "", width: 64, height: 36, infer_steps: 40, seed: 7, is_random: false, variations: "1" },
  ...{ shape: "wide", size: "small", quality: "good" },
};
FACTS.initial = FIRST;
let shown; // the values in Gradio's controls
let page;
let generate;
let begun;

const own = () => browser.window.hunyuan.form;
const given = () => HELD.map((name) => shown[name]);
const label = () => generate.querySelector(".priced").textContent;
const fired = (name) => page.triggered.filter(([event]) => event === name).length;

/** Let Gradio run a handler, and set what it returns. */
function run(name) {
  const changed = own()[name](given());
  HELD.forEach((field, at) => {
    if (changed[at] !== undefined) shown[field] = changed[at];
  });
}

function type(values) {
  Object.assign(shown, values);
  run("looked");
}

async function wait(ms) {
  mock.timers.tick(ms);
  await settled();
}

const priced = (most_usd, more = {}) => ({ button: `at most ${most_usd}`, most_usd, line: "", ...more });

async function answerPrice(most_usd, more = {}) {
  await browser.answer("price", priced(most_usd, more));
  own().said();
}

/** Press Generate and let its form be read; return what is sent once that is known. */
async function press(how) {
  own().press(how);
  await wait(0);
  await collect();
}

async function collect() {
  own().collected(given());
  await settled();
}

function sent() {
  const [id, who, text] = own().sent("");
  return { id, who, ...JSON.parse(text) };
}

beforeEach(async () => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
  browser = newBrowser();
  browser.kept.hunyuan_visitor = TOKEN;
  generate = new StandIn();
  browser.page.getElementById = (id) => (id === "generate" ? generate : null);
  begun = 0;
  browser.window.hunyuan.begin = () => {
    begun += 1;
    return `id-${begun}`;
  };
  shown = { ...FIRST };
  const value = { token: TOKEN, payer: "owner", last_seed: 99, settings: null, price: { ...priced(2), of: FIRST } };
  page = drawn(form, value, { facts: FACTS });
  run("looked");
  await wait(0);
  run("filled");
  own().said();
});

test("a click sends what is in the form, at the price beside it", async () => {
  assert.equal(label(), "at most 2");
  type({ prompt: "a fox" });
  await press();
  const { id, form: values, payer, shown_usd, is_confirmed } = sent();
  assert.deepEqual([id, payer, shown_usd, is_confirmed], ["id-1", "owner", 2, false]);
  assert.deepEqual(values, { ...FIRST, prompt: "a fox" });
});

test("a price of another form is not beside this one, and a late one is dropped", async () => {
  run("looked");
  type({ width: 128 });
  assert.equal(label(), "<pricing>");
  await wait(50);
  type({ width: 64 });
  assert.equal(label(), "at most 2");
  await answerPrice(9);
  assert.equal(label(), "at most 2");
  await press();
  assert.equal(sent().shown_usd, 2);
});

for (const [what, answer_usd, expected] of [
  ["lower one is agreed", 1, 1],
  ["higher one is not", 3, 2],
])
  test(`a click that outruns its price agrees to what was seen before: a ${what}`, async () => {
    shown.width = 128; // Gradio has not passed it on yet
    await press();
    assert.equal(label(), "<pricing>");
    assert.equal(fired("send"), 0);
    await browser.answer("price", priced(answer_usd));
    assert.equal(fired("send"), 1);
    assert.equal(sent().shown_usd, expected);
  });

test("a click whose price does not come agrees to none", async () => {
  type({ width: 128 });
  await press();
  await browser.answer("price", {}, 503);
  assert.equal(sent().shown_usd, null);
});

test("a price that a refusal has named is agreed to for that form alone, until another is shown", async () => {
  type({ prompt: "a fox" });
  await press();
  sent();
  browser.emit("reply", { answer: "id-1", most_usd: 5 });
  await press();
  assert.equal(sent().shown_usd, 5);
  own().refresh();
  await wait(50);
  await answerPrice(3);
  await press();
  assert.equal(sent().shown_usd, 3);
  type({ width: 128 });
  await wait(50);
  await answerPrice(8);
  await press();
  assert.equal(sent().shown_usd, 8);
});

test("what a refusal of an older form has named is not agreed to for this one", async () => {
  await press();
  sent();
  type({ width: 128 });
  await wait(50);
  await answerPrice(3);
  browser.emit("reply", { answer: "id-1", most_usd: 5 });
  await press();
  await browser.answer("price", priced(3));
  assert.equal(sent().shown_usd, 3);
});

test("two clicks send each its own form, in their order", async () => {
  type({ prompt: "a fox" });
  own().press();
  own().press({ isConfirmed: true });
  await wait(0);
  assert.equal(fired("collect"), 2);
  await collect();
  type({ prompt: "a crow" });
  await collect();
  const told = [sent(), sent()].map(({ id, form: { prompt }, is_confirmed }) => [id, prompt, is_confirmed]);
  assert.deepEqual(told, [
    ["id-1", "a fox", false],
    ["id-2", "a crow", true],
  ]);
});

test("another video with the same settings is one, random, at its own price, and leaves the form alone", async () => {
  type({ prompt: "a fox", variations: "3" });
  const settings = { ...FIRST, prompt: "a crow", width: 128, height: 72 };
  const id = own().again({ settings, most_usd: 6 });
  const told = sent();
  assert.deepEqual([told.id, told.shown_usd, told.is_confirmed], [id, 6, true]);
  assert.deepEqual([told.form.prompt, told.form.width, told.form.variations], ["a crow", 128, "1"]);
  assert.equal(told.form.is_random, true);
  assert.deepEqual(Object.keys(told.form).sort(), [...HELD].sort());
  browser.emit("reply", { answer: id, seed: 5, most_usd: 7 });
  assert.deepEqual([shown.prompt, shown.seed], ["a fox", 7]);
  own().repeat({ of: id, isConfirmed: false });
  assert.deepEqual([sent().shown_usd, begun], [7, 2]);
});

test("the drawn seed is shown unless another was typed meanwhile", async () => {
  type({ is_random: true });
  await press();
  sent();
  browser.emit("reply", { answer: "id-1", seed: 5 });
  run("filled");
  assert.deepEqual([shown.seed, shown.is_random], [5, true]);
  await press();
  sent();
  type({ seed: 8 });
  browser.emit("reply", { answer: "id-2", seed: 6 });
  run("filled");
  assert.equal(shown.seed, 8);
  run("reseeded");
  assert.deepEqual([shown.seed, shown.is_random], [6, false]);
});

test("settings that were asked for leave alone what was changed since", () => {
  const since = own().now();
  type({ prompt: "a fox" });
  browser.emit("settings", { settings: { ...FIRST, prompt: "a crow", infer_steps: 10 }, since });
  run("filled");
  assert.deepEqual([shown.prompt, shown.infer_steps, shown.quality], ["a fox", 10, "quick"]);
});

for (const [when, change] of [
  ["before its form is read", (to) => [to, null]],
  ["while its price is on its way", (to) => [null, to]],
])
  test(`a click is paid by whoever was chosen at the press, also if another is chosen ${when}`, async () => {
    const [early, late] = change("owner");
    browser.emit("payer", "visitor");
    own().press();
    if (early) browser.emit("payer", early);
    await wait(0);
    own().collected(given());
    await settled();
    if (late) browser.emit("payer", late);
    assert.equal(label(), "at most 2"); // the owner's, which came first
    assert.equal(browser.asked.at(-1).body.payer, "visitor");
    await browser.answer("price", priced(2));
    const { payer, shown_usd } = sent();
    assert.deepEqual([payer, shown_usd], ["visitor", 2]);
  });

test("a payer who was chosen before the page has its first price stays, and that price is not beside them", async () => {
  page = drawn(form, {}, { facts: FACTS });
  browser.emit("payer", "nobody");
  page.receive({ token: TOKEN, payer: "owner", settings: null, price: { ...priced(2), of: FIRST } });
  run("looked");
  await wait(1000);
  assert.equal(label(), "<pricing>");
  assert.deepEqual([own().payer(), browser.asked.at(-1).body.payer], ["nobody", "nobody"]);
});

test("another payer's price is asked for, and only its answer is shown", async () => {
  browser.emit("payer", "visitor");
  assert.equal(label(), "<pricing>");
  await wait(50);
  browser.emit("payer", "owner");
  assert.equal(label(), "at most 2");
  await browser.answer("price", priced(3, { head: "of a visitor's" }));
  assert.equal(own().said()[1], undefined);
  browser.emit("payer", "visitor");
  await wait(50);
  assert.equal(label(), "<pricing>");
  await browser.answer("price", priced(4, { head: "new" }));
  assert.deepEqual(own().said()[1], "new");
  assert.equal(label(), "at most 4");
  assert.deepEqual(
    browser.asked.map(({ body }) => [body.payer, body.is_whole]),
    [
      ["visitor", true],
      ["visitor", true],
    ],
  );
});

test("a free preview needs no price of its own, but for another number of videos", async () => {
  browser.emit("payer", "nobody");
  await wait(50);
  await answerPrice(0, { is_free: true });
  type({ width: 128 });
  assert.equal(label(), "at most 0");
  type({ variations: "2" });
  assert.equal(label(), "<pricing>");
  type({ variations: "1" });
  assert.equal(label(), "at most 0");
  browser.emit("payer", "owner");
  assert.equal(label(), "<pricing>");
});

test("the price of one video that is shown beside its settings is not agreed to for several", async () => {
  type({ variations: "2" });
  browser.emit("settings", { settings: { ...FIRST, width: 128 }, most_usd: 9 });
  run("filled");
  await press();
  await browser.answer("price", priced(5));
  assert.equal(sent().shown_usd, 2);
});

test("a form is filled by the server once it was read for a click, and not if it was typed into", async () => {
  const settings = { ...FIRST, prompt: "a crow" };
  const reloaded = () => {
    page = drawn(form, {}, { facts: FACTS });
    run("looked");
  };
  const opened = async () => {
    delete sessionStorage.held.hunyuan_draft;
    page.receive({ token: TOKEN, payer: "owner", settings, price: { ...priced(2), of: FIRST } });
    await wait(200);
  };
  reloaded();
  own().press();
  await opened();
  assert.equal(fired("fill"), 0);
  await collect();
  await wait(50);
  assert.equal(fired("fill"), 1);
  run("filled");
  reloaded();
  await opened();
  run("filled");
  assert.deepEqual([shown.prompt, shown.is_random], ["a crow", true]);
  reloaded();
  browser.emit("settings", { settings: { ...FIRST, prompt: "a fox" } });
  await opened();
  run("filled");
  assert.equal(shown.prompt, "a fox");
});

test("what was in the form before a reload is in it again", () => {
  sessionStorage.held.hunyuan_draft = JSON.stringify({ ...FIRST, prompt: "a wren", width: "no number" });
  shown = { ...FIRST };
  const settings = { ...FIRST, prompt: "a crow" };
  page = drawn(form, { token: TOKEN, payer: "owner", settings, price: { ...priced(2), of: FIRST } }, { facts: FACTS });
  run("filled");
  assert.deepEqual([shown.prompt, shown.width], ["a wren", 64]);
});

test("a form without a price does not make forget what was seen before", async () => {
  type({ width: 65 });
  await wait(50);
  await answerPrice(null);
  type({ width: 128 });
  await press();
  await browser.answer("price", priced(2));
  assert.equal(sent().shown_usd, 2);
});

test("what the page opens with is asked for again soon where it was refused", async () => {
  page = drawn(form, {}, { facts: FACTS });
  browser.emit("failed", "pay");
  browser.emit("failed", "load");
  await wait(2999);
  assert.equal(fired("attach"), 0);
  await wait(1);
  assert.equal(fired("attach"), 1);
});

test("what the page opens with is asked for again until it is answered, and its first answer counts", async () => {
  page = drawn(form, {}, { facts: FACTS });
  await wait(14999);
  assert.equal(fired("attach"), 0);
  await wait(1);
  await wait(15000);
  assert.equal(fired("attach"), 2);
  const answer = (last_seed) =>
    page.receive({ token: TOKEN, payer: "owner", last_seed, settings: null, price: { ...priced(2), of: FIRST } });
  answer(41);
  answer(42); // the first question's, after all
  await wait(60000);
  assert.equal(fired("attach"), 2);
  run("reseeded");
  assert.equal(shown.seed, 41);
});

for (const [what, used, stands] of [
  ["a choice", { shape: "tall", width: 36, height: 64 }, { prompt: "a stored fox", width: 36, height: 64 }],
  ["a text", { prompt: "a crow" }, { prompt: "a crow", width: 128, height: 72 }],
  ["nothing", {}, { prompt: "a stored fox", width: 128, height: 72 }],
])
  test(`what the form held before comes back but for what was used before the first answer: ${what}`, async () => {
    sessionStorage.held.hunyuan_draft = JSON.stringify({ ...FIRST, prompt: "a stored fox", width: 128, height: 72 });
    const settings = { ...FIRST, prompt: "an older job", infer_steps: 10 };
    const value = { token: TOKEN, payer: "owner", last_seed: 99, settings, price: { ...priced(2), of: FIRST } };
    shown = { ...FIRST, ...used };
    page = drawn(form, value, { facts: FACTS });
    await wait(0);
    run("filled");
    assert.deepEqual(shown, { ...shown, ...stands, infer_steps: 40 });
    assert.equal(JSON.parse(sessionStorage.held.hunyuan_draft).prompt, stands.prompt);
  });

const opening = (settings) => ({
  ...{ token: TOKEN, payer: "owner", last_seed: 99, settings },
  price: { ...priced(2), of: FIRST },
});

test("the settings of a video that were taken before the first answer stay whole, also where they are the initial ones", () => {
  sessionStorage.held.hunyuan_draft = JSON.stringify({ ...FIRST, prompt: "a stored fox", infer_steps: 10 });
  shown = { ...FIRST };
  page = drawn(form, {}, { facts: FACTS });
  browser.emit("settings", { settings: { ...FIRST, prompt: "a crow" } });
  page.receive(opening({ ...FIRST, prompt: "an older job", width: 128, height: 72 }));
  run("filled");
  assert.deepEqual(shown, { ...FIRST, prompt: "a crow" });
});

for (const [what, before, chosen, stands] of [
  ["a preset", { infer_steps: 10 }, { width: 36, height: 64 }, { prompt: "", width: 36, height: 64, infer_steps: 10 }],
  ["one side", { width: 128, height: 72 }, { width: 65 }, { prompt: "", width: 65, height: 36 }],
  ["a count", null, { variations: "3" }, { prompt: "", variations: "3", infer_steps: 40 }],
  ["none after all", { prompt: "a stored fox" }, {}, { prompt: "a stored fox", variations: "1" }],
])
  test(`what was chosen before the first answer is there after a reload before it: ${what}`, async () => {
    sessionStorage.held.hunyuan_draft = JSON.stringify(before);
    shown = { ...FIRST };
    page = drawn(form, {}, { facts: FACTS });
    run("looked");
    type({ variations: "2" });
    type({ variations: "1", ...chosen });
    browser.emit("leaving");
    shown = { ...FIRST };
    page = drawn(form, {}, { facts: FACTS });
    run("looked");
    page.receive(opening(null));
    await wait(0);
    run("filled");
    assert.deepEqual(shown, { ...shown, ...stands });
  });

test("the settings of a video that were taken before the first answer are all there after a reload before it", async () => {
  sessionStorage.held.hunyuan_draft = JSON.stringify({ ...FIRST, prompt: "a stored fox", width: 128, height: 72 });
  shown = { ...FIRST };
  page = drawn(form, {}, { facts: FACTS });
  browser.emit("settings", { settings: { ...FIRST, prompt: "a crow", infer_steps: 10 } });
  run("filled");
  shown = { ...FIRST };
  page = drawn(form, opening({ ...FIRST, width: 128, height: 72 }), { facts: FACTS });
  await wait(0);
  run("filled");
  assert.deepEqual(shown, { ...FIRST, prompt: "a crow", infer_steps: 10, quality: "quick" });
});

test("what a tab has not stored comes from the newest job", () => {
  sessionStorage.held.hunyuan_draft = JSON.stringify({ prompt: "a stored fox" });
  shown = { ...FIRST };
  page = drawn(form, opening({ ...FIRST, prompt: "an older job", infer_steps: 10 }), { facts: FACTS });
  run("filled");
  assert.deepEqual([shown.prompt, shown.infer_steps, shown.is_random], ["a stored fox", 10, true]);
});

test("a page that is about to be loaded anew keeps the last letters", () => {
  browser.page.querySelector = () => ({ value: "a fox in the sn" });
  browser.emit("leaving");
  assert.equal(JSON.parse(sessionStorage.held.hunyuan_draft).prompt, "a fox in the sn");
});

test("what was typed before the first answer does not stand in for settings that took its place", () => {
  const box = { value: "a f" };
  shown = { ...FIRST };
  page = drawn(form, {}, { facts: FACTS });
  browser.page.querySelector = () => box;
  browser.emit("leaving"); // stores the letters, as typing does
  shown.prompt = "a f";
  browser.emit("settings", { settings: { ...FIRST, prompt: "a crow" } });
  page.receive(opening(null));
  run("filled");
  assert.equal(own().now().prompt, "a crow");
  assert.equal(JSON.parse(sessionStorage.held.hunyuan_draft).prompt, "a crow");
});
