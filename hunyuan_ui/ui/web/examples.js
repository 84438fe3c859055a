// The examples: moving tiles below the form, and the first of them where the video will stand.

import { fill, node, piecesOf } from "./dom.js";
import { send } from "./events.js";
import { words } from "./language.js";
import { hasPointer, movingIn, onAttention } from "./moving.js";
import { filesOf, loopOf } from "./server.js";

const MOST_SIGHTS = 6; // above the fold

function pick({ settings, most_usd }) {
  send("settings", { settings, most_usd });
  document.querySelector("#field-prompt")?.scrollIntoView({ block: "nearest" });
}

/** Return a tile with the poster of an example, and functions that let it move and rest. */
function tileOf({ key, own }) {
  const tile = node("span", "", "tile");
  const files = own ? filesOf(own) : loopOf(key);
  const image = node("img", "", "", { alt: "", decoding: "async", src: files.poster });
  function drawn() {
    if (own) image.src = loopOf(key).poster;
  }

  // A video of one's own may have been deleted since.
  image.addEventListener("error", drawn, { once: true });
  tile.append(image);
  return { tile, ...movingIn(tile, () => files.src) };
}

function itemOf(card, className, lines) {
  const button = node("button", "", className, { type: "button", ariaLabel: card.title });
  const { tile, move, rest } = tileOf(card);
  button.append(tile, ...lines.map(([name, text]) => node("span", text, name)));
  button.addEventListener("click", () => pick(card));
  onAttention(button, { move, rest });
  const item = node("li");
  item.append(button);
  return { item, move };
}

const cardOf = (card) =>
  itemOf(card, "tile-button card", [
    ["title", card.title],
    ["text two-lines", card.settings.prompt],
    ["cost", `${card.shape} · ${card.price}`],
  ]).item;

/** Show the first examples where the video will stand. Where nothing hovers, each moves once. */
function showSights(list, cards) {
  const sights = cards
    .slice(0, MOST_SIGHTS)
    .map((card) => itemOf(card, "tile-button", [["title one-line", card.title]]));
  list.replaceChildren(...sights.map(({ item }) => item));
  if (hasPointer() || /** @type {any} */ (navigator).connection?.saveData) return;
  for (const { item, move } of sights) if (item.checkVisibility?.()) move({ loop: false });
}

export function examples({ element, props, watch }) {
  let shown = "";

  function show() {
    const cards = props.value?.cards || [];
    const text = JSON.stringify(cards);
    // Before the first answer the tiles' places are kept as they are.
    if (!cards.length || text === shown) return;
    shown = text;
    piecesOf(element)("cards").replaceChildren(...cards.map(cardOf));
    const list = document.querySelector("#screen .sights");
    if (list) showSights(list, cards);
  }

  fill(element, words);
  watch("value", show);
  show();
}
