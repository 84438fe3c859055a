// The question of the form's price: a price that is shown is the one of the newest form.

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { createPriceRequest } from "../../hunyuan_ui/ui/web/form_price.js";

let form;
let asked; // questions under way: the form, how it is asked, and the two ways in which it ends
let answers;
let question;

const settle = async () => {
  for (let turn = 0; turn < 5; turn += 1) await null;
};

async function wait(ms) {
  mock.timers.tick(ms);
  await settle();
}

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
  form = { steps: 1 };
  asked = [];
  answers = [];
  question = createPriceRequest({
    form: () => form,
    priceOf: (held, how) => new Promise((answer, fail) => asked.push({ held, how, answer, fail })),
    answered: (answer) => answers.push(answer),
  });
});

test("a form that changes quickly is asked about once, and one that is not known never", async () => {
  question.ask();
  await wait(49);
  form = { steps: 2 };
  question.ask();
  await wait(50);
  assert.deepEqual(
    asked.map(({ held }) => held),
    [{ steps: 2 }],
  );
  form = null;
  question.ask();
  await wait(1000);
  assert.equal(asked.length, 1);
});

test("the answer to an older question is dropped, and the question aborted", async () => {
  question.ask();
  await wait(50);
  question.ask();
  await wait(50);
  assert.deepEqual(
    asked.map(({ how }) => how.signal.aborted),
    [true, false],
  );
  asked[0].answer("old");
  asked[1].answer("new");
  await settle();
  assert.deepEqual(answers, ["new"]);
});

test("a question without an answer is asked again, and one that was replaced is not", async () => {
  question.ask();
  await wait(50);
  asked[0].fail(new Error("away"));
  await settle();
  await wait(1999);
  assert.equal(asked.length, 1);
  await wait(1);
  assert.equal(asked.length, 2);
  question.ask();
  await wait(50);
  asked[1].fail(new Error("aborted"));
  await settle();
  asked[2].answer("price");
  await wait(60000);
  assert.equal(asked.length, 3);
  assert.deepEqual(answers, ["price"]);
});

test("the head is asked about once, by the first question that is answered", async () => {
  question.ask({ whole: true });
  question.ask();
  await wait(50);
  asked[0].fail(new Error("away"));
  await settle();
  await wait(2000);
  asked[1].answer("price");
  await settle();
  question.ask();
  await wait(50);
  asked[2].answer("price");
  await settle();
  question.askWhole();
  question.ask();
  await wait(50);
  assert.deepEqual(
    asked.map(({ how }) => how.whole),
    [true, true, false, true],
  );
});
