// Reads the settings inside a video file in slices: a few kilobytes of a file of any size, which is not uploaded.
// Positions of texts and formats of other programs: docs/facts/mp4-settings.md 1 and 2.

const SLICE = 1024; // bytes per read, unless a text is longer
const MOST_READ = 1024 * 1024; // bytes in total; a file of nothing but boxes must not block the page
const MOST_BOXES = 2000;
const MOST_TEXT = 32 * 1024; // bytes; three times the maximum of a request's texts
const DEEPEST = 8;
const ENDS = 64 * 1024; // bytes at the beginning and at the end of other containers, which contain their tags
const BEGIN = '{"hunyuan_ui"';
const OWN_BOX = "5a3f6d8e2c414b7e9d536f0b1c8e7a92";
const ENCODINGS = { 0: "utf-8", 1: "utf-8", 2: "utf-16be" }; // by the number in a `data` box; other types are no text
const FIRST = ["ftyp", "moov", "mdat", "free", "skip", "wide", "pnot", "uuid", "styp"];
const FOLDERS = ["moov", "trak"];
const SKIPPED = ["mdat", "mdia", "hdlr", "keys", "mean", "name", "free"];
const INSIDE_META = ["hdlr", "keys", "ilst", "free", "xml "];
const PROGRAMS = Object.entries({
  SwarmUI: /\bsui_image_params\b/,
  ComfyUI: /\bclass_type\b|\blast_node_id\b|\bwidgets_values\b/,
  WanGP: /\bWan[\w.]{0,8}GP\b.{0,30}DeepBeepMeep/,
  AUTOMATIC1111: /\bSteps: \d+,.{0,60}\bSampler: /,
});
const SOMEBODYS = /"(?:positive_)?prompt\\?"\s*:/i;

/** Return a byte reader of a file; it returns nothing beyond the limit or the file's end. */
function readerOf(file) {
  let from = 0;
  let kept = new Uint8Array(0);
  let taken = 0;
  return async (start, count) => {
    if (start < from || start + count > from + kept.length) {
      const size = Math.max(count, SLICE);
      taken += size;
      if (taken > MOST_READ) return new Uint8Array(0);
      kept = new Uint8Array(await file.slice(start, start + size).arrayBuffer());
      from = start;
    }
    return kept.subarray(start - from, start - from + count);
  };
}

const numberAt = (bytes, at) =>
  at + 4 <= bytes.length ? new DataView(bytes.buffer, bytes.byteOffset + at).getUint32(0) : 0;
const kindAt = (bytes, at) => String.fromCharCode(...bytes.subarray(at, at + 4));
const hexOf = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");

function decoded(bytes, encoding = "utf-8") {
  return new TextDecoder(encoding).decode(bytes).replace(/^\0+|\0+$/g, "");
}

/** Return the texts of a QuickTime item, one per language; else that of a 3GPP item, or the whole. */
function listed(bytes) {
  const texts = [];
  let at = 0;
  while (at + 4 <= bytes.length) {
    const count = numberAt(bytes, at) >>> 16;
    if (!count || at + 4 + count > bytes.length) break;
    texts.push(decoded(bytes.subarray(at + 4, at + 4 + count)));
    at += 4 + count;
  }
  return texts.length ? texts : [decoded(bytes.subarray(numberAt(bytes, 0) ? 0 : 6))];
}

function textsIn(kind, bytes) {
  if (kind !== "data") return listed(bytes);
  const encoding = ENCODINGS[numberAt(bytes, 0)];
  return encoding ? [decoded(bytes.subarray(8), encoding)] : [];
}

/** Walks a file's boxes and collects each text at the positions that programs use. */
class Texts {
  constructor(file) {
    this.read = readerOf(file);
    this.size = file.size;
    this.boxes = 0;
    this.isCut = false;
    this.texts = [];
  }

  async *boxesIn(start, end) {
    while (start + 8 <= end && this.boxes < MOST_BOXES) {
      this.boxes += 1;
      const head = await this.read(start, 16);
      if (head.length < 8) return;
      const kind = kindAt(head, 4);
      let size = numberAt(head, 0);
      let body = start + 8;
      if (size === 1) {
        size = numberAt(head, 8) * 2 ** 32 + numberAt(head, 12);
        body += 8;
      }
      if (size === 0) size = end - start;
      if (size < body - start) return;
      yield { kind, start: body, end: Math.min(start + size, end), isCut: start + size > end };
      start += size;
    }
  }

  async walk(start, end, depth = 0, isTags = false) {
    for await (const box of this.boxesIn(start, end)) {
      if (depth === 0) this.isCut ||= box.isCut;
      if (depth === 0 && box.kind === "uuid") await this.ownBox(box);
      else if (SKIPPED.includes(box.kind) || depth > DEEPEST) continue;
      else if (box.kind === "meta") await this.walk(await this.insideMeta(box), box.end, depth + 1, true);
      else if (FOLDERS.includes(box.kind)) await this.walk(box.start, box.end, depth + 1);
      else if (box.kind === "udta" || box.kind === "ilst") await this.walk(box.start, box.end, depth + 1, true);
      else if (isTags && (await this.isItem(box))) await this.walk(box.start, box.end, depth + 1, true);
      else if (isTags) this.texts.push(...textsIn(box.kind, await this.bytesOf(box)));
    }
  }

  // QuickTime's `meta` starts with its first box, MPEG's with four more bytes.
  async insideMeta(box) {
    const kind = kindAt(await this.read(box.start, 8), 4);
    return INSIDE_META.includes(kind) ? box.start : box.start + 4;
  }

  async isItem(box) {
    return ["data", "mean"].includes(kindAt(await this.read(box.start, 8), 4));
  }

  async ownBox(box) {
    if (hexOf(await this.read(box.start, 16)) !== OWN_BOX) return;
    this.texts.push(decoded(await this.bytesOf({ ...box, start: box.start + 16 })));
  }

  bytesOf(box) {
    return this.read(box.start, Math.min(MOST_TEXT, Math.max(0, box.end - box.start)));
  }
}

/** Return the JSON object that starts at a position in a text; null if it is incomplete. */
function objectAt(text, begin) {
  for (let end = text.indexOf("}}", begin); end >= 0 && end - begin < MOST_TEXT; end = text.indexOf("}}", end + 1)) {
    const found = text.slice(begin, end + 2);
    try {
      JSON.parse(found);
      return found;
    } catch {} // these braces are part of a prompt
  }
  return null;
}

/** Return our texts in a file of another format: Matroska, WebM, AVI and FLV store them unencoded. */
async function asWritten(file) {
  const texts = [];
  for (const start of new Set([0, Math.max(0, file.size - ENDS)])) {
    const text = decoded(new Uint8Array(await file.slice(start, start + ENDS).arrayBuffer()));
    for (let at = text.indexOf(BEGIN); at >= 0; at = text.indexOf(BEGIN, at + 1))
      texts.push(...[objectAt(text, at)].filter(Boolean));
  }
  return texts;
}

/** Return the program whose settings a text seems to be: its name, "" if unknown, null for no settings. */
export function programOf(text) {
  const known = PROGRAMS.find(([, marks]) => marks.test(text));
  if (known) return known[0];
  return SOMEBODYS.test(text) ? "" : null;
}

/**
 * Look for settings in a file.
 * @param {Blob} file
 * @returns {Promise<{isVideo: boolean, isCut: boolean, own: string[], program: string | null}>}
 * `own` has the texts written by this program, `program` the apparent source of other settings, as `programOf`.
 */
export async function settingsIn(file) {
  const found = new Texts(file);
  const isVideo = FIRST.includes(kindAt(await found.read(0, 8), 4));
  if (isVideo) await found.walk(0, file.size);
  else found.texts.push(...(await asWritten(file)));
  const isOwn = (text) => text.includes('"hunyuan_ui"');
  const own = found.texts.filter(isOwn);
  const others = found.texts.filter((text) => !isOwn(text)).flatMap((text) => programOf(text) ?? []);
  const program = others.find((name) => name) ?? others[0] ?? null;
  return { isVideo, isCut: found.isCut, own: [...new Set(own)], program };
}
