import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { createDeletions } from "../../hunyuan_ui/ui/web/undo_delete.js";

const [first, second] = [{ id: "1" }, { id: "2" }];
let erased;
let told;
let deletions;

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
  erased = [];
  told = [];
  deletions = createDeletions({ erase: ({ id }) => erased.push(id), changed: (waiting) => told.push(waiting.length) });
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
