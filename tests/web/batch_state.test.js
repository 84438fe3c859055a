import assert from "node:assert/strict";
import { test } from "node:test";
import {
  canGoOn,
  EMPTY,
  hasChoices,
  isAsSent,
  isGoing,
  isSame,
  isShort,
  kindOf,
  lineOf,
  nameAt,
  shareOf,
  textIn,
  wishOf,
  withForm,
} from "../../hunyuan_ui/ui/web/batch_state.js";

const NOTHING = { queued: 0, submitting: 0, running: 0, downloading: 0, not_sent: 0, done: 0, failed: 0, cancelled: 0 };
const told = (facts) => ({ rows: 4, text: "line", is_running: false, ...NOTHING, ...facts });

test("a file is read as it says by its name, and anything else as it looks", () => {
  const kinds = ["a.CSV", "a.b.tsv", "x.jsonl", "x.ndjson", "prompts.txt", "csv", "a.csv.zip", ""].map(kindOf);
  assert.deepEqual(kinds, ["csv", "csv", "jsonl", "jsonl", "text", "auto", "auto", "auto"]);
});

test("a file of a spreadsheet is text in each of its encodings, and a picture is none", () => {
  const bytes = (...parts) => new Uint8Array(parts.flatMap((part) => [...part]));
  assert.equal(textIn(new TextEncoder().encode("a 猫")), "a 猫");
  assert.equal(textIn(bytes([0xef, 0xbb, 0xbf], new TextEncoder().encode("prompt"))), "prompt");
  assert.equal(textIn(bytes([0xff, 0xfe], new Uint8Array(Buffer.from("a 猫", "utf16le")))), "a 猫");
  assert.equal(textIn(bytes([0xfe, 0xff, 0, 0x61, 0x73, 0x2b])), "a猫");
  assert.equal(textIn(bytes([0x89, 0x50, 0x4e, 0x47, 0xff])), null);
  assert.equal(textIn(bytes([0xff, 0xfe, 0x61])), null);
  for (const text of ["prompt,seed\na fox,5", "a fox’s den"])
    assert.equal(textIn(new Uint8Array(Buffer.from(text, "utf16le"))), null); // without its mark
  assert.equal(textIn(new Uint8Array()), "");
});

test("the number of combinations is asked for where there may be some", () => {
  assert.deepEqual(["a {red|blue} fox", '{"prompt": "a {b|c}"}'].map(hasChoices), [true, true]);
  assert.deepEqual(["a fox", "{red}", "a | b", '{"prompt": "x"}'].map(hasChoices), [false, false, false, false]);
  const draft = { ...EMPTY, text: "a fox", picks: "3", picksSeed: "9" };
  assert.equal("picks" in wishOf(draft, "owner"), false);
  const wish = wishOf({ ...draft, text: "a {red|blue} fox" }, "owner", true);
  assert.deepEqual([wish.picks, wish.picks_seed, wish.retry_failed], [3, 9, true]);
});

test("a list that was sent keeps the settings it was sent with, until it has another name", () => {
  const [then, now] = [{ width: 64 }, { width: 854 }];
  assert.deepEqual(withForm(EMPTY, now).form, now);
  assert.deepEqual(withForm({ ...EMPTY, name: "a", form: then }, now).form, now);
  const sent = { ...EMPTY, name: "a", sentName: "a", form: then };
  assert.ok(isAsSent(sent));
  assert.deepEqual(withForm(sent, now).form, then);
  assert.deepEqual(withForm({ ...sent, name: "b" }, now).form, now);
  assert.ok(!isAsSent({ ...sent, form: null }));
  assert.ok(!isAsSent({ ...EMPTY, form: then }));
});

test("what was said of a list is true until its text, name, settings or payer change, and not its budget", () => {
  const draft = { ...EMPTY, text: "a fox", name: "a", budget: "5", form: { width: 64 } };
  const wish = wishOf(draft, "owner");
  assert.ok(isSame(wish, wishOf({ ...draft, budget: "50" }, "owner")));
  for (const change of [{ text: "a crow" }, { name: "b" }, { form: { width: 65 } }, { kind: "csv" }])
    assert.ok(!isSame(wish, wishOf({ ...draft, ...change }, "owner")));
  assert.ok(!isSame(wish, wishOf(draft, "nobody")));
});

test("a list goes on while it is fed or anything of it is under way", () => {
  assert.ok(!isGoing(null));
  assert.ok(!isGoing(told({ done: 2, not_sent: 2 })));
  assert.ok(isGoing(told({ is_running: true })));
  for (const status of ["queued", "submitting", "running", "downloading"]) assert.ok(isGoing(told({ [status]: 1 })));
});

test("rows that failed count as ended, and rows that wait do not", () => {
  assert.equal(shareOf(told({ done: 1, failed: 1, running: 1, not_sent: 1 })), 0.5);
  assert.equal(shareOf(told({ done: 4 })), 1);
  assert.equal(shareOf(told({ rows: 0 })), 0);
});

test("the form speaks of a list that goes on, or that ended early until somebody has looked", () => {
  assert.equal(lineOf(null, false), "");
  assert.equal(lineOf(told({ running: 1 }), true), "line");
  assert.equal(lineOf(told({ done: 2, not_sent: 2 }), false), "line");
  assert.equal(lineOf(told({ done: 2, not_sent: 2 }), true), "");
  assert.equal(lineOf(told({ done: 4 }), false), "");
});

test("a list can be gone on with while anything of it may be sent, and not for what may have been charged", () => {
  assert.ok(!canGoOn(told({ done: 2, running: 1, not_sent: 1 })));
  for (const status of ["not_sent", "cancelled", "failed"]) assert.ok(canGoOn(told({ done: 3, [status]: 1 })));
  for (const status of ["unknown", "lost"]) assert.ok(!canGoOn(told({ done: 3, [status]: 1 })));
  assert.ok(!canGoOn(told({ done: 4 })));
});

test("a budget is short when it does not leave the most that the rest may cost", () => {
  assert.ok(isShort({ most_usd: 8, spent_usd: 3, is_free: false }, "10"));
  assert.ok(!isShort({ most_usd: 8, spent_usd: 2, is_free: false }, "10"));
  assert.ok(!isShort({ most_usd: 0, spent_usd: 0, is_free: true }, ""));
});

test("a list without a name gets one of its second", () => {
  assert.equal(nameAt(new Date(2026, 0, 2, 3, 4, 5)), "2026-01-02-03-04-05");
});
