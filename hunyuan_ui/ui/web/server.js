// Requests to the server, and addresses of finished videos.

import { keeping as browserKeeping, holdLanguage, visitor } from "./browser_storage.js";
import { filled, language } from "./language.js";
import { noteTime } from "./wake_up.js";

const BASE = "gradio_api/hunyuan";
const ANSWER_WITHIN_MS = 15000;

/** @type {Intl.NumberFormat | undefined} */
let sizes;
/** @type {Intl.DateTimeFormat | undefined} */
let times;
/** @type {string | null} */
let token = null;
let arrive;
/** Resolved when the server has identified this visitor. */
export const arrived = new Promise((resolve) => {
  arrive = resolve;
});

export function visitorIs(newToken) {
  token = newToken;
  arrive();
}

/** How visitors find their videos again. A logged-in visitor has the server's token and is found by the login. */
export const keeping = () => (token && token !== visitor() ? "kept" : browserKeeping());

/**
 * Return a response's JSON, with `isOk` and `httpStatus`.
 * @param {string} path
 * @param {{method?: string, body?: any, json?: any, within_ms?: number, signal?: AbortSignal, keepalive?: boolean,
 *   isExpected?: boolean}} [options]
 * `keepalive` lets it complete although the page closes; `isExpected`: its object may not be stored yet.
 */
export async function request(
  path,
  { method, body, json, within_ms = ANSWER_WITHIN_MS, signal, keepalive, isExpected } = {},
) {
  holdLanguage(language);
  const asked_at = Date.now();
  const abort = new AbortController();
  const deadline = setTimeout(() => abort.abort(), within_ms);
  signal?.addEventListener("abort", () => abort.abort());
  try {
    const answer = await fetch(`${BASE}/${path}`, {
      method: method || (json ? "POST" : "GET"),
      body: json ? JSON.stringify(json) : body,
      headers: {
        ...(json && { "content-type": "application/json" }),
        ...(token && { "x-hunyuan-visitor": token }),
        ...(isExpected && { "x-hunyuan-expected": "yes" }),
      },
      signal: abort.signal,
      keepalive,
      cache: "no-store",
    });
    noteTime(answer.headers.get("date"), asked_at);
    if (!(answer.headers.get("content-type") || "").startsWith("application/json"))
      throw Object.assign(new Error("no JSON"), { status: answer.status });
    return { ...(await answer.json()), isOk: answer.ok, httpStatus: answer.status };
  } finally {
    clearTimeout(deadline);
  }
}

/**
 * The same for what is followed: only an answer of this page's own server says how it stands. What is in between may
 * answer with JSON of its own, as a login or a limit does, but names no version of the page.
 */
export async function requestState(path, options = {}) {
  const answer = await request(path, options);
  if (answer.httpStatus >= 500 || !answer.version) throw new Error(`status ${answer.httpStatus}`);
  return answer;
}

/** A request that needs a visitor; a failed request counts as one that is not OK. */
export async function ask(path, options) {
  await arrived;
  // An intermediary, such as a proxy with its own limits, responds without this page's JSON.
  return request(path, options).catch(({ status }) => ({
    isOk: false,
    problem: status ? filled("foreign_status", { status }) : null,
  }));
}

/** Return the address of a video's file. It contains a signature, because an image sends no headers. */
export const fileOf = (video, extension, options = {}) =>
  `${BASE}/videos/${video.id}${extension}?${new URLSearchParams({ k: video.code, ...options })}`;

/** A video's addresses for a player. */
export const filesOf = (video) => ({
  ratio: `${video.width} / ${video.height}`,
  poster: fileOf(video, ".webp"),
  src: fileOf(video, ".mp4"),
});

/** The addresses of an example's short loop and its poster, by its key. */
export const loopOf = (key) => ({ poster: `${BASE}/examples/${key}.webp`, src: `${BASE}/examples/${key}.mp4` });

/** Format a size as 3.2 MB. */
export function sizeText(bytes) {
  sizes ??= new Intl.NumberFormat(language, { maximumSignificantDigits: 3 });
  for (const [least, unit] of /** @type {[number, string][]} */ ([
    [1e6, "MB"],
    [1e3, "kB"],
  ]))
    if (bytes >= least) return `${sizes.format(bytes / least)} ${unit}`;
  return `${sizes.format(bytes)} B`;
}

/** Dates and times follow the visitor's region, even if the page is in another language. */
function regionsFormat() {
  const { locale, hourCycle } = new Intl.DateTimeFormat(undefined, { hour: "numeric" }).resolvedOptions();
  const region = locale.startsWith(language) ? locale : language;
  return new Intl.DateTimeFormat(region, { dateStyle: "medium", timeStyle: "short", hourCycle });
}

/** Format a time; a browser takes 16 ms for its first formats, which the first view of the page does not need. */
export function timeText(created_at) {
  times ??= regionsFormat();
  return times.format(new Date(created_at * 1000));
}
