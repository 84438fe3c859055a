// The first visit of a browser that opens several tabs at once: all of them are one visitor.

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { agreed } from "../../hunyuan_ui/ui/web/visitor_token.js";

const isId = (text) => typeof text === "string" && text.startsWith("id-");
let stored;
let open;

const soon = (act) => queueMicrotask(act);

function answering(result) {
  const asked = { result };
  soon(() => asked.onsuccess());
  return asked;
}

/** A database of one store, whose transactions run one after the other. */
function database() {
  return {
    close: () => {},
    transaction() {
      const transaction = {};
      const store = {
        get: (name) => answering(stored[name]),
        put: (value, name) => {
          stored[name] = value;
        },
      };
      setImmediate(() => transaction.oncomplete());
      return Object.assign(transaction, { objectStore: () => store });
    },
  };
}

beforeEach(() => {
  mock.timers.reset();
  stored = {};
  open = () => answering(database());
  globalThis.indexedDB = { open: () => open() };
});

test("the first token that a tab has proposed is that of all later ones", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  assert.equal(await agreed("id-1", isId), "id-1");
  assert.equal(await agreed("id-2", isId), "id-1");
  assert.deepEqual(stored, { first: "id-1" });
});

test("what is stored and no token is replaced", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  stored.first = "rubbish";
  assert.equal(await agreed("id-1", isId), "id-1");
  assert.deepEqual(stored, { first: "id-1" });
});

test("a browser without a database, or with one that never answers, lets the tab decide alone", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  open = () => {
    throw new Error("SecurityError");
  };
  assert.equal(await agreed("id-1", isId), "id-1");
  open = () => ({});
  const late = agreed("id-2", isId);
  mock.timers.tick(1500);
  assert.equal(await late, "id-2");
});
