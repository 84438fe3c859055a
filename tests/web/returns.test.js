import assert from "node:assert/strict";
import { test } from "node:test";
import { isOutdated } from "../../hunyuan_ui/ui/web/returns.js";

const at = (text) => Date.parse(`2026-11-${text}Z`);

test("what the page shows is out of date after a sleep and after midnight by UTC", () => {
  for (const [before, now, expected] of [
    ["27T12:00:00", "27T12:01:00", false],
    ["27T12:00:00", "27T12:02:30", false],
    ["27T12:00:00", "27T20:00:00", true],
    ["27T23:59:30", "28T00:00:30", false], // for a server whose clock is a little behind
    ["28T00:00:30", "28T00:01:30", true],
    ["28T00:01:30", "27T23:00:00", true],
  ])
    assert.equal(isOutdated(at(before), at(now)), expected, `${before} ${now}`);
});
