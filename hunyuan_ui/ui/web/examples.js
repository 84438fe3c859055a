import { fill, node, piecesOf } from "./dom.js";
import { send } from "./events.js";
import { words } from "./language.js";

function card({ key, ratio, title, shape, price, settings, most_usd }) {
  const button = node("button", "", "tile-button card", { type: "button" });
  const tile = node("span", "", "tile");
  const frame = node("span", "", "frame");
  tile.dataset.key = key;
  frame.style.aspectRatio = ratio;
  frame.dataset.tall = ratio < 1;
  tile.append(frame);
  const lines = Object.entries({ title, text: settings.prompt, cost: `${shape} · ${price}` });
  button.append(tile, ...lines.map(([name, text]) => node("span", text, name === "text" ? "text two-lines" : name)));
  button.addEventListener("click", () => {
    send("settings", { settings, most_usd });
    document.querySelector("#field-prompt")?.scrollIntoView({ block: "nearest" });
  });
  const item = node("li");
  item.append(button);
  return item;
}

export function examples({ element, props, watch }) {
  const show = () => piecesOf(element)("cards").replaceChildren(...(props.value?.cards || []).map(card));
  fill(element, words);
  watch("value", show);
  show();
}
