// Selection of several videos in the grid, or of a second one to compare with a first.

import { node } from "./dom.js";
import { emit } from "./events.js";
import { filled, words } from "./language.js";
import { fileOf } from "./server.js";

const BETWEEN_DOWNLOADS_MS = 400; // a browser drops simultaneous ones

/**
 * @param {Element} element The part of the page that contains the grid.
 * @param {any} part Its elements.
 * @param {{say: (text: string) => void, remove: (videos: any[]) => void}} does
 */
export function createSelection(element, part, does) {
  let isOn = false;
  let isPair = false; // selecting the second one starts the comparison
  /** @type {any[]} */
  let chosen = [];

  /** @param {boolean} on @param {any} [first] The video to compare a second one with. */
  function set(on, first = null) {
    isOn = on;
    isPair = first !== null;
    chosen = first ? [first] : [];
    part("choose").setAttribute("aria-pressed", String(isOn));
    element.querySelector(".videos")?.toggleAttribute("data-choosing", isOn);
    if (isOn) part("choose").hidden = false;
    if (part("chosen").contains(document.activeElement)) part("choose").focus({ preventScroll: true });
    mark();
    if (!isOn) does.say("");
  }

  function choose(video) {
    const isChosen = chosen.some((one) => one.id === video.id);
    chosen = isChosen ? chosen.filter((one) => one.id !== video.id) : [...chosen, video];
    mark();
    if (isPair && chosen.length === 2) compare();
  }

  function compare() {
    const [left, right] = chosen;
    set(false);
    emit("compare", { left, right });
  }

  async function download() {
    for (const video of [...chosen]) {
      node("a", "", "", { href: fileOf(video, ".mp4", { download: 1 }), download: "" }).click();
      await new Promise((go) => setTimeout(go, BETWEEN_DOWNLOADS_MS));
    }
  }

  function remove() {
    const gone = chosen;
    set(false);
    does.remove(gone);
  }

  function mark() {
    for (const item of part("posters").children) {
      const isChosen = chosen.some((video) => video.id === item.dataset.id);
      const button = item.querySelector(".tile-button");
      item.querySelector(".mark").textContent = isChosen ? "✓" : "";
      if (isOn) button.setAttribute("aria-pressed", String(isChosen));
      else button.removeAttribute("aria-pressed");
    }
    part("count").textContent = filled("gallery.chosen", { count: chosen.length });
    part("chosen").hidden = !isOn || isPair || !chosen.length;
    part("compare").disabled = chosen.length !== 2;
    if (isOn) does.say(words[isPair ? "gallery.choose_second" : "gallery.choose_some"]);
  }

  part("choose").addEventListener("click", () => set(!isOn));
  part("compare").addEventListener("click", compare);
  part("download").addEventListener("click", download);
  part("delete").addEventListener("click", remove);
  part("chosen").setAttribute("aria-label", words["gallery.choose"]);
  element.addEventListener("keydown", (event) => {
    const { key, target } = /** @type {KeyboardEvent & {target: HTMLElement}} */ (event);
    const clears = target.matches("input:not(:placeholder-shown)"); // the search, of its text
    if (key === "Escape" && isOn && !clears) set(false);
  });
  return {
    isOn: () => isOn,
    choose,
    /** Mark the chosen ones among newly drawn cards. What is out of sight is not chosen, but for a pair's first. */
    listed(shown) {
      if (!isPair) chosen = chosen.filter((video) => shown.some(({ id }) => id === video.id));
      if (isOn) mark();
    },
    /** Let the visitor select a second video, which is compared with this one immediately. */
    seekSecond: (first) => set(true, first),
    /** Deselect videos that no longer exist. @param {(video: any) => boolean} isThere */
    keep(isThere) {
      chosen = chosen.filter(isThere);
      if (isOn) mark();
    },
  };
}
