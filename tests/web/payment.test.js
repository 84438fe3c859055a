// Who pays: a key stays as long as its page is open, and what is said of it is true.

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { drawn, newBrowser, settled } from "./stand_in.js";

let browser = newBrowser();
const { payment } = await import("../../hunyuan_ui/ui/web/payment.js");
const { visitorIs } = await import("../../hunyuan_ui/ui/web/server.js");
visitorIs("0123456789abcdef".repeat(2));

const CHOICES = ["owner", "visitor"].map((payer) => ({ payer, label: payer, help: `help of ${payer}` }));
const VALUE = { choices: CHOICES, chosen: "owner", has_key: false, needs_code: true, needs_login: false, problem: "" };
let page;

const pages = (method) => browser.asked.filter((one) => one.path.startsWith("pages/") && one.method === method).length;

async function open(value = {}) {
  page = drawn(payment, { ...VALUE, ...value });
  await settled();
}

function give(form, text) {
  const box = page.part(form).querySelector("input");
  box.value = text;
  page.part(form).dispatchEvent(new Event("submit", { cancelable: true }));
  assert.equal(box.value, "");
}

const choose = (at) => page.part("choices").children[at].children[0].dispatchEvent(new Event("change"));

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
  browser = newBrowser();
});

test("a key or a code leaves its box at once and goes to the server alone", async () => {
  await open({ chosen: "visitor" });
  give("key-form", "SG_secret");
  give("code-form", "");
  give("code-form", "sesame");
  assert.deepEqual(page.triggered, [
    ["bring", { key: "SG_secret" }],
    ["enter", { code: "sesame" }],
  ]);
});

test("a key that no server has answered for is said to be unanswered, until the next one is given", async () => {
  await open({ chosen: "visitor" });
  const heard = browser.hear("paid");
  give("key-form", "SG_secret");
  browser.emit("failed", "owner");
  assert.equal(page.part("problem").textContent, "");
  browser.emit("failed", "pay");
  assert.equal(page.part("problem").textContent, "<gallery.unreachable>");
  assert.equal(heard.at(-1)[1].problem, "<gallery.unreachable>"); // for the box beside the button
  give("key-form", "SG_secret");
  assert.equal(page.part("problem").textContent, "");
});

test("what is longer than any key is sent as far as the server reads it, and so is refused", async () => {
  await open({ chosen: "visitor" });
  give("key-form", `S${"🦊".repeat(70000)}`);
  const [[, { key }]] = page.triggered;
  assert.match(key, /^S🦊{600,2000}$/u);
});

test("a page is counted once while it is open and a key is kept, and again after it comes back", async () => {
  await open();
  assert.equal(pages("POST"), 0);
  page.receive({ ...VALUE, has_key: true });
  page.receive({ ...VALUE, has_key: true });
  await settled();
  assert.equal(pages("POST"), 1);
  for (const event of ["pagehide", "pagehide"]) browser.window.dispatchEvent(new Event(event));
  await settled();
  assert.equal(pages("DELETE"), 1);
  assert.equal(browser.asked.at(-1).how.keepalive, true);
  browser.window.dispatchEvent(new Event("pageshow"));
  await settled();
  assert.equal(pages("POST"), 2);
  assert.equal(new Set(browser.asked.map(({ path }) => path)).size, 1);
});

test("a choice stands until the visitor's own next change", async () => {
  const heard = browser.hear("payer");
  await open();
  choose(1);
  assert.deepEqual(heard.at(-1), ["payer", "visitor"]);
  page.receive({ ...VALUE, chosen: "owner" });
  assert.deepEqual(heard.at(-1), ["payer", "visitor"]);
  give("code-form", "sesame");
  page.receive({ ...VALUE, chosen: "owner" });
  assert.deepEqual(heard.at(-1), ["payer", "owner"]);
});

for (const [refusal, answer] of [
  ["refused", (value) => page.receive({ ...value, problem: "Refused." })],
  ["refused for some seconds", (value) => page.receive({ ...value, problem: "Wait.", problem_ends_in_s: 5 })],
  ["not answered", () => browser.emit("failed", "pay")],
])
  test(`a key that is ${refusal} leaves the payer who was chosen before a reload`, async () => {
    await open();
    choose(1);
    await open(); // a start of the page names its own default
    const heard = browser.hear("payer");
    give("key-form", "SG_wrong");
    assert.equal(page.props.value.chosen, "visitor"); // which the server's refusal keeps
    answer(page.props.value);
    await open();
    assert.ok(heard.every(([, payer]) => payer === "visitor"));
    assert.ok(!page.part("key-form").hidden);
  });

test("a choice of the payer outlives a reload, until a key or a code decides or it is no longer offered", async () => {
  await open();
  choose(1);
  const heard = browser.hear("payer");
  await open();
  assert.deepEqual(heard.at(-1), ["payer", "visitor"]);
  assert.equal(page.part("help").textContent, "help of visitor");
  page.receive({ ...VALUE, choices: CHOICES.slice(0, 1) });
  assert.deepEqual(heard.at(-1), ["payer", "owner"]);
  page.receive(VALUE);
  assert.deepEqual(heard.at(-1), ["payer", "visitor"]);
  give("code-form", "sesame");
  await open();
  assert.deepEqual(heard.at(-1), ["payer", "owner"]);
});

test("what is missing is asked for once: here, or beside the button", async () => {
  await open();
  const isAsked = () => !page.part("code-form").hidden;
  assert.ok(isAsked());
  browser.emit("asked-here", "code");
  assert.ok(!isAsked());
  page.receive({ ...VALUE, problem: "Wrong." });
  assert.equal(page.part("problem").textContent, "");
  const heard = browser.hear("paid-anew");
  page.receive({ ...VALUE, allowance: { owner: "3 left" } });
  browser.emit("begun");
  await browser.answer("allowance", { allowance: { owner: "2 left" }, has_key: false, needs_code: false });
  assert.deepEqual(heard, []); // the code that was given there is answered by itself
  browser.emit("asked-here", null);
  assert.ok(isAsked());
  page.receive({ ...VALUE, problem: "Wrong." });
  assert.equal(page.part("problem").textContent, "Wrong.");
});

test("each payer is asked for their own credential alone, and only while it is missing", async () => {
  const asked = () => ["key-form", "kept", "code-form", "login"].filter((name) => !page.part(name).hidden);
  const nothing = { has_key: false, needs_code: true, needs_login: true };
  const everything = { has_key: true, needs_code: false, needs_login: false };
  for (const [chosen, lacking, held] of [
    ["owner", ["code-form", "login"], []],
    ["visitor", ["key-form"], ["kept"]],
    ["nobody", [], []],
  ]) {
    await open({ chosen, ...nothing });
    assert.deepEqual(asked(), lacking);
    await open({ chosen, ...everything });
    assert.deepEqual(asked(), held);
  }
});

test("a key or a code that a click found missing is no longer said to be here", async () => {
  await open({ chosen: "visitor", has_key: true, accepted: "Key accepted: $12.00 on this account." });
  browser.emit("asked-here", "key");
  assert.ok(page.part("kept").hidden);
  assert.equal(page.part("accepted").textContent, "");
  browser.emit("asked-here", null);
  assert.ok(!page.part("key-form").hidden);
  await open({ chosen: "owner", needs_code: false });
  browser.emit("asked-here", "code");
  browser.emit("asked-here", null);
  assert.ok(!page.part("code-form").hidden);
});

test("a credential that another payer's video lacks does not end the refusal that asks for it", async () => {
  for (const [chosen, name] of [
    ["owner", "key"],
    ["visitor", "code"],
    ["visitor", "key"],
    ["owner", "code"],
  ]) {
    await open({ chosen, has_key: true, needs_code: false });
    const heard = browser.hear("paid-anew");
    browser.emit("asked-here", name);
    assert.deepEqual(heard, []);
  }
});

test("a page is counted again for a key that is given after a restart, which has forgotten both", async () => {
  await open({ chosen: "visitor", has_key: true });
  await settled();
  assert.equal(pages("POST"), 1);
  browser.emit("asked-here", "key");
  page.receive({ ...VALUE, chosen: "visitor", has_key: true });
  await settled();
  assert.equal(pages("POST"), 2);
});

test("a refusal is said for as long as it is true", async () => {
  await open();
  page.receive({ ...VALUE, problem: "Too many.", problem_ends_in_s: 10 });
  mock.timers.tick(9999);
  page.part("code-form").dispatchEvent(new Event("input"));
  assert.equal(page.part("problem").textContent, "Too many.");
  mock.timers.tick(1);
  assert.equal(page.part("problem").textContent, "");
  page.receive({ ...VALUE, problem: "Too many.", problem_ends_in_s: 10 });
  page.receive({ ...VALUE, problem: "Wrong." });
  mock.timers.tick(60000);
  assert.equal(page.part("problem").textContent, "Wrong.");
  page.part("code-form").dispatchEvent(new Event("input"));
  assert.equal(page.part("problem").textContent, "");
});

test("what is left of a visitor's videos is asked for after each click and end, and not in private", async () => {
  await open();
  for (const change of ["begun", "ended", "returned"]) browser.emit(change);
  await settled();
  assert.equal(browser.count("allowance"), 0);
  page.receive({ ...VALUE, allowance: { owner: "3 left" } });
  assert.equal(page.part("allowance").textContent, "3 left");
  for (const change of ["begun", "ended", "returned"]) {
    browser.emit(change);
    await browser.answer("allowance", { allowance: { owner: `after ${change}` }, has_key: true, needs_code: false });
    assert.equal(page.part("allowance").textContent, `after ${change}`);
  }
  assert.equal(page.part("code-form").hidden, true);
});

test("the payer's form is said to have changed when what is needed has, and only then", async () => {
  const heard = browser.hear("paid-anew");
  await open();
  page.receive({ ...VALUE, accepted: "Fine." });
  assert.equal(heard.length, 1);
  page.receive({ ...VALUE, needs_code: false });
  assert.deepEqual([heard.length, heard[1][1].needs_code], [2, false]);
});

test("an answer is not shown over what was answered since it was asked for", async () => {
  const open_with_key = async () => {
    await open({ chosen: "visitor", has_key: true, allowance: { owner: "3 left" } });
    await settled();
  };
  const left = (text, has_key) => ({ allowance: { visitor: text }, has_key, needs_code: true });
  const look = async () => {
    browser.emit("begun");
    await settled();
    return browser.asked.filter(({ path }) => path === "allowance").at(-1);
  };
  const answer = async (question, json) => {
    question.answer({ ok: true, status: 200, headers: { get: () => "application/json" }, json: async () => json });
    await settled();
  };

  await open_with_key();
  const [older, newer] = [await look(), await look()];
  await answer(newer, left("1 left", false));
  await answer(older, left("2 left", true));
  assert.equal(page.part("allowance").textContent, "1 left");
  assert.equal(page.part("kept").hidden, true);

  await open_with_key();
  const before = await look();
  page.part("forget").click();
  page.receive({ ...VALUE, chosen: "visitor", has_key: false });
  await answer(before, left("2 left", true));
  assert.equal(page.part("kept").hidden, true);
  const after = browser.asked.filter(({ path }) => path === "allowance").at(-1);
  assert.notEqual(after, before); // what it would have said is asked for anew
  await answer(after, left("1 left", false));
  assert.equal(page.part("allowance").textContent, "1 left");
});
