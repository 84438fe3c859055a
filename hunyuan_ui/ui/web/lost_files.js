// Scripts and styles of the page that did not arrive, as on a bad line, or because the server was upgraded meanwhile.
// Gradio asks for each of them once, and without it the page stays blank or without a part.

import { tab } from "./browser_storage.js";
import { node } from "./dom.js";
import { reload } from "./events.js";
import { words } from "./language.js";

const TRIES = "hunyuan_tries";
const AGAIN_AFTER_MS = [500, 3000, 10000];
const WELL_AFTER_MS = 60000; // by then all parts were asked for

/** @param {EventTarget | null} target Of an error. */
const isFile = (target) =>
  (target instanceof HTMLScriptElement && target.type === "module") ||
  (target instanceof HTMLLinkElement && target.rel === "stylesheet" && target.href.startsWith(location.origin));

/** Note another try; return whether the next page will know of it: if not, it would try for ever. */
function isNoted(tries) {
  tab.set(TRIES, String(tries));
  return tab.get(TRIES) === String(tries);
}

function say() {
  const box = node("div", "", "lost-files");
  box.setAttribute("role", "alert");
  const again = node("button", words.load_again, "", { type: "button" });
  again.addEventListener("click", reload);
  box.append(node("p", words.not_loaded), again);
  document.body.append(box);
}

/** Load the page again where a file of it is missing, a few times, and say so if it stays missing. */
export function loadAgainWithoutFiles() {
  const well = setTimeout(() => tab.remove(TRIES), WELL_AFTER_MS);
  let isLost = false;
  /** @type {any} */
  let timer;

  /** Wait until the page itself can be had: the browser's own page for what it cannot reach would stay. */
  async function again(tries) {
    const isThere = await fetch(location.href, { method: "HEAD", cache: "no-store" }).then(
      ({ ok }) => ok,
      () => false,
    );
    if (isThere) reload();
    else timer = setTimeout(again, AGAIN_AFTER_MS[tries], tries);
  }

  function lose() {
    if (isLost) return;
    isLost = true;
    clearTimeout(well);
    const tries = Number(tab.get(TRIES)) || 0;
    if (tries < AGAIN_AFTER_MS.length && isNoted(tries + 1)) timer = setTimeout(again, AGAIN_AFTER_MS[tries], tries);
    else if (document.body) say();
    else document.addEventListener("DOMContentLoaded", say);
  }

  window.addEventListener("vite:preloadError", lose);
  window.addEventListener("error", ({ target }) => isFile(target) && lose(), true);
  window.addEventListener("pagehide", () => clearTimeout(timer));
}
