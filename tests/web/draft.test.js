import assert from "node:assert/strict";
import { test } from "node:test";
import { draftIn } from "../../hunyuan_ui/ui/web/draft.js";

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
