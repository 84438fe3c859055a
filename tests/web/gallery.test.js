// My videos: what is deleted is gone everywhere, what is not stays, and no older answer is shown.

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { drawn, newBrowser, settled } from "./stand_in.js";

let browser = newBrowser();
const { gallery } = await import("../../hunyuan_ui/ui/web/gallery.js");
const { visitorIs } = await import("../../hunyuan_ui/ui/web/server.js");
visitorIs("0123456789abcdef".repeat(2));

const video = (id, facts = {}) => ({
  ...{ id, code: "c", width: 64, height: 64, length: "1 s", facts: [], created_at: 0, is_favourite: false },
  ...{ settings: { prompt: id }, ...facts },
});
const FIRST = "videos?search=&shape=";
let grid;

const ids = () =>
  grid
    .part("posters")
    .children.filter((item) => !item.hidden)
    .map((item) => item.dataset.id);
const press = (id, what) => grid.part("posters").querySelector(`[data-id="${id}"]`).querySelector(what).click();
const remove = (id) => press(id, "[data-do=delete]");

async function wait(ms) {
  mock.timers.tick(ms);
  await settled();
}

async function open(videos, value = {}) {
  grid = drawn(gallery, value);
  await browser.answer(FIRST, { videos: videos.map((id) => video(id)), before: null });
}

beforeEach(async () => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
  browser = newBrowser();
  await open(["a", "b", "c"]);
});

test("a deleted video is gone here at once, at the server after ten seconds, and then in the other tabs", async () => {
  const heard = browser.hear("deleted");
  remove("b");
  assert.deepEqual(ids(), ["a", "c"]);
  await wait(9999);
  assert.equal(browser.count("videos/b"), 0);
  await wait(1);
  assert.deepEqual(ids(), ["a", "c"]);
  assert.deepEqual([heard, browser.said], [[], []]);
  await browser.answer("videos/b", { deleted: "b" });
  assert.deepEqual([heard, browser.said], [[["deleted", "b"]], ["b"]]);
  assert.deepEqual(ids(), ["a", "c"]);
});

test("a file that is dropped uncovers the page it acts on, and takes away what was said of another", async () => {
  browser.window.hunyuan = { form: { now: () => null } };
  const dialog = { open: true, close: () => (dialog.open = false) };
  browser.page.querySelector = (selector) => (selector === "dialog[open]" && dialog.open ? dialog : null);
  const drop = async (...names) => {
    const dataTransfer = { types: ["Files"], files: names.map((name) => ({ name })) };
    browser.page.dispatchEvent(Object.assign(new Event("drop", { cancelable: true }), { dataTransfer }));
    await settled();
  };
  const heard = browser.hear("list-file");
  await drop("photo.png");
  assert.equal(dialog.open, false);
  assert.equal(grid.part("line").textContent, "<gallery.unreadable>");
  await drop("list.csv");
  assert.deepEqual(heard, [["list-file", { name: "list.csv" }]]);
  assert.equal(grid.part("line").textContent, "");
});

test("a page that is left deletes what it called deleted, by requests that outlive it", () => {
  remove("b");
  browser.window.dispatchEvent(new Event("pagehide"));
  assert.equal(browser.count("videos/b", "DELETE"), 0); // once the server knows the visitor
  return settled().then(() => {
    assert.equal(browser.asked.at(-1).how.keepalive, true);
    assert.equal(browser.count("videos/b", "DELETE"), 1);
  });
});

for (const [status, isGone] of [
  [200, true],
  [404, true],
  [503, false],
])
  test(`a deletion that is answered with ${status} is ${isGone ? "one" : "none"}`, async () => {
    remove("b");
    await wait(10000);
    await browser.answer("videos/b", { problem: "Not now." }, status);
    assert.deepEqual(ids(), isGone ? ["a", "c"] : ["a", "b", "c"]);
    assert.equal(grid.part("line").textContent, isGone ? "" : "Not now.");
    assert.deepEqual(browser.said, isGone ? ["b"] : []);
  });

for (const [status, answer, left, line] of [
  [200, { gone: ["a", "c"], problem: null }, ["b"], ""],
  [200, { gone: ["c", "x"], problem: "Not now." }, ["a", "b"], "Not now."],
  [400, { problem: "No." }, ["a", "b", "c"], "No."],
  [200, {}, ["a", "b", "c"], "<gallery.delete_unanswered>"],
])
  test(`one request deletes several: ${status} ${JSON.stringify(answer)}`, async () => {
    remove("a");
    remove("c");
    browser.window.dispatchEvent(new Event("pagehide"));
    await settled();
    const { how } = browser.asked.at(-1);
    assert.deepEqual([how.method, how.keepalive, how.body], ["POST", true, '{"ids":["a","c"]}']);
    await browser.answer("videos/delete", answer, status);
    assert.deepEqual(ids(), left);
    assert.equal(grid.part("line").textContent, line);
    assert.deepEqual(
      browser.said,
      ["a", "b", "c"].filter((id) => !left.includes(id)),
    );
  });

test("a deletion without an answer is not said to have left the video untouched", async () => {
  remove("b");
  await wait(10000);
  browser.asked.at(-1).fail(new Error("no answer"));
  await settled();
  assert.deepEqual(ids(), ["a", "b", "c"]);
  assert.equal(grid.part("line").textContent, "<gallery.delete_unanswered>");
});

test("where a restart wipes the disk, nobody is told that videos stay after one", async () => {
  for (const [value, key] of [
    [{ is_owner: false, is_wiped: true }, "gallery.empty_help_wiped"],
    [{ is_owner: true, is_wiped: true }, "gallery.empty_help_wiped"],
    [{ is_owner: false, is_wiped: false }, "gallery.empty_help"],
    [{ is_owner: true, is_wiped: false }, "gallery.empty_help_owner"],
  ]) {
    await open([], value);
    assert.equal(grid.part("nothing-help").textContent, `<${key}>`);
  }
});

test("only a deletion takes the focus to its undoing, not what becomes of an earlier one", async () => {
  const undo = grid.part("undo");
  remove("a");
  grid.part("delete-now").click();
  remove("b");
  assert.equal(undo.focused, 2);
  await settled();
  await browser.answer("videos/a", { problem: "Not now." }, 503);
  assert.deepEqual(ids(), ["a", "c"]);
  assert.equal(undo.focused, 2);
  remove("c");
  assert.equal(undo.focused, 3);
});

test("where the focused video goes, the one in its place gets the focus, also in a list that was drawn anew", async () => {
  const focusIn = (id) => {
    const item = grid.part("posters").querySelector(`[data-id="${id}"]`);
    browser.page.activeElement = { isConnected: false };
    item.contains = () => true;
  };
  const tile = (id) => grid.part("posters").querySelector(`[data-id="${id}"]`).querySelector(".tile-button");
  focusIn("b");
  browser.hearsFromTab("hunyuan-deleted", "b");
  assert.deepEqual([tile("a").focused, tile("c").focused], [0, 1]);
  focusIn("c");
  browser.hearsFromTab("hunyuan-deleted", "c");
  assert.equal(tile("a").focused, 1);
  focusIn("a");
  grid.part("shape").dispatchEvent(new Event("change"));
  await browser.answer(FIRST, { videos: [video("d"), video("a")], before: null });
  assert.deepEqual([tile("d").focused, tile("a").focused], [0, 1]);
  focusIn("a");
  browser.hearsFromTab("hunyuan-deleted", "d");
  focusIn("a");
  browser.hearsFromTab("hunyuan-deleted", "a");
  assert.equal(grid.part("search").focused, 1);
});

test("a focus that is where it was stays there, and that of a button that has gone goes to the first new video", async () => {
  const tile = (id) => grid.part("posters").querySelector(`[data-id="${id}"]`).querySelector(".tile-button");
  browser.page.activeElement = { isConnected: true, checkVisibility: () => true };
  grid.part("posters").querySelector('[data-id="a"]').contains = () => true;
  browser.hearsFromTab("hunyuan-deleted", "b");
  assert.deepEqual([tile("a").focused, tile("c").focused], [0, 0]);
  grid.part("shape").dispatchEvent(new Event("change"));
  await browser.answer(FIRST, { videos: [video("a")], before: "a" });
  browser.page.activeElement = grid.part("more");
  grid.part("more").click();
  await browser.answer(`${FIRST}&before=a`, { videos: [video("d"), video("e")], before: null });
  assert.deepEqual([tile("a").focused, tile("d").focused], [0, 1]);
});

test("what is undone is not deleted", async () => {
  remove("b");
  grid.part("undo").click();
  await wait(60000);
  assert.deepEqual(ids(), ["a", "b", "c"]);
  assert.equal(browser.count("videos/b"), 0);
});

test("a video that another tab has deleted is gone from every part of this page, and not told again", () => {
  const heard = browser.hear("deleted");
  browser.hearsFromTab("hunyuan-deleted", "b");
  assert.deepEqual(ids(), ["a", "c"]);
  assert.deepEqual(heard, [["deleted", "b"]]);
  assert.deepEqual(browser.said, []);
});

test("what is deleted is no longer chosen for a comparison", async () => {
  const compared = browser.hear("compare");
  grid.part("choose").click();
  press("a", ".tile-button");
  browser.hearsFromTab("hunyuan-deleted", "a");
  press("b", ".tile-button");
  assert.equal(grid.part("compare").disabled, true);
  press("c", ".tile-button");
  grid.part("compare").click();
  assert.deepEqual(
    compared.map(([, { left, right }]) => [left.id, right.id]),
    [["b", "c"]],
  );
});

test("what waits for its deletion, or is pressed twice, is not chosen", () => {
  grid.part("choose").click();
  for (const id of ["a", "b", "b"]) press(id, ".tile-button");
  remove("a");
  for (const [id, isEnough] of [
    ["b", false],
    ["c", true],
  ]) {
    press(id, ".tile-button");
    assert.equal(grid.part("compare").disabled, !isEnough);
  }
});

test("the second that is chosen is compared at once, and a third begins anew", async () => {
  const compared = browser.hear("compare", "open");
  browser.emit("choose", "a");
  await settled();
  press("b", ".tile-button");
  assert.deepEqual(
    compared.map(([name]) => name),
    ["compare"],
  );
  press("c", ".tile-button");
  assert.equal(compared[1][0], "open");
});

test("the chosen ones are deleted, and nothing stays chosen", async () => {
  grid.part("choose").click();
  for (const id of ["a", "c"]) press(id, ".tile-button");
  grid.part("delete").click();
  assert.deepEqual(ids(), ["b"]);
  assert.equal(grid.part("chosen").hidden, true);
  assert.equal(grid.part("choose").getAttribute("aria-pressed"), "false");
  grid.part("delete-now").click();
  await settled();
  assert.equal(browser.asked.at(-1).how.body, '{"ids":["a","c"]}');
});

for (const [what, found, stays] of [
  ["one of two", ["c"], ["c"]],
  ["none", [], []],
])
  test(`what a search takes out of sight is not deleted with what was chosen: ${what}`, async () => {
    grid.part("choose").click();
    for (const id of ["a", "c"]) press(id, ".tile-button");
    grid.part("favourites").click();
    await browser.answer(`${FIRST}&favourites=1`, { videos: found.map((id) => video(id)), before: null });
    assert.equal(grid.part("chosen").hidden, !stays.length);
    grid.part("favourites").click();
    await browser.answer(FIRST, { videos: ["a", "b", "c"].map((id) => video(id)), before: null });
    grid.part("delete").click();
    assert.deepEqual(
      ids(),
      ["a", "b", "c"].filter((id) => !stays.includes(id)),
    );
  });

test("the first of a pair waits for its second through a search", async () => {
  const compared = browser.hear("compare");
  browser.emit("choose", "a");
  await settled();
  grid.part("favourites").click();
  await browser.answer(`${FIRST}&favourites=1`, { videos: [video("c")], before: null });
  press("c", ".tile-button");
  assert.deepEqual(
    compared.map(([, { left, right }]) => [left.id, right.id]),
    [["a", "c"]],
  );
});

test("the answer to an older search is dropped, and one that failed is asked for again", async () => {
  const type = async (text) => {
    grid.part("search").value = text;
    grid.part("search").dispatchEvent(new Event("input"));
    await wait(250);
  };
  await type("x");
  await type("y");
  await browser.answer("videos?search=y&shape=", { videos: [video("y")], before: null });
  await browser.answer("videos?search=x&shape=", { videos: [video("x")], before: null });
  assert.deepEqual(ids(), ["y"]);
  await type("z");
  await browser.answer("videos?search=z&shape=", {}, 503);
  assert.deepEqual(ids(), ["y"]);
  browser.emit("returned");
  await browser.answer("videos?search=z&shape=", { videos: [], before: null });
  assert.deepEqual(ids(), []);
});

test("what is new comes first and once, and a list that was replaced meanwhile is left alone", async () => {
  browser.emit("done");
  await browser.answer("videos", { videos: [video("d"), video("a")], before: null });
  assert.deepEqual(ids(), ["d", "a", "b", "c"]);
  browser.emit("list-ended");
  await settled();
  grid.part("shape").dispatchEvent(new Event("change"));
  await browser.answer(FIRST, { videos: [video("e")], before: null });
  await browser.answer("videos", { videos: [video("f")], before: null });
  assert.deepEqual(ids(), ["e"]);
});

test("after more news than are asked for one by one the whole list is asked for, and none is left out", async () => {
  browser.emit("done");
  await browser.answer("videos", { videos: [video("z")], before: "z" });
  for (const id of ["y", "x"]) {
    const before = String.fromCharCode(id.charCodeAt(0) + 1);
    await browser.answer(`videos?before=${before}`, { videos: [video(id)], before: id });
  }
  await browser.answer(FIRST, { videos: ["z", "y", "x", "w"].map((id) => video(id)), before: "w" });
  assert.deepEqual(ids(), ["z", "y", "x", "w"]);
});

test("a video whose deletion can still be undone does not come back with a new list", async () => {
  remove("b");
  grid.part("shape").dispatchEvent(new Event("change"));
  await browser.answer(FIRST, { videos: [video("a"), video("b")], before: null });
  assert.deepEqual(ids(), ["a"]);
});

test("a video whose deletion can still be undone is not opened, neither from its card nor by a step", () => {
  const heard = browser.hear("open", "unopened");
  remove("b");
  browser.emit("show", "b");
  press("a", ".tile-button");
  const [[refused], [opened, { listed }]] = heard;
  assert.deepEqual([refused, opened, listed()], ["unopened", "open", ["a", "c"]]);
});

test("a mark that the server has not taken is taken back, and of two presses the last counts", async () => {
  const isMarked = () =>
    grid.part("posters").querySelector('[data-id="a"]').querySelector(".star").getAttribute("aria-pressed");
  press("a", "[data-do=star]");
  await browser.answer("videos/a/favourite", { problem: "Not now." }, 503);
  assert.equal(isMarked(), "false");
  press("a", "[data-do=star]");
  press("a", "[data-do=star]");
  await settled();
  assert.equal(browser.count("videos/a/favourite"), 2); // the second press waits for the first one's answer
  await browser.answer("videos/a/favourite", {});
  assert.equal(isMarked(), "false");
  await browser.answer("videos/a/favourite", {}, 503);
  assert.deepEqual(
    browser.asked.slice(-2).map(({ body }) => body.is_favourite),
    [true, false],
  );
  assert.equal(isMarked(), "true");
});

test("a video that was asked for before another one, or before its dialog was closed, is not opened", async () => {
  const opened = browser.hear("open");
  browser.emit("show", "x");
  browser.emit("show", "a");
  await browser.answer("videos/x", { video: video("x") });
  assert.deepEqual(
    opened.map(([, { video: one }]) => one.id),
    ["a"],
  );
  browser.emit("show", "x");
  await settled();
  browser.emit("closed");
  await browser.answer("videos/x", { video: video("x") });
  assert.equal(opened.length, 1);
});

test("the dialog goes on through all pages of the list, of which each is asked for once, in time", async () => {
  browser = newBrowser();
  grid = drawn(gallery, {});
  const page = (from) => Array.from({ length: 24 }, (_, index) => video(`v${from + index}`));
  await browser.answer(FIRST, { videos: page(0), before: "b" });
  const opened = browser.hear("open", "listed");
  const listed = () => opened[0][1].listed();
  press("v10", ".tile-button");
  assert.equal(browser.count(`${FIRST}&before=b`), 0);
  for (const id of ["v19", "v20", "v21"]) {
    browser.emit("step", id);
    await settled();
  }
  assert.equal(browser.count(`${FIRST}&before=b`), 1);
  assert.equal(listed().length, 24);
  await browser.answer(`${FIRST}&before=b`, { videos: page(24), before: null });
  assert.deepEqual([listed().length, listed().at(-1), opened.at(-1)[0]], [48, "v47", "listed"]);
  browser.emit("step", "v47");
  await settled();
  assert.deepEqual(opened.at(-1), ["open", { video: video("v47") }]); // its list stays the one it came with
});

test("only an owner is offered everybody's videos", async () => {
  assert.equal(grid.part("everybody").hidden, true);
  browser = newBrowser();
  await open(["a"], { is_owner: true });
  assert.equal(grid.part("everybody").hidden, false);
  grid.part("everybody").querySelector("input").checked = true;
  grid.part("shape").dispatchEvent(new Event("change"));
  await browser.answer(`${FIRST}&everybody=1`, { videos: [video("z")], before: null });
  assert.deepEqual(ids(), ["z"]);
});

test("an owner who looks at everybody's videos does so after a reload of the tab as well", async () => {
  const answer = (query) => browser.answer(query, { videos: [], before: null });
  const reload = async (is_owner, query) => {
    grid = drawn(gallery, { is_owner });
    await answer(query);
    return grid.part("everybody").querySelector("input");
  };
  const turn = (box, isOn) => {
    box.checked = isOn;
    box.dispatchEvent(new Event("change"));
  };
  turn(await reload(true, FIRST), true);
  await answer(`${FIRST}&everybody=1`);
  const kept = await reload(true, `${FIRST}&everybody=1`);
  await reload(false, FIRST); // the same address, but public now
  turn(kept, false);
  await answer(FIRST);
  await reload(true, FIRST);
});

test("an answer that was asked for before a deletion or a star takes neither back", async () => {
  press("b", "[data-do=star]");
  grid.part("shape").dispatchEvent(new Event("change"));
  await browser.answer("videos/b/favourite", { is_favourite: true });
  browser.emit("deleted", "c");
  const asked = ["a", "b", "c"].map((id) => video(id));
  await browser.answer(FIRST, { videos: asked, before: null });
  assert.deepEqual(ids(), ["a", "b"]);
  assert.equal(asked[1].is_favourite, true);

  browser.emit("done");
  await settled();
  browser.hearsFromTab("hunyuan-deleted", "a");
  await browser.answer("videos", { videos: asked.slice(0, 2), before: null });
  assert.deepEqual(ids(), ["b"]);

  grid.part("shape").dispatchEvent(new Event("change")); // what is asked for later is newer, as by another tab's star
  const later = [video("b")];
  await browser.answer(FIRST, { videos: later, before: null });
  assert.equal(later[0].is_favourite, false);

  press("b", "[data-do=star]");
  await browser.answer("videos/b/favourite", { is_favourite: true });
  grid.part("shape").dispatchEvent(new Event("change"));
  const latest = [video("b")];
  await browser.answer(FIRST, { videos: latest, before: null });
  assert.equal(latest[0].is_favourite, false);
});

test("a star that the server did not take is not kept over its answers", async () => {
  press("b", "[data-do=star]");
  grid.part("shape").dispatchEvent(new Event("change"));
  await browser.answer("videos/b/favourite", {}, 503);
  const asked = [video("b")];
  await browser.answer(FIRST, { videos: asked, before: null });
  assert.equal(asked[0].is_favourite, false);
});

test("an address that names a video that is not there is said once, and one that was not answered stays", async () => {
  const addresses = [];
  globalThis.history.replaceState = (_state, _title, url) => addresses.push(url.search);
  const openAt = async (status) => {
    globalThis.location.search = "?job=x&lang=zh";
    globalThis.location.href = "http://127.0.0.1/?job=x&lang=zh";
    await open(["a"]);
    await browser.answer("videos/x", { problem: "None." }, status);
  };
  await openAt(503);
  assert.deepEqual(addresses, []);
  await openAt(404);
  assert.deepEqual(addresses, ["?lang=zh"]);
  assert.equal(grid.part("line").textContent, "None.");
});

test("a video that the address names is asked for again with the next return if its answer was lost", async () => {
  const heard = browser.hear("open");
  const asked = browser.asked.length;
  const countOf = () => browser.asked.slice(asked).filter(({ path }) => path === "videos/x").length;
  globalThis.location.search = "?job=x";
  await open(["a"]);
  await browser.answer("videos/x", { problem: "No." }, 502);
  browser.emit("returned");
  await browser.answer("videos/x", { video: video("x") });
  assert.deepEqual([heard.length, heard[0][1].video.id, heard[0][1].hasMore()], [1, "x", false]);
  browser.emit("returned");
  await settled();
  assert.equal(countOf(), 2);
  await open(["a"]);
  await browser.answer("videos/x", { problem: "No." }, 502);
  globalThis.location.search = ""; // left meanwhile for another video, which was closed
  browser.emit("returned");
  await settled();
  assert.equal(countOf(), 3);
});

test("a video that the address names and whose tile was opened meanwhile is not opened again", async () => {
  const heard = browser.hear("open");
  globalThis.location.search = "?job=x";
  await open(["a"]);
  await browser.answer("videos/x", { problem: "No." }, 502);
  browser.emit("done");
  for (const _ of ["the grid before", "this one"])
    await browser.answer("videos", { videos: [video("x"), video("a")], before: null });
  press("x", ".tile-button");
  browser.emit("returned");
  await settled();
  assert.equal(heard.length, 1);
});
