// What the dialog shows of a checked list: its rows once, and a button to send it only where it can be sent.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { drawn, newBrowser } from "./stand_in.js";

newBrowser();
const { showChecked, showNote, showOtherRows } = await import("../../hunyuan_ui/ui/web/batch_check.js");

const rows = (count, status = "not_sent") =>
  Array.from({ length: count }, (_, at) => ({ row: at + 1, prompt: `fox ${at + 1}`, status, state: "", time: "" }));
const checked = (facts = {}) => ({
  to_make: 2,
  most_usd: 1,
  spent_usd: 0,
  faults: [],
  table: rows(2),
  sum: "",
  confirm: "",
  ...facts,
});
let part;

beforeEach(() => {
  newBrowser();
  part = drawn(({ element }) => element).part;
});

test("only a list without faults that leaves something to make can be sent", () => {
  for (const [facts, canSend] of [
    [{}, true],
    [{ faults: [{ line: 1, problem: "No." }] }, false],
    [{ to_make: 0 }, false],
  ]) {
    showNote(part, checked(facts), "");
    assert.equal(part("send").hidden, !canSend, JSON.stringify(facts));
  }
});

test("a list is offered to be made again where rows have failed, and as long as that is wished for", () => {
  for (const [status, isRetried, isOffered] of [
    ["not_sent", false, false],
    ["failed", false, true],
    ["not_sent", true, true],
  ]) {
    showChecked(part, checked({ table: rows(2, status) }), isRetried);
    assert.equal(part("retry").hidden, !isOffered);
  }
});

test("the rows of a long list are shown once each, the later ones when they are asked for", () => {
  const long = checked({ table: rows(103) });
  showChecked(part, long, false);
  assert.equal(part("more").hidden, false);
  showOtherRows(part, long);
  assert.deepEqual(
    part("rows").children.map((made) => made.children[0].textContent),
    long.table.map(({ row }) => String(row)),
  );
  assert.equal(part("more").hidden, true);
});
