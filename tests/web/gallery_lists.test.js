// The lists of my videos: pages and news of one list are never mixed with another's, and what is chosen stays marked.

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { drawn, newBrowser, settled } from "./stand_in.js";

let browser = newBrowser();
const { gallery } = await import("../../hunyuan_ui/ui/web/gallery.js");
const { visitorIs } = await import("../../hunyuan_ui/ui/web/server.js");
visitorIs("0123456789abcdef".repeat(2));

const video = (id) => ({
  ...{ id, code: "c", width: 64, height: 64, length: "1 s", facts: [], created_at: 0, is_favourite: false },
  settings: { prompt: id },
});
const FIRST = "videos?search=&shape=";
let grid;

const itemOf = (id) => grid.part("posters").querySelector(`[data-id="${id}"]`);
const ids = () => grid.part("posters").children.map((item) => item.dataset.id);
const press = (id, what) => itemOf(id).querySelector(what).click();

async function wait(ms) {
  mock.timers.tick(ms);
  await settled();
}

beforeEach(async () => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
  browser = newBrowser();
  grid = drawn(gallery, {});
  await browser.answer(FIRST, { videos: ["a", "b", "c"].map((id) => video(id)), before: null });
});

const search = async (text) => {
  grid.part("search").value = text;
  grid.part("search").dispatchEvent(new Event("input"));
  await wait(250);
};
const more = async () => {
  grid.part("more").click();
  await settled();
};

test("what is asked for beyond the end of a list never mixes it with another one", async () => {
  browser = newBrowser();
  grid = drawn(gallery, {});
  await browser.answer(FIRST, { videos: [video("a"), video("b")], before: "b" });
  const found = (query, ...names) => browser.answer(query, { videos: names.map((id) => video(id)), before: null });
  await search("x");
  await more(); // while the search is on its way
  await found("videos?search=x&shape=", "x");
  assert.deepEqual(ids(), ["x"]);
  await search("y");
  await browser.answer("videos?search=y&shape=", {}, 503);
  assert.deepEqual(ids(), ["x"]);
  await more(); // in place of what did not arrive
  await found("videos?search=y&shape=", "y");
  assert.deepEqual(ids(), ["y"]);
  grid.part("search").value = "z"; // before it is searched for
  await more();
  await found("videos?search=z&shape=", "z");
  assert.deepEqual(ids(), ["z"]);
  assert.deepEqual(
    browser.asked.filter(({ path }) => path.includes("before")),
    [],
  );
});

test("the next page of a list that did not arrive is asked for once more, with its own place", async () => {
  browser = newBrowser();
  grid = drawn(gallery, {});
  await browser.answer(FIRST, { videos: [video("a")], before: "a|&" });
  const next = `${FIRST}&before=a%7C%26`;
  await more();
  await more();
  assert.equal(browser.count(next), 1);
  await browser.answer(next, {}, 503);
  await more();
  await browser.answer(next, {}, 503);
  grid.part("search").value = "b"; // before it is searched for
  await more();
  await browser.answer("videos?search=b&shape=", { videos: [video("b")], before: null });
  assert.deepEqual(ids(), ["b"]);
});

test("a list that did not arrive anew is asked for from its beginning", async () => {
  browser = newBrowser();
  grid = drawn(gallery, {});
  await browser.answer(FIRST, { videos: [video("a")], before: "a" });
  grid.part("shape").dispatchEvent(new Event("change"));
  await browser.answer(FIRST, {}, 503);
  await more();
  await browser.answer(FIRST, { videos: [video("b"), video("a")], before: "a" });
  assert.deepEqual(ids(), ["b", "a"]);
});

test("a video that comes while an older list is on its way comes after all", async () => {
  grid.part("shape").dispatchEvent(new Event("change"));
  browser.emit("done");
  await browser.answer(FIRST, { videos: [video("a")], before: null });
  await browser.answer("videos", { videos: [video("d"), video("a")], before: null });
  assert.deepEqual(ids(), ["d", "a"]);
  await search("a");
  await browser.answer("videos?search=a&shape=", { videos: [video("a")], before: null });
  await search("");
  await browser.answer(FIRST, {}, 503);
  browser.emit("done"); // the shown list is not the one that the news belong to
  await browser.answer(FIRST, { videos: [video("e"), video("d"), video("a")], before: null });
  assert.deepEqual(ids(), ["e", "d", "a"]);
});

test("a video that comes is shown in the list of a search that finds it", async () => {
  await search("a");
  await browser.answer("videos?search=a&shape=", { videos: [video("a")], before: null });
  browser.emit("done");
  await browser.answer("videos?search=a", { videos: [video("na"), video("a")], before: null });
  assert.deepEqual(ids(), ["na", "a"]);
  browser.emit("done");
  grid.part("search").value = "b"; // before it is searched for
  await browser.answer("videos?search=a", { videos: [video("oa"), video("na")], before: null });
  assert.deepEqual(ids(), ["na", "a"]);
});

test("the tools stay where they are while the list is narrowed, and offer no selection among a single video", async () => {
  grid.part("favourites").click();
  await browser.answer(`${FIRST}&favourites=1`, { videos: [video("a")], before: null });
  assert.deepEqual([grid.part("choose").hidden, grid.part("shape").hidden], [false, false]);
  grid.part("favourites").click();
  await browser.answer(FIRST, { videos: [video("a")], before: null });
  assert.equal(grid.part("choose").hidden, true);
});

const filtersOf = ({ part }) => [
  part("search").value,
  part("shape").value,
  part("favourites").getAttribute("aria-pressed"),
];

test("what the list is narrowed to stays in the tab, also over another language", async () => {
  await search(" a ");
  grid.part("shape").value = "tall";
  grid.part("shape").dispatchEvent(new Event("change"));
  grid.part("favourites").click();
  grid = drawn(gallery, {});
  await settled();
  assert.deepEqual(filtersOf(grid), [" a ", "tall", "true"]);
  await browser.answer("videos?search=a&shape=tall&favourites=1", { videos: [video("a")], before: null });
});

for (const text of ["", "{", "[]", '"x"', '{"search":7,"shape":null,"favourites":"yes"}'])
  test(`filters that nobody has set narrow nothing: ${text}`, async () => {
    sessionStorage.setItem("hunyuan_filters", text);
    grid = drawn(gallery, {});
    await settled();
    assert.deepEqual(filtersOf(grid), ["", "", "false"]);
  });

test("the chosen ones are marked in a list that was drawn since, and a mark is as good as its count", async () => {
  const marked = () => ids().filter((id) => itemOf(id).querySelector(".mark").text);
  const pressed = () => ids().map((id) => itemOf(id).querySelector(".tile-button").getAttribute("aria-pressed"));
  grid.part("choose").click();
  press("b", ".tile-button");
  await search("x");
  await browser.answer("videos?search=x&shape=", { videos: [video("b"), video("c")], before: "c" });
  assert.deepEqual([marked(), pressed()], [["b"], ["true", "false"]]);
  await more();
  await browser.answer("videos?search=x&shape=&before=c", { videos: [video("d")], before: null });
  assert.deepEqual([marked(), pressed()], [["b"], ["true", "false", "false"]]);
  await search("");
  await browser.answer(FIRST, { videos: [video("b")], before: null });
  browser.emit("done");
  await browser.answer("videos", { videos: [video("e"), video("b")], before: null });
  assert.deepEqual([marked(), pressed()], [["b"], ["false", "true"]]);
  assert.equal(grid.part("line").textContent, "<gallery.choose_some>");
});
