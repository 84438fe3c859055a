// The Back button and the dialogs: each that is open has an entry of its own, however quickly they follow each other.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { newBrowser, StandIn } from "./stand_in.js";

let browser = newBrowser();
const { closedByBack } = await import("../../hunyuan_ui/ui/web/back_button.js");

let entries; // states of the history, the current one last
let isGoing; // a step back is on its way

/** The browser arrives where a step back leads. */
function arrive() {
  assert.ok(isGoing);
  isGoing = false;
  entries.pop();
  history.state = entries.at(-1);
  browser.window.dispatchEvent(new Event("popstate"));
}

function dialogOf(className) {
  const dialog = new StandIn({ className });
  const enter = closedByBack(/** @type {any} */ (dialog), () => {});
  return {
    dialog,
    open(of) {
      enter(of);
      dialog.open = true;
    },
  };
}

beforeEach(() => {
  browser = newBrowser();
  entries = [null];
  isGoing = false;
  const to = (state) => {
    entries.push(state);
    history.state = state;
  };
  Object.assign(history, {
    pushState: to,
    replaceState(state) {
      entries.pop();
      to(state);
    },
    back: () => (isGoing = true),
  });
});

test("a dialog that is opened while another's entry is still being removed is closed by Back as well", () => {
  const [first, second] = ["first", "second"].map(dialogOf);
  first.open("a");
  assert.equal(entries.length, 2);
  first.dialog.close();
  second.open("b");
  arrive();
  assert.equal(second.dialog.open, true);
  assert.equal(entries.length, 2);
  isGoing = true;
  arrive();
  assert.equal(second.dialog.open, false);
  assert.deepEqual([entries.length, isGoing], [1, false]);
});
