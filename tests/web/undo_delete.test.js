import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { createDeletions } from "../../hunyuan_ui/ui/web/undo_delete.js";

const [first, second] = [{ id: "1" }, { id: "2" }];
let erased;
let told;
let deletions;
let isGone;

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
  erased = [];
  told = [];
  isGone = true;
  const erase = async ({ id }) => {
    erased.push(id);
    return isGone;
  };
  deletions = createDeletions({ erase, changed: (waiting) => told.push(waiting.length) });
});

test("a deletion waits ten seconds and happens once", () => {
  deletions.add([first]);
  mock.timers.tick(9999);
  assert.deepEqual(erased, []);
  assert.ok(deletions.has("1"));
  mock.timers.tick(1);
  assert.deepEqual(erased, ["1"]);
  deletions.finish();
  assert.deepEqual(erased, ["1"]);
});

test("what is undone is never erased", () => {
  deletions.add([first, second]);
  assert.deepEqual(deletions.undo(), [first, second]);
  mock.timers.tick(60000);
  assert.deepEqual(erased, []);
  assert.ok(!deletions.has("1"));
  assert.deepEqual(told, [2, 0]);
});

test("a second deletion gives the first its ten seconds anew, and both come back together", () => {
  deletions.add([first]);
  mock.timers.tick(9000);
  deletions.add([second, first]);
  mock.timers.tick(9000);
  assert.deepEqual(erased, []);
  mock.timers.tick(1000);
  assert.deepEqual(erased, ["1", "2"]);
  assert.deepEqual(told, [1, 2, 0]);
});

test("a page that goes deletes what waits", () => {
  deletions.add([first]);
  deletions.finish();
  mock.timers.tick(60000);
  assert.deepEqual(erased, ["1"]);
});

test("many are deleted a few at a time, and all that is left once the page goes", async () => {
  const many = Array.from({ length: 300 }, (_, index) => ({ id: `v${index}` }));
  const answers = [];
  const some = createDeletions({
    erase: ({ id }) => new Promise((answer) => answers.push([id, answer])),
    changed: () => {},
  });
  some.add(many);
  some.finish();
  assert.equal(answers.length, 50);
  for (const [, answer] of answers.slice(0, 20)) answer(true);
  for (let turn = 0; turn < 3; turn += 1) await null;
  assert.equal(answers.length, 70);
  assert.ok(!some.has("v0") && some.has("v69") && some.has("v299"));
  some.add([{ id: "last" }]);
  some.leave();
  assert.deepEqual(
    answers.map(([id]) => id),
    [...many, { id: "last" }].map(({ id }) => id),
  );
  for (const [, answer] of answers) answer(true);
  for (let turn = 0; turn < 3; turn += 1) await null;
  assert.equal(answers.length, 301);
  assert.ok(![...many, { id: "last" }].some(({ id }) => some.has(id)));
});

test("what is being deleted stays away until that has failed", async () => {
  isGone = false;
  deletions.add([first, second]);
  deletions.finish();
  deletions.add([first]);
  assert.ok(deletions.has("1") && deletions.has("2"));
  assert.deepEqual(told, [2, 0, 0]);
  for (let turn = 0; turn < 3; turn += 1) await null;
  assert.ok(!deletions.has("1") && !deletions.has("2"));
  assert.deepEqual(told, [2, 0, 0, 0, 0]);
  deletions.add([first]);
  assert.ok(deletions.has("1"));
});

test("what is deleted elsewhere can no longer be undone here, and is not erased again", () => {
  deletions.add([first, second]);
  deletions.drop("1");
  assert.ok(!deletions.has("1"));
  deletions.drop("3");
  assert.deepEqual(deletions.undo(), [second]);
  deletions.add([first]);
  deletions.drop("1");
  mock.timers.tick(60000);
  assert.deepEqual([erased, told], [[], [2, 1, 0, 1, 0]]);
});
