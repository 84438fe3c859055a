// Why a browser does not play a video: it has no decoder for it, the file is gone, or nobody answers just now.

import { canPlay } from "./dom.js";
import { words } from "./language.js";
import { filesOf } from "./server.js";

const ANSWER_WITHIN_MS = 15000;
const LOAD_AGAIN_MS = 3000;
export const UNREACHABLE = "gallery.unreachable";

/** Return the name of the sentence that says why a browser could not load a video. */
export async function whyUnplayed(video) {
  if (!canPlay()) return "cannot_play";
  // The first byte alone; what the browser has kept of the file says nothing of how it is now.
  const answer = await fetch(filesOf(video).src, {
    headers: { range: "bytes=0-0" },
    cache: "no-store",
    signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
  }).catch(() => null);
  answer?.body?.cancel();
  if (answer?.ok) return "cannot_play";
  return [403, 404, 410].includes(answer?.status || 0) ? "viewer.missing" : UNREACHABLE;
}

/** Say why a player could not load a video; where nobody answers, `load` it again until somebody does. */
export async function sayWhyUnplayed(player, video, say, load) {
  const source = player.getAttribute("src");
  const isShown = () => player.getAttribute("src") === source;
  if (!source) return;
  const why = await whyUnplayed(video);
  if (!isShown()) return;
  say(words[why]);
  if (why === UNREACHABLE) setTimeout(() => isShown() && load(), LOAD_AGAIN_MS);
}
