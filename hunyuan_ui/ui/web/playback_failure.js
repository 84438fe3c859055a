// Why a browser does not play a video: it lacks the decoder, the file is damaged or deleted, or the server is unreachable.

import { canPlay } from "./dom.js";
import { words } from "./language.js";
import { filesOf } from "./server.js";

const ANSWER_WITHIN_MS = 15000;
const LOAD_AGAIN_MS = 3000;
export const UNREACHABLE = "gallery.unreachable";

/** Return the key of the sentence on why a browser could not load a video. */
export async function whyUnplayed(video) {
  if (!canPlay()) return "cannot_play";
  // Only the first byte; the browser's cached file does not reveal its current state.
  const answer = await fetch(filesOf(video).src, {
    headers: { range: "bytes=0-0" },
    cache: "no-store",
    signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
  }).catch(() => null);
  answer?.body?.cancel();
  if (answer?.ok) return "viewer.not_played";
  return [403, 404, 410].includes(answer?.status || 0) ? "viewer.missing" : UNREACHABLE;
}

/** Show why a player could not load a video; if the server is unreachable, `load` it again until it responds. */
export async function sayWhyUnplayed(player, video, say, load) {
  const source = player.getAttribute("src");
  const isShown = () => player.getAttribute("src") === source;
  if (!source) return;
  const why = await whyUnplayed(video);
  if (!isShown()) return;
  say(words[why]);
  if (why === UNREACHABLE) setTimeout(() => isShown() && load(), LOAD_AGAIN_MS);
}
