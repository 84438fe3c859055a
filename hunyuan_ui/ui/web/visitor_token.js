// Agrees on the visitor of a new browser if several of its tabs open at once. Writes to localStorage reach other tabs'
// processes late; transactions of a database are serialized across all of them.

const DATABASE = "hunyuan";
const STORE = "visitor";
const KEY = "first";
const WITHIN_MS = 1500; // if the database does not respond, as in a browser without storage, this tab decides alone

/** @param {IDBRequest} asked */
const answerOf = (asked) =>
  new Promise((resolve, reject) => {
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });

async function opened() {
  const opening = indexedDB.open(DATABASE, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
  return answerOf(opening);
}

/** @param {string} mine @param {(text: string) => boolean} isId */
async function firstOf(mine, isId) {
  const database = await opened();
  try {
    const transaction = database.transaction(STORE, "readwrite");
    const done = new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onabort = () => reject(transaction.error);
    });
    const store = transaction.objectStore(STORE);
    const found = await answerOf(store.get(KEY));
    if (!isId(found)) store.put(mine, KEY);
    await done;
    return isId(found) ? found : mine;
  } finally {
    database.close();
  }
}

/**
 * Return the token that all tabs of this browser use: the first that one of them proposed.
 * @param {string} mine
 * @param {(text: string) => boolean} isId
 * @returns {Promise<string>}
 */
export function agreed(mine, isId) {
  const late = new Promise((resolve) => setTimeout(resolve, WITHIN_MS, mine));
  return Promise.race([firstOf(mine, isId).catch(() => mine), late]);
}
