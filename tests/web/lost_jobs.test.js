// The lost videos of a page that opens: each is told of until it was read.

import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { drawn, newBrowser } from "./stand_in.js";

mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
const browser = newBrowser();
const { watch } = await import("../../hunyuan_ui/ui/web/watch.js");
browser.window.hunyuan = { answered() {}, left: () => null };

const lost = (id) => ({
  ...{ id, version: "1", status: "lost", is_active: false, can_look_again: true },
  ...{ phase_text: "Lost", prompt: id, again_text: "" },
});

test("each lost video is told of, the newest first, but for those that were read", async () => {
  browser.kept.hunyuan_dismissed = "b";
  const card = drawn(watch, { token: "a".repeat(32), job: "d", lost: ["a", "b", "c"] }, { showcase: [] });
  await browser.answer("jobs", { jobs: [], next_poll_s: 5, version: "1" });
  const told = () => card.part("ended-prompt").textContent;
  for (const id of ["a", "c", "d"]) await browser.answer(`jobs/${id}?within_s=0`, lost(id));
  for (const id of ["d", "c", "a"]) {
    assert.equal(told(), id);
    card.part("dismiss").dispatchEvent(new Event("click"));
  }
  assert.equal(card.part("ended").hidden, true);
});
