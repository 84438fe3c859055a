// The card of a job that ended without a video: it offers what this job's end leaves to do, and nothing of another's.

import assert from "node:assert/strict";
import { test } from "node:test";
import { newBrowser, StandIn } from "./stand_in.js";

newBrowser();
const { createEndedCard } = await import("../../hunyuan_ui/ui/web/ended_job_card.js");

const PARTS = ["ended", "look", "try-again", "ended-prompt", "request", "account", "problem-title", "problem"];
const FAILED = { id: "a", status: "failed", prompt: "a fox", again_text: "Again", phase_text: "", note_text: "" };
const LOST = { ...FAILED, id: "b", status: "lost", can_look_again: true, request_id: "r-1", account_url: "https://c/" };

function card() {
  const parts = Object.fromEntries([...PARTS, "dismiss", "reuse"].map((name) => [name, new StandIn()]));
  const ended = createEndedCard(
    /** @type {any} */ (new StandIn()),
    (name) => parts[name],
    /** @type {any} */ ({
      change: () => {},
    }),
  );
  const offered = () => ["look", "request", "account"].filter((name) => !parts[name].hidden);
  return { ended, parts, offered };
}

test("a lost video is looked for, and one that failed is tried again, each first of all", () => {
  const { ended, parts, offered } = card();
  for (const [job, offers, isAgainFirst] of /** @type {[any, string[], boolean][]} */ ([
    [FAILED, [], true],
    [LOST, ["look", "request", "account"], false],
    [FAILED, [], true],
  ])) {
    ended.show(job);
    assert.deepEqual(offered(), offers);
    assert.equal(parts["try-again"].classList.contains("primary"), isAgainFirst);
    assert.equal(parts.ended.hidden, false);
  }
  ended.hide("b");
  assert.equal(parts.ended.hidden, false);
  ended.hide("a");
  assert.equal(parts.ended.hidden, true);
});

test("a lost video is told of again once what has covered it is dismissed, and neither twice nor after its own end", () => {
  const { ended, parts } = card();
  const [older, unknown] = [
    { ...LOST, id: "c" },
    { ...FAILED, id: "d", status: "unknown" },
  ];
  for (const job of [older, LOST, FAILED, LOST, unknown, FAILED]) ended.show(job);
  ended.hide("d");
  ended.hide("a");
  assert.deepEqual([ended.id(), parts.look.hidden], ["b", false]);
  ended.hide("b");
  assert.deepEqual([ended.id(), parts.ended.hidden], ["c", false]);
  ended.hide("c");
  assert.equal(parts.ended.hidden, true);
});

test("a card makes way for another video, and what was paid for comes back after it", () => {
  const { ended, parts } = card();
  for (const status of ["lost", "unknown"]) {
    for (const job of [{ ...LOST, status }, FAILED]) {
      ended.show(job);
      ended.noteSeen();
      ended.makeWay();
      assert.deepEqual([ended.id(), parts.ended.hidden], [undefined, true]);
    }
    ended.comeBack();
    assert.deepEqual([ended.id(), parts.ended.hidden], ["b", false]);
    ended.comeBack();
    ended.hide("b");
    ended.comeBack();
    assert.equal(parts.ended.hidden, true);
  }
  ended.noteSeen();
  ended.show(LOST);
  ended.makeWay();
  assert.equal(ended.id(), "b"); // no click has seen it
});
