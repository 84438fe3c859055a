// Model of a prompt list in the page: file and text input, requests to the server, and its state.

export const MOST_BYTES = 1024 * 1024;
export const SHOWN = 100; // rows of a table or faults, until more are requested

const KINDS = { csv: "csv", tsv: "csv", jsonl: "jsonl", ndjson: "jsonl", txt: "text" };
const ACTIVE = ["queued", "submitting", "running", "downloading"];

/**
 * @typedef {{text: string, kind: string, name: string, budget: string, picks: string, picksSeed: string,
 *   form: Object<string, any> | null, sentName: string, sentForm: Object<string, any> | null}} Draft
 * `form` has the values for fields that rows leave out; `sentName` is the name under which it was sent, with `sentForm`.
 */

/** @type {Draft} */
export const EMPTY = {
  text: "",
  kind: "auto",
  name: "",
  budget: "",
  picks: "0",
  picksSeed: "0",
  form: null,
  sentName: "",
  sentForm: null,
};

/** Return a file's list format, by its extension. */
export const kindOf = (fileName) => KINDS[(/\.(\w+)$/.exec(fileName.toLowerCase()) || [])[1]] || "auto";

/**
 * Decode a file in UTF-8, or in UTF-16 with a byte order mark, as spreadsheets write it; null for anything else.
 * @param {Uint8Array} bytes
 */
export function textIn(bytes) {
  const mark = `${bytes[0]} ${bytes[1]}`;
  const encoding = { "255 254": "utf-16le", "254 255": "utf-16be" }[mark] || "utf-8";
  try {
    const text = new TextDecoder(encoding, { fatal: true }).decode(bytes);
    return text.includes("\0") ? null : text; // in no text, unless it is UTF-16 without a byte order mark
  } catch {
    return null;
  }
}

/** Whether a text may contain wildcards, so that their number matters. */
export const hasChoices = (text) => /\{[^}]*\|/.test(text);

/** Return a default name for a list. @param {Date} now */
export const nameAt = (now) =>
  [now.getFullYear(), now.getMonth() + 1, now.getDate(), now.getHours(), now.getMinutes(), now.getSeconds()]
    .map((number) => String(number).padStart(2, "0"))
    .join("-");

/**
 * Whether rows keep the default values with which the list was sent: with other settings its rows would be different
 * videos, and charged again.
 * @param {Draft} draft
 */
export const isAsSent = (draft) => draft.form !== null && draft.sentName !== "" && draft.sentName === draft.name;

/**
 * Return a draft with the default values for its rows.
 * @param {Draft} draft
 * @param {Object<string, any> | null} formNow
 * @returns {Draft}
 */
export const withForm = (draft, formNow) => ({
  ...draft,
  form: isAsSent(draft) ? (draft.sentForm ?? draft.form) : formNow,
});

/**
 * Return the body of a request to the server.
 * @param {Draft} draft
 * @param {string | null} payer
 */
export function wishOf({ text, kind, name, picks, picksSeed, form }, payer, retryFailed = false) {
  const choices = hasChoices(text) ? { picks: Number(picks), picks_seed: Number(picksSeed) } : {};
  return { prompts: text, kind, name, ...choices, form, payer, retry_failed: retryFailed };
}

/** Whether two requests are for the same list, so that an answer to one applies to the other. */
export const isSame = (one, other) => JSON.stringify(one) === JSON.stringify(other);

/** Whether any of a list's jobs is unfinished. */
export const isGoing = (told) => Boolean(told?.is_running) || ACTIVE.some((status) => told?.[status] > 0);

/** Whether sending an ended list again may make any of its rows; one that may have been charged is not sent again. */
export const canGoOn = (told) => !isGoing(told) && told.not_sent + told.cancelled + told.failed > 0;

/** The ended fraction of a list's rows, 0 to 1. */
export function shareOf(told) {
  const open = ACTIVE.reduce((sum, status) => sum + told[status], told.not_sent);
  return told.rows ? (told.rows - open) / told.rows : 0;
}

/**
 * Return the form's line about a list: empty for one that is complete, or that ended early and was viewed since.
 * @param {any} told The server's latest answer; null for no list.
 * @param {boolean} isSeen
 */
export function lineOf(told, isSeen) {
  if (!told) return "";
  return isGoing(told) || (told.done < told.rows && !isSeen) ? told.text : "";
}

/** Whether the list's maximum cost exceeds what its budget has left. */
export const isShort = ({ most_usd, spent_usd, is_free }, budget) => !is_free && most_usd + spent_usd > Number(budget);
