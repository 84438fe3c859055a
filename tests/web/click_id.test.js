// One click is one id: what is sent twice is paid twice.

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { createClicks, keptClick } from "../../hunyuan_ui/ui/web/click_id.js";

let told;
let isDisabled;
let ids;
let now;
let clicks;
let isOffline;
let kept; // in the tab

/** Open the page, or reload it. */
function open() {
  clicks = createClicks({
    newId: () => {
      ids += 1;
      return `id-${ids}`;
    },
    emit: (what, id) => told.push(`${what} ${id}`),
    disable: (wanted) => {
      isDisabled = wanted;
    },
    keep: {
      get: () => kept,
      set: (id) => {
        kept = id;
      },
      remove: () => {
        kept = null;
      },
    },
    now: () => now,
    isOffline: () => isOffline,
  });
}

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  told = [];
  isDisabled = false;
  ids = 0;
  now = 0;
  isOffline = false;
  kept = null;
  open();
});

function wait(ms) {
  now += ms;
  mock.timers.tick(ms);
}

test("a click that was not answered keeps its id, however often it is pressed again", () => {
  assert.equal(clicks.begin(), "id-1");
  wait(60000);
  assert.equal(clicks.begin(), "id-1");
  assert.equal(clicks.begin(), "id-1");
});

test("a press of which no click begins is told", () => {
  clicks.pressed();
  wait(1000);
  assert.deepEqual(told, ["unheard "]);
  clicks.pressed();
  now += 1;
  clicks.begin();
  wait(1000);
  assert.deepEqual(told, ["unheard "]);
});

test("the next click after an answer is another one", () => {
  clicks.begin();
  clicks.answered("id-1");
  assert.equal(clicks.begin(), "id-2");
});

test("the answer to another click ends nothing", () => {
  clicks.begin();
  for (const id of ["id-2", "", null, undefined]) clicks.answered(id);
  assert.equal(clicks.begin(), "id-1");
  assert.deepEqual(told, []);
});

test("an answer without a click tells nobody", () => {
  clicks.answered(null);
  clicks.answered("id-1");
  assert.deepEqual(told, []);
});

test("an answer is told once", () => {
  clicks.begin();
  clicks.answered("id-1");
  clicks.answered("id-1");
  wait(60000);
  assert.deepEqual(told, ["answered id-1"]);
});

test("the button stays off for as long as a double click takes, even after a quick answer", () => {
  clicks.begin();
  wait(40);
  clicks.answered("id-1");
  wait(959);
  assert.ok(isDisabled);
  wait(1);
  assert.ok(!isDisabled);
});

test("a late answer gives the button back at once", () => {
  clicks.begin();
  wait(4000);
  clicks.answered("id-1");
  wait(0);
  mock.timers.tick(1);
  assert.ok(!isDisabled);
});

test("a press that the page has asked for buys nothing once the answer is there", () => {
  for (const lost of [() => clicks.begin(), () => clicks.pressed()]) {
    lost();
    wait(10001);
    wait(501);
    assert.ok(["unanswered id-1", "unheard "].includes(told.at(-1)));
    ids = 1;
    clicks.answered("id-1");
    clicks.settled(); // by Gradio, at the end of the event that has brought the answer
    assert.ok(isDisabled);
    wait(1999);
    assert.ok(isDisabled);
    wait(1);
    assert.ok(!isDisabled);
    ids = 0;
  }
  clicks.begin();
  wait(4000);
  clicks.answered("id-1");
  wait(1);
  assert.ok(!isDisabled, "the next click's answer holds nothing");
});

test("a click without an answer is asked after, given back, and said to be unanswered", () => {
  clicks.begin();
  wait(9000);
  assert.deepEqual(told, ["late id-1", "late id-1", "late id-1"]);
  assert.ok(isDisabled);
  wait(1001);
  assert.ok(!isDisabled);
  wait(500);
  assert.equal(told.at(-1), "unanswered id-1");
  assert.equal(clicks.begin(), "id-1");
});

test("what Gradio calls an answer is one only once the server names the click", () => {
  clicks.begin();
  clicks.settled();
  wait(499);
  assert.deepEqual(told, []);
  clicks.answered("id-1");
  wait(60000);
  assert.deepEqual(told, ["answered id-1"]);
});

test("what a second press is told is counted from that press", () => {
  clicks.begin();
  wait(10200); // given back, and about to be called unanswered
  assert.equal(clicks.begin(), "id-1");
  wait(2900);
  assert.deepEqual(told, ["late id-1", "late id-1", "late id-1"]);
});

test("without a line a click is told as unanswered at once, and keeps its id", () => {
  isOffline = true;
  assert.equal(clicks.begin(), "id-1");
  for (const ms of [1, 500, 1000]) wait(ms);
  assert.deepEqual(told, ["unanswered id-1"]);
  assert.equal(isDisabled, false);
  isOffline = false;
  assert.equal(clicks.begin(), "id-1");
  for (const ms of [1, 500, 1000]) wait(ms);
  assert.deepEqual(told, ["unanswered id-1"]);
});

test("a click that arrives although the browser knew of no line is answered like any other", () => {
  isOffline = true;
  clicks.begin();
  clicks.answered("id-1");
  wait(60000);
  assert.deepEqual(told, ["answered id-1"]);
});

test("a click without an answer keeps its id over a reload, until its job or that there is none is known", () => {
  clicks.begin();
  open();
  assert.equal(clicks.left(), "id-1");
  clicks.answered("id-1");
  assert.deepEqual([clicks.left(), kept], [null, null]);
  assert.equal(clicks.begin(), "id-2");
  open();
  clicks.unsent("another");
  assert.equal(clicks.left(), "id-2");
  clicks.unsent("id-2");
  assert.equal(told.at(-1), "unsent id-2");
  assert.deepEqual([clicks.left(), kept], [null, null]);
  assert.equal(clicks.begin(), "id-2"); // should it arrive after all
  wait(4000);
  clicks.answered("id-2");
  wait(1);
  assert.ok(isDisabled, "the press that was asked for may be on its way");
});

test("a press of which no click began is known after a reload, and a click of this page is not looked for", () => {
  clicks.pressed();
  wait(1000);
  assert.equal(clicks.left(), null);
  open();
  assert.equal(clicks.left(), "id-1");
  assert.equal(clicks.begin(), "id-1");
  assert.equal(clicks.left(), null);
  clicks.unsent("id-1"); // what was found out meanwhile is not said of a click on its way
  assert.equal(kept, "id-1");
  assert.ok(!told.includes("unsent id-1"));
});

test("a click is kept for the visitor who made it, and by a page that did not name one", () => {
  const held = new Map();
  const tab = {
    get: (name) => held.get(name) ?? null,
    set: (name, text) => held.set(name, text),
    remove: (name) => held.delete(name),
  };
  let visitor = "a";
  const keep = keptClick(tab, "click", () => visitor);
  assert.equal(keep.get(), null);
  keep.set("id-1");
  assert.equal(keep.get(), "id-1");
  visitor = "b";
  assert.equal(keep.get(), null);
  visitor = "a";
  assert.equal(keep.get(), "id-1");
  keep.remove();
  assert.equal(keep.get(), null);
  tab.set("click", "id-2"); // of an older version of this page
  assert.equal(keep.get(), "id-2");
});

test("that only some videos of a click are stored is told once no answer comes, and keeps its id for the others", () => {
  clicks.begin();
  clicks.partly("id-1"); // the server is still at it
  assert.deepEqual(told, []);
  wait(10001);
  wait(501);
  for (const id of ["id-1", "id-1", "id-2", ""]) clicks.partly(id);
  assert.deepEqual(told.slice(-2), ["unanswered id-1", "partly id-1"]);
  assert.equal(clicks.begin(), "id-1");
  wait(10001);
  wait(501);
  clicks.partly("id-1"); // the server was killed once more
  assert.deepEqual(told.slice(-2), ["unanswered id-1", "partly id-1"]);
  assert.equal(clicks.begin(), "id-1");
  clicks.answered("id-1");
  clicks.partly("id-1");
  assert.equal(told.at(-1), "answered id-1");
  assert.equal(clicks.begin(), "id-2");
});

test("that only some videos of a click are stored is told after a reload, and another reload keeps its id", () => {
  clicks.begin();
  for (let reloads = 0; reloads < 2; reloads += 1) {
    open();
    clicks.partly("id-1");
    clicks.partly("id-1");
    assert.deepEqual(told.splice(0), ["partly id-1"]);
    assert.equal(clicks.left(), null);
  }
  assert.equal(clicks.begin(), "id-1");
});

test("that no answer came is told once for a press, also where Gradio gives up later, and again for the next one", () => {
  isOffline = true;
  clicks.begin();
  for (const ms of [1, 500]) wait(ms);
  clicks.settled();
  wait(60000);
  assert.deepEqual(told, ["unanswered id-1"]);
  clicks.begin();
  for (const ms of [1, 500]) wait(ms);
  assert.deepEqual(told, ["unanswered id-1", "unanswered id-1"]);
});
