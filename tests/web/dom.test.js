// What the page's parts are drawn with.

import assert from "node:assert/strict";
import { test } from "node:test";
import { newBrowser, StandIn } from "./stand_in.js";

newBrowser();
const { hold, isDrawn, picture, showUnbroken } = await import("../../hunyuan_ui/ui/web/dom.js");

test("a picture that cannot be loaded is another one, or leaves its place empty", () => {
  const tile = new StandIn();
  const [own, example] = [picture("own.webp", { instead: "example.webp" }), picture("example.webp")];
  tile.append(own, example);
  example.dispatchEvent(new Event("error"));
  assert.deepEqual(tile.children, [own]);
  own.dispatchEvent(new Event("error"));
  assert.deepEqual([tile.children, own.src], [[own], "example.webp"]);
  own.dispatchEvent(new Event("error"));
  assert.deepEqual(tile.children, []);
});

test("an element counts as drawn where the browser cannot tell", () => {
  assert.deepEqual([{}, { checkVisibility: () => true }, { checkVisibility: () => false }].map(isDrawn), [
    true,
    true,
    false,
  ]);
});

test("a held button takes no press, and takes them again once it is let go", () => {
  const button = new StandIn();
  let presses = 0;
  button.addEventListener("click", () => (presses += 1));
  const letGo = hold(button);
  button.click();
  assert.deepEqual([presses, button.getAttribute("aria-disabled")], [0, "true"]);
  letGo();
  button.click();
  assert.deepEqual([presses, button.getAttribute("aria-disabled")], [1, null]);
});

test("a text is broken between words, and behind the marks that part Chinese words, but not within a number's", () => {
  const piecesOf = (text) => {
    const element = new StandIn();
    showUnbroken(element, text);
    const [part] = element.children[0].children;
    return part.children.filter((piece) => piece !== " ").map(({ textContent }) => textContent);
  };
  assert.deepEqual(piecesOf("about $1.46, at most $2.20"), ["about $1.46,", "at most $2.20"]);
  assert.deepEqual(piecesOf("约 $1.46，最多 $2.20"), ["约 $1.46，", "最多 $2.20"]);
  assert.deepEqual(piecesOf("25 帧；你要求的是 864x480、5 帧"), ["25 帧；", "你要求的是 864x480、", "5 帧"]);
});
