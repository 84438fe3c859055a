// One message of one trouble.

import assert from "node:assert/strict";
import { test } from "node:test";
import { sayUnreachable } from "../../hunyuan_ui/ui/web/server_reachable.js";

test("Gradio's own message is away for as long as any place of the page says it", () => {
  let isAway = false;
  const page = { toggleAttribute: (_name, wanted) => (isAway = wanted) };
  globalThis.document = { querySelector: () => page };
  for (const [place, isSaid, expected] of [
    ["notice", false, false],
    ["notice", true, true],
    ["card", true, true],
    ["notice", false, true],
    ["notice", false, true],
    ["card", false, false],
  ]) {
    sayUnreachable(place, isSaid);
    assert.equal(isAway, expected);
  }
});
