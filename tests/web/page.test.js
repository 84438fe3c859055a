// The presses that spend: one of a double click, one of a held key, and those of the form's own keys alone.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { beforeEach, mock, test } from "node:test";
import { newBrowser, StandIn } from "./stand_in.js";

mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
const browser = newBrowser();
const { page } = browser;
globalThis.Element = StandIn;
globalThis.matchMedia = () => new EventTarget();
browser.window.requestAnimationFrame = globalThis.requestAnimationFrame;
await import("../../hunyuan_ui/ui/web/page.js");

/** An element that any of these selectors finds; it has no property `ariaDisabled`, as in Firefox before 119. */
class Control extends StandIn {
  pressed = 0;
  constructor(...selectors) {
    super({ selectors });
  }

  closest(wanted) {
    return wanted.split(", ").some((one) => this.selectors.includes(one)) ? this : null;
  }

  click() {
    this.pressed += 1;
  }
}

const generate = new Control("#generate", "button", "#form");
const confirm = new Control("[data-spends]", "button", "#form");
const example = new Control("button");
let now = 0;

const happen = (name, target, facts) => {
  const event = Object.assign(new Event(name, { cancelable: true }), facts);
  for (const [fact, value] of Object.entries({ target, timeStamp: now })) Object.defineProperty(event, fact, { value });
  let isStopped = false;
  event.stopImmediatePropagation = () => {
    isStopped = true;
    Event.prototype.stopImmediatePropagation.call(event);
  };
  page.dispatchEvent(event);
  return { isTaken: !isStopped, isPrevented: event.defaultPrevented };
};
const click = (target, clientX, clientY, detail = 1) => happen("click", target, { clientX, clientY, detail }).isTaken;
const key = (name, target, facts = {}) => happen("keydown", target, { key: name, ...facts }).isPrevented;

beforeEach(() => {
  now += 60000;
  generate.pressed = 0;
  page.querySelector = (selector) => (selector === "button#generate" ? generate : null);
});

for (const [what, first, second] of [
  ["the button that a refusal brings", generate, confirm],
  ["Generate, back in the place of that button", confirm, generate],
  ["Generate, to where an example has scrolled", example, generate],
])
  test(`the second half of a double click does not press ${what}`, () => {
    assert.ok(click(first, 300, 700));
    now += 300;
    assert.ok(!click(second, 304, 698));
    now += 800;
    assert.ok(click(second, 304, 698));
  });

test("a press elsewhere, by keys or of another kind is no second half", () => {
  assert.ok(click(example, 300, 660));
  now += 300;
  assert.ok(click(generate, 300, 700));
  now += 60000;
  assert.ok(click(example, 0, 0, 0));
  now += 300;
  assert.ok(click(generate, 0, 0, 0));
  now += 60000;
  assert.ok(click(generate, 300, 700));
  now += 300;
  assert.ok(click(example, 300, 700));
});

test("each button that spends is known as one", async () => {
  for (const [part, name] of [
    ["notice", 'data-part="confirm"'],
    ["result", 'data-part="again"'],
    ["watch", 'data-part="try-again"'],
    ["variations", 'data-do="again"'],
  ]) {
    const html = await readFile(new URL(`../../hunyuan_ui/ui/web/${part}.html`, import.meta.url), "utf8");
    assert.match(html, new RegExp(`<button[^>]* ${name}[^>]* data-spends[ >]`));
  }
});

for (const name of ["Enter", " "])
  test(`a held "${name}" presses no button to which the focus has moved, and still writes`, () => {
    assert.ok(!key(name, example));
    for (const button of [example, confirm, generate]) assert.ok(key(name, button, { repeat: true }));
    assert.ok(!key(name, new Control("textarea", "#form"), { repeat: true }));
  });

test("Ctrl+Enter is the form's own: a link or a button elsewhere keeps it", () => {
  const field = new Control("textarea", "#form");
  for (const [target, pressed] of [
    [field, 1],
    [page.body, 2],
    [new Control("a", "a[href]"), 2],
    [new Control("a", "a[href]", "#form"), 2],
    [example, 2],
    [new Control("button", "#form"), 2],
    [new Control("input"), 2],
    [Object.assign(new Control("input", "#form"), { form: {} }), 2],
  ]) {
    const isOurs = key("Enter", target, { ctrlKey: true });
    assert.deepEqual(
      [generate.pressed, isOurs],
      [pressed, generate.pressed > 0 && [field, page.body].includes(target)],
    );
  }
});

test("what waits for its answer takes no press, by pointer or keys, whatever the browser knows of ARIA", () => {
  for (const button of [generate, confirm]) {
    button.setAttribute("aria-disabled", "true");
    now += 60000;
    assert.ok(!click(button, 300, 700));
    button.removeAttribute("aria-disabled");
    now += 60000;
    assert.ok(click(button, 300, 700));
  }
  generate.setAttribute("aria-disabled", "true");
  key("Enter", page.body, { ctrlKey: true });
  assert.equal(generate.pressed, 0);
  generate.removeAttribute("aria-disabled");
});
