// Why a click was refused: said for as long as it is true, and what was refused is sent again as it was.

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { drawn, newBrowser, settled } from "./stand_in.js";

let browser = newBrowser();
const { notice } = await import("../../hunyuan_ui/ui/web/notice.js");
const { reload } = await import("../../hunyuan_ui/ui/web/events.js");
const { visitorIs } = await import("../../hunyuan_ui/ui/web/server.js");

let page;
let sent;
let box;

const isShown = () => !box.hidden;
const refuse = (value) => page.receive({ text: "No.", answer: "id-1", ...value });

function give(text) {
  page.part("secret").querySelector("input").value = text;
  page.part("secret").dispatchEvent(new Event("submit", { cancelable: true }));
}

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: Date.parse("2026-11-27T12:00:00Z") });
  browser = newBrowser();
  globalThis.Element = class {};
  sent = [];
  const answered = (id) => sent.push(["answered", id]);
  browser.window.hunyuan = { answered, form: { repeat: (how) => sent.push(["repeat", how]) } };
  page = drawn(notice);
  box = page.element.querySelector(".notice");
  box.hidden = true;
  sent.length = 0;
});

test("an answer to a click is told with its id, whatever it says", () => {
  const heard = browser.hear("reply");
  refuse({ most_usd: 5 });
  assert.deepEqual(sent, [["answered", "id-1"]]);
  assert.equal(heard[0][1].most_usd, 5);
  assert.ok(isShown());
  page.receive({ text: "", answer: "id-2" });
  assert.ok(!isShown());
});

for (const lost of ["unanswered", "unheard"])
  test(`a click that is ${lost} is said, until one is answered`, () => {
    browser.emit(lost, "id-1");
    assert.equal(page.part("text").textContent, "<send_failed>");
    browser.emit("answered", "id-1");
    assert.ok(!isShown());
    refuse();
    browser.emit("answered", "id-1");
    assert.ok(isShown());
  });

test("a press on the card that no server has answered is said, until a click is answered", () => {
  for (const elsewhere of ["pay", "owner", "load"]) browser.emit("failed", elsewhere);
  assert.ok(!isShown());
  browser.emit("failed", "watch");
  assert.equal(page.part("text").textContent, "<gallery.unreachable>");
  browser.emit("answered", "id-1");
  assert.ok(!isShown());
});

test("a confirmed price sends the refused click again, once", () => {
  refuse({ is_confirmable: true });
  sent.length = 0;
  assert.equal(page.part("confirm").hidden, false);
  page.part("confirm").click();
  assert.deepEqual(sent, [["repeat", { of: "id-1", isConfirmed: true }]]);
  assert.ok(!isShown());
  refuse({ answer: "id-2", is_confirmable: true });
  page.part("confirm").click();
  assert.deepEqual(sent.at(-1), ["repeat", { of: "id-2", isConfirmed: true }]);
});

test("a price is not confirmed by a press in the moment in which its button appears", () => {
  const pressAt = (timeStamp) => {
    const event = new Event("click", { cancelable: true });
    Object.defineProperty(event, "timeStamp", { value: timeStamp });
    page.part("offers").dispatchEvent(event);
    return !event.defaultPrevented;
  };
  refuse({ text: "It may cost $2.", is_confirmable: true });
  assert.ok(!pressAt(100));
  mock.timers.tick(500);
  assert.ok(pressAt(1000));
  refuse({ text: "It may cost $3.", is_confirmable: true });
  assert.ok(!pressAt(1100));
  mock.timers.tick(500);
  refuse({ text: "It may cost $3.", is_confirmable: true });
  assert.ok(pressAt(1700));
});

test("a price is confirmed for its form alone", () => {
  refuse({ is_confirmable: true, ends_with: ["priced-anew"] });
  browser.emit("priced-anew");
  assert.ok(!isShown());
  refuse({ field: "width" });
  browser.emit("prompt");
  assert.ok(isShown());
  browser.emit("priced-anew");
  assert.ok(!isShown());
  refuse({ field: "prompt" });
  browser.emit("priced-anew");
  assert.ok(isShown());
  browser.emit("prompt");
  assert.ok(!isShown());
});

test("a refused retry is retried, and no click is sent again for it", () => {
  const heard = browser.hear("try-again");
  refuse({ again: "job-1", most_usd: 3, is_confirmable: true });
  sent.length = 0;
  page.part("confirm").click();
  assert.deepEqual(heard, [["try-again", { id: "job-1", most_usd: 3 }]]);
  assert.deepEqual(sent, []);
  refuse({ is_confirmable: true });
  page.part("confirm").click();
  assert.equal(heard.length, 1);
});

for (const [needs, event, missing] of [
  ["code", "enter", { has_key: true, needs_code: true }],
  ["key", "bring", { has_key: false, needs_code: false }],
])
  test(`a missing ${needs} that is given here sends the click again once it is right`, () => {
    const heard = browser.hear("given", "asked-here");
    const right = { has_key: needs === "key", needs_code: needs !== "code" };
    refuse({ needs });
    sent.length = 0;
    browser.emit("paid", right); // of another part of the page
    assert.deepEqual(sent, []);
    give("sesame");
    assert.deepEqual(heard, [
      ["asked-here", needs],
      ["given", { event, text: "sesame" }],
    ]);
    browser.emit("paid", { ...right, problem: "Wrong.", problem_ends_in_s: 5 });
    assert.equal(page.part("wrong").textContent, "Wrong.");
    mock.timers.tick(5000);
    assert.equal(page.part("wrong").textContent, "");
    browser.emit("paid", right);
    assert.deepEqual(sent, []);
    give("sesame");
    browser.emit("paid", missing);
    assert.deepEqual(sent, []);
    give("sesame");
    browser.emit("paid", right);
    assert.deepEqual(sent, [["repeat", { of: "id-1", isConfirmed: false }]]);
    assert.deepEqual(heard.at(-1), ["asked-here", null]);
  });

test("a refusal goes when its cause does: after its time, with a job's end, on another day, with another payer", () => {
  refuse({ ends_in_s: 5 });
  mock.timers.tick(4999);
  assert.ok(isShown());
  mock.timers.tick(1);
  assert.ok(!isShown());
  refuse({ ends_in_s: 5 });
  refuse({ ends_with: ["ended"] });
  mock.timers.tick(60000);
  assert.ok(isShown());
  browser.emit("ended", "job-1");
  assert.ok(!isShown());
  refuse({ ends_with: ["day"] });
  for (const event of ["ended", "returned"]) browser.emit(event);
  assert.ok(isShown());
  mock.timers.setTime(Date.parse("2026-11-28T12:00:00Z"));
  browser.emit("returned");
  assert.ok(!isShown());
  browser.emit("priced-anew");
  refuse({ is_limit: true, ends_with: ["ended", "day"] });
  browser.emit("priced-anew");
  assert.ok(isShown());
  refuse({ is_limit: true, ends_with: ["day", "priced-anew"] });
  browser.emit("priced-anew");
  assert.ok(!isShown());
  refuse({ field: "width" });
  browser.emit("paid-anew");
  assert.ok(isShown());
  refuse();
  browser.emit("paid-anew");
  assert.ok(!isShown());
});

test("a click of which some videos are missing is said without alarm, until it is answered", () => {
  browser.emit("unanswered", "id-1");
  browser.emit("partly", "id-1");
  assert.equal(page.part("text").textContent, "<partly>");
  assert.ok(!box.classes.has("problem"));
  browser.emit("answered", "id-1");
  assert.ok(!isShown());
});

test("a click that never arrived is said without alarm, until the next one is answered", () => {
  browser.emit("unsent", "id-1");
  assert.equal(page.part("text").textContent, "<not_sent>");
  assert.ok(!box.classes.has("problem"));
  page.receive({ text: "", answer: "id-1" });
  assert.ok(!isShown());
});

for (const [needs, chosen, missing] of [
  ["code", "owner", { has_key: false, needs_code: true }],
  ["key", "visitor", { has_key: false, needs_code: false }],
])
  test(`a wrong ${needs} is said though the page has learnt only with it that there is none`, () => {
    refuse({ needs });
    give("sesame");
    browser.emit("paid", { ...missing, problem: "Wrong." });
    browser.emit("paid-anew", { chosen, ...missing });
    assert.ok(isShown());
    assert.equal(page.part("wrong").textContent, "Wrong.");
    for (const other of [{ chosen: "nobody" }, { has_key: true, needs_code: false }]) {
      refuse({ needs });
      browser.emit("paid-anew", { chosen, ...missing, ...other });
      assert.ok(!isShown());
    }
  });

for (const isLate of [false, true])
  test(`a refusal outlives a reload, once, for its visitor and language; with ${isLate ? "a late" : "its"} answer`, async () => {
    visitorIs("token");
    const reloaded = async (other = "", value = {}) => {
      if (!isLate) refuse(value);
      reload();
      if (isLate) refuse(value);
      page.receive({ text: "" }); // this page is gone
      if (other) sessionStorage.setItem("hunyuan_refusal", other);
      page = drawn(notice);
      await settled();
      browser.emit("paid-anew", { chosen: "owner", has_key: false, needs_code: false });
      return page.part("text").textContent;
    };
    for (const other of ["someone en No.", "broken"]) assert.equal(await reloaded(other), "", other);
    assert.equal(await reloaded(), "No.");
    assert.equal(await reloaded("", { is_confirmable: true }), "<not_sent>");
    assert.ok(page.part("confirm").hidden);
    page = drawn(notice);
    await settled();
    assert.equal(page.part("text").textContent, "");
  });
