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
  const erase = async (videos) => {
    const ids = videos.map(({ id }) => id);
    erased.push(...ids);
    return isGone ? ids : [];
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

test("one request carries as many as the server takes, and each brings back what stays", async () => {
  const many = Array.from({ length: 501 }, (_, index) => ({ id: `v${index}` }));
  const answers = [];
  const some = createDeletions({
    erase: (videos) => new Promise((answer) => answers.push([videos.length, answer])),
    changed: () => told.push(""),
  });
  some.add(many);
  some.finish();
  assert.deepEqual(
    answers.map(([count]) => count),
    [500, 1],
  );
  assert.ok(some.has("v0") && some.has("v500"));
  answers[0][1](many.slice(1, 500).map(({ id }) => id));
  for (let turn = 0; turn < 3; turn += 1) await null;
  assert.ok(!some.has("v0") && !some.has("v499") && some.has("v500"));
  assert.deepEqual(told, ["", "", ""]);
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
  assert.deepEqual(told, [2, 0, 0, 0]);
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
