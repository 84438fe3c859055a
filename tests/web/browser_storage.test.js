// Who a visitor is, in browsers that keep something, nothing, or break.

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

const GIVEN = "0123456789abcdef".repeat(2);
const KNOWN = "fedcba9876543210".repeat(2);
const NAME = "hunyuan_visitor";
let pages = 0;

function area(held = {}) {
  return {
    held,
    getItem: (name) => held[name] ?? null,
    setItem: (name, text) => {
      held[name] = text;
    },
    removeItem: (name) => {
      delete held[name];
    },
  };
}

const broken = {
  getItem() {
    throw new Error("SecurityError");
  },
};
const forgetful = { getItem: () => null, setItem() {}, removeItem() {} };

beforeEach(() => open());

/** Pretend to be a browser. */
function open({ localStorage = area(), sessionStorage = area(), hash = "", search = "", state = null } = {}) {
  const location = new URL(`http://127.0.0.1:7860/under/${search}${hash}`);
  const history = {
    state,
    replaceState(next, _title, url) {
      history.state = next;
      if (url) location.href = new URL(url, location.href).href;
    },
  };
  const page = { localStorage, sessionStorage, location, history, window: { location } };
  page.window.top = page.window;
  for (const [name, value] of Object.entries(page))
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  return page;
}

/** Load the module as a new page does. */
function load() {
  pages += 1;
  return import(`../../hunyuan_ui/ui/web/browser_storage.js?page=${pages}`);
}

test("a visitor is the same in the next page of the same browser", async () => {
  const first = await load();
  const id = first.visitor();
  assert.match(id, /^[0-9a-f]{32}$/);
  assert.equal(first.visitor(), id);
  assert.equal((await load()).visitor(), id);
  assert.equal(first.keeping(), "kept");
});

test("a personal address wins for the life of the tab, and leaves the browser's own visitor alone", async () => {
  const page = open({ localStorage: area({ [NAME]: KNOWN }), hash: `#visitor=${GIVEN}` });
  const { visitor, keeping } = await load();
  assert.equal(visitor(), GIVEN);
  assert.equal(page.location.hash, "");
  assert.equal(page.localStorage.held[NAME], KNOWN);
  assert.equal(keeping(), "address");
  assert.equal((await load()).visitor(), GIVEN);
});

test("the browser's own visitor is kept by it, also where the address names them", async () => {
  open({ localStorage: area({ [NAME]: KNOWN }), hash: `#visitor=${KNOWN}` });
  const { visitor, keeping } = await load();
  assert.deepEqual([visitor(), keeping()], [KNOWN, "kept"]);
});

test("a personal address does not become the visitor of a browser that has none", async () => {
  const page = open({ hash: `#visitor=${GIVEN}` });
  const { visitor, keeping } = await load();
  assert.equal(visitor(), GIVEN);
  assert.equal(keeping(), "address");
  assert.deepEqual(page.localStorage.held, {});
  assert.equal((await load()).visitor(), GIVEN);
});

test("a false personal address is nobody's", async () => {
  for (const given of ["", "x", GIVEN.slice(1), `${GIVEN}0`, GIVEN.toUpperCase()]) {
    open({ localStorage: area({ [NAME]: KNOWN }), hash: `#visitor=${given}` });
    const { visitor, keeping } = await load();
    assert.equal(visitor(), KNOWN);
    assert.equal(keeping(), "kept");
  }
});

test("a personal address is known with what a chat program has made a part of it, and one that it has cut is", async () => {
  for (const more of [".", ")", "。", "%E3%80%82", ",%20", ">", "&utm_source=chat"]) {
    open({ localStorage: area({ [NAME]: KNOWN }), hash: `#visitor=${GIVEN}${more}` });
    const { visitor, isAddressCut } = await load();
    assert.deepEqual([visitor(), isAddressCut()], [GIVEN, false]);
  }
  for (const [hash, isCut] of [
    [`#visitor=${GIVEN.slice(3)}`, true],
    [`#visitor=${GIVEN.slice(0, 20)}…`, true],
    ["#visitor=", true],
    [`#visitor=${GIVEN}`, false],
    ["#elsewhere", false],
    ["", false],
  ]) {
    open({ localStorage: area({ [NAME]: KNOWN }), hash });
    assert.equal((await load()).isAddressCut(), isCut);
  }
});

test("a tab with a visitor of its own leaves the browser's to the other tabs", async () => {
  const page = open({ localStorage: area({ [NAME]: KNOWN }), sessionStorage: area({ [NAME]: GIVEN }) });
  const { visitor, keeping } = await load();
  assert.equal(visitor(), GIVEN);
  assert.equal(keeping(), "nothing");
  assert.equal(page.localStorage.held[NAME], KNOWN);
});

for (const [what, localStorage] of [
  ["throws", broken],
  ["keeps nothing", forgetful],
  ["holds rubbish that cannot be replaced", { ...forgetful, getItem: () => "rubbish" }],
])
  test(`a store that ${what} is made up for by the tab`, async () => {
    const page = open({ localStorage });
    const { visitor, keeping } = await load();
    assert.equal(keeping(), "nothing");
    assert.equal((await load()).visitor(), visitor());
    assert.equal(page.sessionStorage.held[NAME], visitor());
  });

test("where the tab's store is broken too, the entry of its history remembers", async () => {
  const page = open({ localStorage: broken, sessionStorage: broken });
  const { visitor } = await load();
  const id = visitor();
  assert.equal(page.history.state[NAME], id);
  assert.equal((await load()).visitor(), id);
});

test("what others wrote into the history's entry stays there", async () => {
  const page = open({ sessionStorage: broken, state: { theirs: 1 } });
  const { tab } = await load();
  tab.set("ours", "x");
  assert.equal(tab.get("ours"), "x");
  tab.remove("ours");
  assert.deepEqual(page.history.state, { theirs: 1 });
});

test("what a tab keeps in its history alone goes along to the entries behind and ahead, and what is one entry's stays", async () => {
  const travels = [];
  globalThis.addEventListener = (name, act) => name === "popstate" && travels.push(act);
  const before = { hunyuan_draft: "old", hunyuan_list: "gone since", theirs: 1 };
  const page = open({ sessionStorage: broken, localStorage: broken, state: before });
  const { tab } = await load();
  page.history.state = { ...before, hunyuan_dialog: "viewer", hunyuan_dialog_of: ["a"] };
  tab.set("hunyuan_draft", "new");
  tab.remove("hunyuan_list");
  const inDialog = page.history.state;
  const goTo = (state) => {
    page.history.state = state;
    for (const act of travels) act();
  };
  goTo(before);
  assert.deepEqual(page.history.state, { theirs: 1, hunyuan_draft: "new" });
  tab.set("hunyuan_draft", "newer");
  goTo(inDialog);
  assert.deepEqual(page.history.state, { ...inDialog, hunyuan_draft: "newer" });
  tab.remove("hunyuan_draft");
  goTo(before);
  assert.deepEqual(page.history.state, { theirs: 1 });
  delete globalThis.addEventListener;
});

test("what a tab's history kept before a reload goes along to an entry that has nothing", async () => {
  const travels = [];
  globalThis.addEventListener = (name, act) => name === "popstate" && travels.push(act);
  const page = open({ sessionStorage: broken, localStorage: broken, state: { hunyuan_draft: "a fox" } });
  await load();
  page.history.state = null;
  for (const act of travels) act();
  assert.deepEqual(page.history.state, { hunyuan_draft: "a fox" });
  delete globalThis.addEventListener;
});

test("a tab's store that has become full gives no older value than the history's", async () => {
  const sessionStorage = area();
  const page = open({ sessionStorage });
  const { tab } = await load();
  tab.set("hunyuan_draft", "a fox");
  sessionStorage.setItem = () => {
    throw new DOMException("full", "QuotaExceededError");
  };
  tab.set("hunyuan_draft", "a fox runs");
  assert.equal(tab.get("hunyuan_draft"), "a fox runs");
  assert.deepEqual(page.history.state, { hunyuan_draft: "a fox runs" });
});

test("a page inside another site's says that its browser may forget", async () => {
  const page = open();
  page.window.top = {
    get location() {
      throw new Error("SecurityError");
    },
  };
  assert.equal((await load()).keeping(), "framed");
});

test("the personal address names the visitor behind the sign that is not sent, and the language", async () => {
  open({ localStorage: area({ [NAME]: KNOWN }), search: "?lang=zh&job=1" });
  assert.equal((await load()).address(), `http://127.0.0.1:7860/under/?lang=zh#visitor=${KNOWN}`);
});

test("a video that an address names is asked for by letters that stay in their place in a path", async () => {
  for (const [search, named] of [
    ["?job=0123abcd", "0123abcd"],
    ["?job=../../x", "______x"],
    ["?job=a%2Fb%00", "a_b_"],
    ["?job=", null],
    ["", null],
  ]) {
    open({ search });
    assert.equal((await load()).addressedVideo(), named);
  }
});

test("what lasts outlives its tab, or lives as long as the tab where nothing else is kept", async () => {
  const page = open();
  const { lasting } = await load();
  lasting.set("list", "herons");
  assert.equal(lasting.get("list"), "herons");
  open({ localStorage: page.localStorage });
  assert.equal((await load()).lasting.get("list"), "herons");
  lasting.set("list", "crows");
  lasting.remove("list");
  assert.equal(lasting.get("list"), null);
  open({ localStorage: broken });
  const { lasting: ofTab } = await load();
  ofTab.set("list", "foxes");
  assert.equal(ofTab.get("list"), "foxes");
});

test("what lasts of a visitor by personal address neither takes nor gives the place of the browser's own", async () => {
  const page = open({ localStorage: area({ [NAME]: KNOWN, list: "herons" }), hash: `#visitor=${GIVEN}` });
  page.sessionStorage.held.list = "owls"; // the tab was the browser's own visitor's before
  const { lasting } = await load();
  assert.equal(lasting.get("list"), null);
  lasting.set("list", "crows");
  assert.equal((await load()).lasting.get("list"), "crows");
  open({ localStorage: page.localStorage });
  assert.equal((await load()).lasting.get("list"), "herons");
  open({ localStorage: page.localStorage, sessionStorage: page.sessionStorage, hash: `#visitor=${"0".repeat(32)}` });
  assert.equal((await load()).lasting.get("list"), null);
  open({ localStorage: page.localStorage, sessionStorage: area(page.sessionStorage.held) });
  const { lasting: again } = await load();
  again.remove("list");
  assert.equal(again.get("list"), null);
  assert.equal(page.localStorage.held.list, "herons");
});

test("what lasts of a login is there for that login alone, and again when it comes back", async () => {
  const page = open({ localStorage: area({ [NAME]: KNOWN }) });
  const next = async (token) => {
    open(page);
    const loaded = await load();
    loaded.identified(token);
    return loaded;
  };
  const [alice, bob] = ["a".repeat(32), "b".repeat(32)];
  (await next(alice)).lasting.set("list", "herons");
  for (const other of [bob, KNOWN]) {
    const { lasting } = await next(other);
    assert.equal(lasting.get("list"), null);
    lasting.set("list", "crows");
    lasting.remove("list");
  }
  assert.equal((await next(alice)).lasting.get("list"), "herons");
  page.sessionStorage = area();
  assert.equal((await next(alice)).lasting.get("list"), "herons");
  assert.equal((await next(bob)).lasting.get("list"), null);
  assert.ok(!JSON.stringify([page.localStorage.held, page.sessionStorage.held]).includes(alice));
});

test("what is written before a login is taken over by it, beside what it had", async () => {
  const page = open({ localStorage: area({ [NAME]: KNOWN }) });
  const { identified, storageKey, tab, takeOver } = await load();
  tab.set("draft", '{"prompt":"a fox"}');
  takeOver("draft", "prompt");
  assert.equal(tab.get("draft"), '{"prompt":"a fox"}');
  identified("a".repeat(32));
  tab.set(storageKey("draft"), '{"prompt":"a crow","steps":20}');
  takeOver("draft", "prompt");
  assert.deepEqual(JSON.parse(tab.get(storageKey("draft"))), { prompt: "a fox", steps: 20 });
  for (const nothing of ["{", '{"prompt":"","steps":40}']) {
    tab.set("draft", nothing);
    takeOver("draft", "prompt");
    assert.deepEqual(JSON.parse(tab.get(storageKey("draft"))), { prompt: "a fox", steps: 20 });
  }
  assert.equal(page.sessionStorage.held.draft, undefined);
});

test("a personal address of the browser's own visitor has what lasts of them", async () => {
  open({ localStorage: area({ [NAME]: KNOWN, list: "herons" }), hash: `#visitor=${KNOWN}` });
  assert.equal((await load()).lasting.get("list"), "herons");
});

test("asking for what lasts does not settle on a visitor before the other tabs have agreed", async () => {
  const page = open();
  (await load()).lasting.get("list");
  assert.equal(page.localStorage.held[NAME], undefined);
});

test("only a browser that does not know its visitor asks its other tabs", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  let asked = 0;
  globalThis.indexedDB = {
    open() {
      asked += 1;
      throw new Error("SecurityError");
    },
  };
  for (const [given, expected] of [
    [{ localStorage: area({ [NAME]: KNOWN }) }, 0],
    [{ sessionStorage: area({ [NAME]: KNOWN }) }, 0],
    [{ hash: `#visitor=${GIVEN}` }, 0],
    [{}, 1],
    [{ localStorage: area({ [NAME]: "rubbish" }) }, 1],
  ]) {
    asked = 0;
    open(given);
    assert.match(await (await load()).settledVisitor(), /^[0-9a-f]{32}$/);
    assert.equal(asked, expected);
  }
  mock.timers.reset();
});

test("whether the browser keeps its visitor is tried, without a trace", async () => {
  const page = open();
  assert.equal((await load()).isUnknown(), false);
  assert.deepEqual(page.localStorage.held, {});
  for (const given of [
    { localStorage: forgetful },
    { localStorage: broken },
    { hash: `#visitor=${GIVEN}` },
    { sessionStorage: area({ hunyuan_by_address: "yes" }) },
  ]) {
    open(given);
    assert.equal((await load()).isUnknown(), true);
  }
});

test("a history is left alone while the page reloads, and written again if that was stopped", async () => {
  const now = mock.method(performance, "now", () => 5000);
  const page = open({ sessionStorage: forgetful, localStorage: forgetful, state: {} });
  globalThis.document = /** @type {any} */ (Object.assign(new EventTarget(), { cookie: "" }));
  const { tab, keepLanguage, setQuery } = await load();
  let reloads = 0;
  page.location.reload = () => {
    reloads += 1;
  };
  document.addEventListener("hunyuan:leaving", () => tab.set("hunyuan_draft", "the last letters"));
  keepLanguage("zh", true);
  assert.equal(reloads, 1);
  const left = { ...page.history.state };
  assert.equal(left.hunyuan_draft, "the last letters");
  const { href } = page.location;
  tab.set("hunyuan_draft", "more");
  tab.remove("hunyuan_switched");
  setQuery("lang", "en");
  assert.deepEqual([page.history.state, page.location.href], [left, href]);
  now.mock.mockImplementation(() => 5000 + 10000);
  tab.set("hunyuan_draft", "more");
  assert.equal(page.history.state.hunyuan_draft, "more");
  mock.restoreAll();
});
