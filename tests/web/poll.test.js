import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { backOff, createPoll } from "../../hunyuan_ui/ui/web/poll.js";

const settle = async () => {
  for (let turn = 0; turn < 5; turn += 1) await null;
};

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
});

test("it asks again when the answer says so, and rests when it says never", async () => {
  const waits = [2000, 0];
  let asked = 0;
  const poll = createPoll(
    async () => {
      asked += 1;
      return waits.shift();
    },
    () => assert.fail("nothing failed"),
  );
  await poll();
  mock.timers.tick(1999);
  assert.equal(asked, 1);
  mock.timers.tick(1);
  await settle();
  assert.equal(asked, 2);
  mock.timers.tick(1e9);
  assert.equal(asked, 2);
});

test("what happens during a question asks once more, and never twice at once", async () => {
  const answers = [];
  const poll = createPoll(
    () => new Promise((answer) => answers.push(answer)),
    () => assert.fail("nothing failed"),
  );
  poll();
  poll();
  poll();
  assert.equal(answers.length, 1);
  answers[0](0);
  await settle();
  assert.equal(answers.length, 2);
  answers[1](0);
  await settle();
  mock.timers.tick(1e9);
  assert.equal(answers.length, 2);
});

test("a question out of turn takes the place of the next one", async () => {
  let asked = 0;
  const poll = createPoll(
    async () => {
      asked += 1;
      return 2000;
    },
    () => assert.fail("nothing failed"),
  );
  await poll();
  mock.timers.tick(1000);
  await poll();
  assert.equal(asked, 2);
  for (const expected of [2, 3, 3, 4]) {
    mock.timers.tick(1000);
    await settle();
    assert.equal(asked, expected);
  }
});

test("failures wait longer and longer, up to a limit, and an answer forgets them", async () => {
  let isBroken = true;
  let asked = 0;
  let failed = 0;
  const poll = createPoll(
    async () => {
      asked += 1;
      if (isBroken) throw new Error("gone");
      return 100;
    },
    () => {
      failed += 1;
    },
  );
  await poll();
  for (const wait_ms of [1000, 2000, 4000, 5000, 5000]) {
    mock.timers.tick(wait_ms - 1);
    const before = asked;
    mock.timers.tick(1);
    await settle();
    assert.equal(asked, before + 1);
  }
  assert.equal(failed, 6);
  isBroken = false;
  mock.timers.tick(5000);
  await settle();
  isBroken = true;
  mock.timers.tick(100);
  await settle();
  mock.timers.tick(backOff(1));
  await settle();
  assert.equal(asked, 9);
});
