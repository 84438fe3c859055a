// The examples: animated tiles below the form, and the first of them in the place of the video.

import { kept } from "./browser_storage.js";
import { fill, node, picture, piecesOf, showUnbroken } from "./dom.js";
import { emit } from "./events.js";
import { createHoverPlay, hasPointer, playOnHover } from "./hover_play.js";
import { filled, words } from "./language.js";
import { filesOf, loopOf } from "./server.js";
import { showWritten } from "./text_language.js";

const HAS_OWN = "hunyuan_own_examples";

function pick({ title, settings, most_usd }) {
  emit("settings", { settings, most_usd });
  const told = document.querySelector('.examples [data-part="taken"]');
  if (told) told.textContent = filled("example_taken", { title });
  document.querySelector("#field-prompt")?.scrollIntoView({ block: "nearest" });
}

/**
 * Return an example's tile with its poster, and functions that start and stop its video.
 * @param {any} card
 * @param {HTMLImageElement | null} [early] The poster, if already loaded.
 */
function tileOf({ key, own }, early) {
  const tile = node("span", "", "tile");
  const files = own ? filesOf(own) : loopOf(key);
  // The visitor's own video may have been deleted since.
  const instead = own && loopOf(key).poster;
  tile.append(early?.getAttribute("src") === files.poster ? early : picture(files.poster, { instead }));
  return { tile, ...createHoverPlay(tile, () => files.src) };
}

/** @param {HTMLImageElement | null} [early] */
function itemOf(card, className, lines, early) {
  const button = node("button", "", className, { type: "button" });
  button.setAttribute("aria-label", card.title);
  const { tile, move, rest } = tileOf(card, early);
  button.append(tile, ...lines.map(([name, text]) => node("span", text, name)));
  button.addEventListener("click", () => pick(card));
  playOnHover(button, { move, rest });
  const item = node("li");
  item.append(button);
  return { item, move };
}

function cardOf(card) {
  const { item } = itemOf(card, "tile-button card", [
    ["title", card.title],
    ["text two-lines", card.settings.prompt],
    ["cost", ""],
  ]);
  showWritten(item.querySelector(".text"), card.settings.prompt);
  showUnbroken(item.querySelector(".cost"), `${card.shape} · ${card.price}`);
  return item;
}

/**
 * Render the first examples in the place of the video, before the server has sent more than their keys, so that the
 * first view of the page waits for no response. The visitor's own videos are not known yet.
 * @param {Element} list The empty tiles.
 * @param {string[]} keys
 */
export function drawShowcase(list, keys) {
  if (kept.get(HAS_OWN)) return;
  keys.forEach((key, index) => {
    const [tile, title] = list.children[index].children;
    tile.append(picture(loopOf(key).poster, { decoding: "sync" }));
    title.textContent = words[`example.${key}`];
  });
}

/** Make the first examples selectable. On devices without hover, each plays once. */
function activateShowcase(list, cards) {
  const places = [...list.children];
  const showcase = places.map((place, index) =>
    itemOf(cards[index], "tile-button", [["title", cards[index].title]], place.querySelector("img")),
  );
  list.replaceChildren(...showcase.map(({ item }) => item));
  if (places.some((_, index) => cards[index].own)) kept.set(HAS_OWN, "yes");
  else kept.remove(HAS_OWN);
  if (hasPointer() || /** @type {any} */ (navigator).connection?.saveData) return;
  for (const { item, move } of showcase) if (item.checkVisibility?.()) move({ loop: false });
}

export function examples({ element, props, watch }) {
  let shown = "";

  function show() {
    const cards = props.value?.cards || [];
    const text = JSON.stringify(cards);
    // Before the first answer the tiles are kept as they are.
    if (!cards.length || text === shown) return;
    shown = text;
    document.documentElement.dataset.examples = "drawn";
    piecesOf(element)("cards").replaceChildren(...cards.map(cardOf));
    const list = document.querySelector("#screen .showcase");
    if (list) activateShowcase(list, cards);
  }

  fill(element, words);
  watch("value", show);
  show();
}
