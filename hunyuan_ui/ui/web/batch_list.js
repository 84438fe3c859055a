// A list of prompts as the page knows it: what a file holds, what is typed, what is asked of the server, how it stands.

export const MOST_BYTES = 1024 * 1024;
export const SHOWN = 100; // rows of a table or faults, until more are asked for

const KINDS = { csv: "csv", tsv: "csv", jsonl: "jsonl", ndjson: "jsonl", txt: "text" };
const ACTIVE = ["queued", "submitting", "running", "downloading"];

/**
 * @typedef {{text: string, kind: string, name: string, budget: string, picks: string, picksSeed: string,
 *   form: Object<string, any> | null, sentName: string}} Draft
 *   `form` is what rows take where they have no value of their own; `sentName` the name under which it was sent.
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
};

/** Return how a file is written, by its name. */
export const kindOf = (fileName) => KINDS[(/\.(\w+)$/.exec(fileName.toLowerCase()) || [])[1]] || "auto";

/**
 * Return the text of a file in UTF-8, or in UTF-16 with its mark, as spreadsheets write it; null for anything else.
 * @param {Uint8Array} bytes
 */
export function textIn(bytes) {
  const mark = `${bytes[0]} ${bytes[1]}`;
  const encoding = { "255 254": "utf-16le", "254 255": "utf-16be" }[mark] || "utf-8";
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}

/** Whether a text may hold choices, so that their number matters. */
export const hasChoices = (text) => /\{[^}]*\|/.test(text);

/** Return a name for a list that was given none. @param {Date} now */
export const nameAt = (now) =>
  [now.getFullYear(), now.getMonth() + 1, now.getDate(), now.getHours(), now.getMinutes(), now.getSeconds()]
    .map((number) => String(number).padStart(2, "0"))
    .join("-");

/**
 * Whether rows go on taking what they lack from what the list was sent with: with other settings its rows would be
 * other videos, which would be paid for anew.
 * @param {Draft} draft
 */
export const isAsSent = (draft) => draft.form !== null && draft.sentName !== "" && draft.sentName === draft.name;

/**
 * Return a draft with the settings that its rows take.
 * @param {Draft} draft
 * @param {Object<string, any> | null} formNow
 * @returns {Draft}
 */
export const withForm = (draft, formNow) => (isAsSent(draft) ? draft : { ...draft, form: formNow });

/**
 * Return what the server is asked.
 * @param {Draft} draft
 * @param {string | null} payer
 */
export function wishOf({ text, kind, name, picks, picksSeed, form }, payer, retryFailed = false) {
  const choices = hasChoices(text) ? { picks: Number(picks), picks_seed: Number(picksSeed) } : {};
  return { prompts: text, kind, name, ...choices, form, payer, retry_failed: retryFailed };
}

/** Whether two wishes are for the same list, so that what was said of the one is true of the other. */
export const isSame = (one, other) => JSON.stringify(one) === JSON.stringify(other);

/** Whether something of a list is still being made. */
export const isGoing = (told) => Boolean(told?.is_running) || ACTIVE.some((status) => told?.[status] > 0);

/** The share of a list's rows that has ended, 0 to 1. */
export function shareOf(told) {
  const open = ACTIVE.reduce((sum, status) => sum + told[status], told.not_sent);
  return told.rows ? (told.rows - open) / told.rows : 0;
}

/**
 * Return what the form says of a list: nothing of one that is whole, or that ended early and was looked at since.
 * @param {any} told As the server told it last; null for no list.
 * @param {boolean} isSeen
 */
export function lineOf(told, isSeen) {
  if (!told) return "";
  return isGoing(told) || (told.done < told.rows && !isSeen) ? told.text : "";
}

/** Whether what a list may still spend is more than its budget leaves. */
export const isShort = ({ most_usd, spent_usd, is_free }, budget) => !is_free && most_usd + spent_usd > Number(budget);
