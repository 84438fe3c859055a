// The card of one video in the grid: its content while hovered or focused, and its actions.

import { picture } from "./dom.js";
import { createHoverPlay, playOnHover } from "./hover_play.js";
import { filled, words } from "./language.js";
import { fileOf, timeText } from "./server.js";
import { nameOf, shortened, showWritten } from "./text_language.js";

const WIDE = 1.6; // aspect ratio that fills a tile
const MOST_SHOWN = 240; // more than fits on two lines

/** Set or clear the favourite mark of a card. */
export function showFavourite(item, isFavourite) {
  const star = item.querySelector(".star");
  star.setAttribute("aria-pressed", String(isFavourite));
}

/** Name a card's controls so that they differ from those of the same prompt's other videos, and of the same click's. */
function nameAll(item, { settings: { prompt, seed }, created_at }) {
  const when = timeText(created_at);
  item.querySelector(".of").textContent = filled("variations.seed", { seed });
  for (const control of item.querySelectorAll("[data-do]")) {
    const action = words[`gallery.${control.dataset.do}`];
    control.title = action;
    control.setAttribute("aria-label", filled("gallery.action", { action, when, seed, prompt: nameOf(prompt) }));
  }
}

/**
 * Return the card of a video.
 * @param {any} video
 * @param {HTMLTemplateElement} template
 * @param {{open: () => void, star: () => void, reuse: () => void, delete: () => void}} does
 */
export function cardOf(video, template, does) {
  const item = /** @type {any} */ (template.content.firstElementChild?.cloneNode(true));
  const piece = (selector) => item.querySelector(selector);
  const button = piece(".tile-button");
  const tile = piece(".tile");
  const src = fileOf(video, ".webp");
  if (video.width < video.height * WIDE) tile.style.setProperty("--poster", `url("${src}")`);
  tile.prepend(picture(src, { loading: "lazy" }));
  piece(".length").textContent = video.length;
  showWritten(piece(".text"), shortened(video.settings.prompt, MOST_SHOWN));
  piece(".when").textContent = timeText(video.created_at);
  piece("[data-do=download]").href = fileOf(video, ".mp4", { download: 1 });
  playOnHover(
    button,
    createHoverPlay(tile, () => fileOf(video, ".mp4")),
  );
  button.addEventListener("click", does.open);
  for (const name of ["star", "reuse", "delete"]) piece(`[data-do=${name}]`).addEventListener("click", does[name]);
  item.dataset.id = video.id;
  nameAll(item, video);
  showFavourite(item, video.is_favourite);
  return item;
}
