import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { createDraft, draftIn } from "../../hunyuan_ui/ui/web/draft.js";

const NAME = "hunyuan_draft";
let held;
let box;
let read;

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
  held = {};
  box = null;
  read = 0;
  const area = {
    getItem: (name) => held[name] ?? null,
    setItem: (name, text) => {
      held[name] = text;
    },
  };
  Object.defineProperty(globalThis, "sessionStorage", { value: area, configurable: true });
  globalThis.document = { querySelector: () => box };
  Object.defineProperty(globalThis, "location", { value: { hash: "" }, configurable: true });
});

const draft = () =>
  createDraft(
    () => {
      read += 1;
    },
    ({ prompt, ...now }) => ({ ...now, ...(prompt && { prompt }) }),
  );

test("a draft gives what the form can take, and nothing else", () => {
  const now = { prompt: "", width: 854, is_random: true };
  assert.deepEqual(draftIn('{"prompt":"a fox","width":720,"is_random":false}', now), {
    prompt: "a fox",
    width: 720,
    is_random: false,
  });
  assert.deepEqual(draftIn('{"prompt":7,"width":"720","is_random":null,"other":1}', now), {});
  for (const damaged of [null, "", "{", "null", "[1]", "7"]) assert.equal(draftIn(damaged, now), null);
});

test("an empty form at the opening does not replace the draft of before", () => {
  held[NAME] = '{"prompt":"a fox"}';
  const opened = draft();
  opened.keep({ prompt: "" });
  opened.keepLastLetters();
  assert.deepEqual(opened.before({ prompt: "" }), { prompt: "a fox" });
  opened.begin();
  opened.keep({ prompt: "a crow" });
  assert.deepEqual(opened.held, { prompt: "a crow" });
  assert.deepEqual(draft().before({ prompt: "" }), { prompt: "a crow" });
});

test("what is set before the draft begins is kept beside the draft of before, without the letters of its box", () => {
  held[NAME] = '{"prompt":"a fox","steps":20}';
  const opened = draft();
  opened.keep({ prompt: "", width: 64 });
  assert.deepEqual(JSON.parse(held[NAME]), { prompt: "a fox", steps: 20, width: 64 });
  opened.keep({ prompt: "" });
  assert.deepEqual(JSON.parse(held[NAME]), { prompt: "a fox", steps: 20 });
  box = { value: "a crow" };
  opened.keepSoon();
  opened.keep({ prompt: "", width: 72 });
  assert.deepEqual(JSON.parse(held[NAME]), { prompt: "a crow", steps: 20, width: 72 });
  assert.equal(opened.held, null);
});

test("a page that closes keeps the letters that Gradio has not passed on", () => {
  const opened = draft();
  opened.begin();
  box = { value: "" };
  opened.keepLastLetters();
  assert.deepEqual(held, {});
  box = { value: "a fox" };
  opened.keep({ prompt: "a f", width: 64 });
  opened.keepLastLetters();
  assert.deepEqual(JSON.parse(held[NAME]), { prompt: "a fox", width: 64 });
});

test("many letters in a row are read once", () => {
  const opened = draft();
  for (let letter = 0; letter < 5; letter += 1) {
    opened.keepSoon();
    mock.timers.tick(99);
  }
  assert.equal(read, 0);
  mock.timers.tick(1);
  assert.equal(read, 1);
});

test("what is typed before Gradio has passed on the form is kept at once, with what was stored before", () => {
  held[NAME] = '{"prompt":"","width":64}';
  box = { value: "a fox" };
  const opened = draft();
  opened.keepSoon();
  assert.deepEqual(draft().before({ prompt: "", width: 854 }), { prompt: "a fox", width: 64 });
  box.value = "a fox runs";
  opened.keepLastLetters();
  assert.deepEqual(JSON.parse(held[NAME]), { prompt: "a fox runs", width: 64 });
});

test("what is typed and erased again before that does not come back", () => {
  held[NAME] = '{"prompt":"an old text","width":64}';
  const opened = draft();
  for (const value of ["a", "ab", ""]) {
    box = { value };
    opened.keepSoon();
  }
  assert.deepEqual(JSON.parse(held[NAME]), { prompt: "", width: 64 });
});

test("once the form was read, Gradio passes on what is typed", () => {
  const opened = draft();
  opened.begin();
  opened.keep({ prompt: "" });
  box = { value: "a fox" };
  opened.keepSoon();
  assert.deepEqual(JSON.parse(held[NAME]), { prompt: "" });
});

test("a click into a form that is still empty does not replace the draft of before", () => {
  for (const before of ['{"prompt":"a fox"}', "{", "[1]", undefined]) {
    if (before) held[NAME] = before;
    else delete held[NAME];
    box = { value: "" };
    draft().keepSoon();
    assert.equal(held[NAME], before);
  }
});

test("what is typed takes the place of a draft that cannot be read", () => {
  for (const before of ["{", "null", "[1]", "7"]) {
    held[NAME] = before;
    box = { value: "a fox" };
    draft().keepSoon();
    assert.deepEqual(JSON.parse(held[NAME]), { prompt: "a fox" });
  }
});

test("what was typed before the form is stored for the first time takes the place of an older prompt of Gradio's", () => {
  const opened = draft();
  box = { value: "a fox" };
  opened.keepSoon();
  opened.begin();
  opened.keep({ prompt: "", width: 64 });
  assert.deepEqual(JSON.parse(held[NAME]), { prompt: "a fox", width: 64 });
  opened.keep({ prompt: "an example", width: 64 });
  assert.deepEqual(JSON.parse(held[NAME]), { prompt: "an example", width: 64 });
});
