// The dialog of a prompt list: what is sent is what was checked, at the price that was shown, under a budget.

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { drawn, newBrowser, settled } from "./stand_in.js";

let browser = newBrowser();
const { batch } = await import("../../hunyuan_ui/ui/web/batch.js");
const { visitorIs } = await import("../../hunyuan_ui/ui/web/server.js");
visitorIs("0123456789abcdef".repeat(2));

const FORM = { width: 64, height: 36, video_length: 5, infer_steps: 40, seed: 7 };
const CHECKED = {
  list_id: "l",
  rows: 2,
  to_make: 2,
  most_usd: 3,
  spent_usd: 0,
  faults: [],
  table: [],
  sum: "",
  confirm: "",
};
const COUNTS = { queued: 2, submitting: 0, running: 0, downloading: 0, not_sent: 0, done: 0, failed: 0 };
const SENT = { list_id: "l", rows: 2, text: "goes on", is_running: true, ...COUNTS };
let page;
let form;
let payer;

const part = (name) => page.part(name);
const sends = () => browser.asked.filter(({ path }) => path === "lists/send").map(({ body }) => body);

async function type(name, text) {
  part(name).value = text;
  part(name).dispatchEvent(new Event("input"));
  await settled();
}

async function check(answer = CHECKED) {
  part("form").dispatchEvent(new Event("submit", { cancelable: true }));
  await browser.answer("lists/check", answer);
}

async function send() {
  part("send").click();
  await settled();
}

beforeEach(async () => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
  browser = newBrowser();
  form = FORM;
  payer = "owner";
  browser.window.hunyuan = { form: { settings: () => form, payer: () => payer } };
  page = drawn(batch, null, { multiple: 16 });
  await settled();
  browser.emit("list-open");
  await type("name", "foxes");
  await type("text", "a fox\na crow");
});

test("a list is sent as it was checked, with its budget and the price that was shown", async () => {
  await type("budget", "5");
  await check();
  assert.equal(part("checked").hidden, false);
  await send();
  const wish = {
    prompts: "a fox\na crow",
    kind: "auto",
    name: "foxes",
    form: FORM,
    payer: "owner",
    retry_failed: false,
  };
  assert.deepEqual(sends(), [{ ...wish, budget_usd: 5, shown_usd: 3 }]);
});

test("a press in the moment in which a checked list appears, or appears at another price, does not send it", async () => {
  const pressAt = (timeStamp) => {
    const event = new Event("click", { cancelable: true });
    Object.defineProperty(event, "timeStamp", { value: timeStamp });
    part("checked").dispatchEvent(event);
    return !event.defaultPrevented;
  };
  await check();
  assert.ok(!pressAt(100));
  mock.timers.tick(500);
  assert.ok(pressAt(1000));
  await check({ ...CHECKED, confirm: "dearer" });
  assert.ok(!pressAt(1100));
  mock.timers.tick(500);
  await check({ ...CHECKED, confirm: "dearer" });
  assert.ok(pressAt(1700));
});

test("a list that costs something is not sent with a budget that its box refuses, and a free one has none", async () => {
  part("budget").reportValidity = () => false;
  await type("budget", "-5");
  await check();
  await send();
  assert.deepEqual([sends(), part("problem").textContent], [[], ""]);
  await check({ ...CHECKED, most_usd: null });
  await send();
  assert.equal(sends().length, 1);
});

test("a list that costs something is not sent without a budget", async () => {
  await check();
  await send();
  assert.deepEqual(sends(), []);
  assert.equal(part("problem").textContent, "<batch.no_budget>");
  await type("budget", "0");
  await send();
  assert.equal(sends()[0].budget_usd, 0);
});

for (const [what, change] of [
  ["text", () => type("text", "a fox")],
  ["name", () => type("name", "crows")],
  [
    "form",
    () => {
      form = { ...FORM, width: 128 };
      browser.emit("priced-anew");
    },
  ],
  [
    "payer",
    () => {
      payer = "visitor";
      browser.emit("priced-anew");
    },
  ],
])
  test(`a list whose ${what} has changed since is checked again before it is sent`, async () => {
    await type("budget", "5");
    await check();
    await change();
    assert.equal(part("checked").hidden, true);
  });

test("the list that was sent is the one that stays as it is, whatever is written while it is on its way", async () => {
  await type("budget", "5");
  await check();
  await send();
  await type("name", "crows");
  form = { ...FORM, width: 128 };
  browser.emit("priced-anew");
  await browser.answer("lists/send", SENT);
  assert.equal(part("take").hidden, true); // a list of this name was not sent
  for (const name of ["fox", "foxes"]) await type("name", name);
  assert.equal(part("take").hidden, false);
  await check();
  const [first, again] = browser.asked.filter(({ path }) => path === "lists/check").map(({ body }) => body);
  assert.deepEqual(again, first);
});

test("a list that was sent is not offered to be sent again before it is checked", async () => {
  await type("budget", "5");
  await check();
  await send();
  await browser.answer("lists/send", SENT);
  assert.equal(part("checked").hidden, true);
});

test("a typed list that a file has replaced can be brought back, with its name, until the file's is changed", async () => {
  const file = (name, text) => ({ name, size: 9, arrayBuffer: async () => new TextEncoder().encode(text).buffer });
  const take = async (one) => {
    browser.emit("list-file", one);
    await settled();
  };
  const standing = () => [part("text").value, part("name").value, part("undo").hidden];
  await take(file("same.txt", "a fox\na crow"));
  assert.equal(part("undo").hidden, true);
  await type("name", "foxes");
  await take(file("boats.csv", "prompt\na boat"));
  await take(file("kites.txt", "a kite"));
  assert.deepEqual(standing(), ["a kite", "kites.txt", false]);
  await type("text", "a red kite");
  assert.equal(part("undo").hidden, true);
  await type("text", "a kite");
  part("undo").click();
  assert.deepEqual(standing(), ["prompt\na boat", "boats.csv", false]);
  await check();
  assert.equal(browser.asked.at(-1).body.kind, "csv");
  part("undo").click();
  assert.deepEqual(standing(), ["a fox\na crow", "foxes", true]);
  assert.equal(part("checked").hidden, true);
  assert.equal(part("text").focused > 0, true);
});

test("a file that is too large for a list is not read, and several are not taken", async () => {
  const large = { name: "large.txt", size: 1024 * 1024 + 1, arrayBuffer: async () => new ArrayBuffer(0) };
  for (const [files, problem] of [
    [[large], "<batch.too_large>"],
    [[large, large], "<gallery.one_file>"],
  ]) {
    part("file").files = files;
    part("file").dispatchEvent(new Event("change"));
    await settled();
    assert.equal(part("problem").textContent, problem);
    assert.equal(part("text").value, "a fox\na crow");
  }
});

test("two presses send one list, and one that was refused is said", async () => {
  await type("budget", "5");
  await check();
  await send();
  await send();
  await browser.answer("lists/send", { problem: "Too dear." }, 422);
  assert.equal(sends().length, 1);
  assert.equal(part("problem").textContent, "Too dear.");
  assert.equal(part("checked").hidden, false);
});

test("a list that was sent keeps the settings it was sent with, and its retries are wished for once", async () => {
  part("retry").querySelector("input").checked = true;
  await type("budget", "5");
  await check();
  await send();
  assert.equal(sends()[0].retry_failed, true);
  await browser.answer("lists/send", SENT);
  assert.equal(part("retry").querySelector("input").checked, false);
  assert.equal(browser.count("lists/l"), 1);
  form = { ...FORM, width: 128 };
  browser.emit("priced-anew");
  await check();
  await send();
  assert.deepEqual([sends()[1].form, sends()[1].retry_failed], [FORM, false]);
  await browser.answer("lists/send", SENT);
  part("take").click();
  await check();
  assert.equal(browser.asked.filter(({ path }) => path === "lists/check").at(-1).body.form.width, 128);
});

for (const [what, answer, isKept] of [
  ["whose answer is lost", () => browser.asked.at(-1).fail(new Error("no line")), true],
  ["to which a gateway answers", () => browser.answer("lists/send", { message: "timeout" }, 504), true],
  ["that the server refuses", () => browser.answer("lists/send", { version: "1", problem: "Too dear." }, 422), false],
])
  test(`a list ${what} is ${isKept ? "pressed for again with the settings it was sent with" : "not sent"}`, async () => {
    await type("budget", "5");
    await check();
    await send();
    await answer();
    await settled();
    assert.notEqual(part("problem").textContent, "");
    assert.equal(part("checked").hidden, false);
    form = { ...FORM, width: 128 };
    browser.emit("priced-anew");
    await check();
    await send();
    assert.deepEqual(sends()[1].form, isKept ? FORM : form);
  });

test("a list that exists already is followed once it is checked, and a new one is not", async () => {
  await check();
  assert.equal(browser.count("lists/l"), 0);
  await check({ ...CHECKED, to_make: 1 });
  assert.equal(browser.count("lists/l"), 1);
});

test("what was typed is kept when the page closes", async () => {
  browser.window.dispatchEvent(new Event("pagehide"));
  assert.equal(JSON.parse(sessionStorage.held.hunyuan_list_draft).text, "a fox\na crow");
  page = drawn(batch, null, { multiple: 16 });
  await settled();
  browser.emit("list-open");
  assert.equal(part("text").value, "a fox\na crow");
});

for (const [when, leave] of [
  ["the page is loaded anew", () => browser.emit("leaving")],
  ["the dialog closes", () => page.element.querySelector("dialog").close()],
])
  test(`what was typed is kept at once when ${when}`, async () => {
    await type("name", "crows");
    leave();
    assert.equal(JSON.parse(sessionStorage.held.hunyuan_list_draft).name, "crows");
  });
