import assert from "node:assert/strict";
import { test } from "node:test";
import { programOf, settingsIn } from "../../hunyuan_ui/ui/web/mp4_settings.js";

const OURS = JSON.stringify({
  hunyuan_ui: 1,
  model: "HunyuanVideo 13B",
  settings: { prompt: "A heron 白鹭 🦊", seed: 7 },
});
const utf8 = (text) => new TextEncoder().encode(text);
const latin1 = (text) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
const u32 = (number) => [number >>> 24, (number >> 16) & 255, (number >> 8) & 255, number & 255];
const bytes = (...parts) =>
  new Uint8Array(parts.flatMap((part) => [...(typeof part === "string" ? latin1(part) : part)]));
const box = (kind, ...parts) => {
  const body = bytes(...parts);
  return bytes(u32(body.length + 8), kind, body);
};
const four = [0, 0, 0, 0];
const hdlr = (kind) => box("hdlr", four, four, kind, [...four, ...four, ...four, 0]);
const data = (text, type = 1, encode = utf8) => box("data", u32(type), four, encode(text));
const file = (...parts) => new Blob([box("ftyp", "isom", four), ...parts]);
const keys = (...names) => box("keys", four, u32(names.length), ...names.map((name) => box("mdta", name)));
const mdta = (start, ...pairs) =>
  box(
    "meta",
    start,
    hdlr("mdta"),
    keys(...pairs.map(([name]) => name)),
    box("ilst", ...pairs.map(([, text], index) => box(String.fromCharCode(0, 0, 0, index + 1), data(text)))),
  );
const quickTime = (kind, text, language = [0x55, 0xc4]) => {
  const body = utf8(text);
  return box(kind, [body.length >> 8, body.length & 255], language, body);
};
const utf16 = (text) =>
  bytes(...[...Array(text.length).keys()].map((at) => [text.charCodeAt(at) >> 8, text.charCodeAt(at) & 255]));

/** A file of any size whose middle is nothing, that counts what is read of it. */
function sparse(start, end, size) {
  const counted = { size, slices: 0, bytes: 0 };
  counted.slice = (from, to) => {
    const until = Math.min(to, size);
    counted.slices += 1;
    counted.bytes += Math.max(0, until - from);
    const part = new Uint8Array(Math.max(0, until - from));
    for (let at = from; at < until; at++) {
      if (at < start.length) part[at - from] = start[at];
      else if (at >= size - end.length) part[at - from] = end[at - (size - end.length)];
    }
    return new Blob([part]);
  };
  return counted;
}

const itunes = (text, ...more) =>
  box("udta", box("meta", four, hdlr("mdir"), box("ilst", box("\xa9cmt", data(text, ...more)))));
const PLACES = {
  "as FFmpeg writes it": file(box("mdat", four), box("moov", box("mvhd", four), itunes(OURS))),
  "mdta keys in moov": file(box("moov", mdta([], ["encoder", "Lavf"], ["comment", OURS])), box("mdat", four)),
  "mdta keys below udta": file(box("moov", box("udta", mdta(four, ["com.apple.quicktime.comment", OURS])))),
  "QuickTime's own comment": file(box("moov", box("udta", quickTime("\xa9swr", "Lavf"), quickTime("\xa9cmt", OURS)))),
  "QuickTime without a language": file(box("moov", box("udta", quickTime("\xa9cmt", OURS, [0, 0])))),
  "a title instead": file(box("moov", box("udta", quickTime("\xa9nam", OURS)))),
  "a description": file(
    box("moov", box("udta", box("meta", four, hdlr("mdir"), box("ilst", box("desc", data(OURS)))))),
  ),
  "a free-form item": file(
    box(
      "moov",
      box(
        "udta",
        box("meta", four, box("ilst", box("----", box("mean", four, "x"), box("name", four, "y"), data(OURS)))),
      ),
    ),
  ),
  "a track's user data": file(box("moov", box("trak", box("tkhd", four), box("udta", quickTime("\xa9cmt", OURS))))),
  "a meta box beside the index": file(mdta(four, ["comment", OURS]), box("moov", four)),
  "UTF-16": file(box("moov", itunes(OURS, 2, utf16))),
  "the own box alone": file(box("uuid", Buffer.from("5a3f6d8e2c414b7e9d536f0b1c8e7a92", "hex"), utf8(OURS))),
  "an old QuickTime file": new Blob([
    box("wide"),
    box("mdat", four),
    box("moov", box("udta", quickTime("\xa9cmt", OURS))),
  ]),
  "a last box without a size": new Blob([box("ftyp"), box("moov", itunes(OURS)), bytes(four, "mdat", four)]),
  "a box with a long size": new Blob([
    box("ftyp"),
    bytes(u32(1), "mdat", four, u32(20), four),
    box("moov", itunes(OURS)),
  ]),
  "QuickTime's terminator": file(box("moov", box("udta", quickTime("\xa9cmt", OURS), four))),
};

for (const [name, blob] of Object.entries(PLACES))
  test(`settings are found: ${name}`, async () => {
    assert.deepEqual(await settingsIn(blob), { isVideo: true, isCut: false, own: [OURS], program: null });
  });

const OTHERS = {
  Matroska: bytes([0x1a, 0x45, 0xdf, 0xa3], "COMMENTD\x87\x46\xfd", utf8(OURS), [0x1f, 0x43, 0xb6, 0x75, 0xff]),
  AVI: bytes("RIFF", four, "AVI LIST", four, "INFOICMT", four, utf8(OURS), [0], "LIST"),
  "tags at the end": bytes([0x1a, 0x45, 0xdf, 0xa3], new Uint8Array(200_000), utf8(OURS)),
};

for (const [name, content] of Object.entries(OTHERS))
  test(`settings are found in another container: ${name}`, async () => {
    assert.deepEqual((await settingsIn(new Blob([content]))).own, [OURS]);
  });

test("braces in a prompt end no settings, and settings that are cut are none", async () => {
  const whole = JSON.stringify({ hunyuan_ui: 1, settings: { prompt: 'a {{b}} "}}" c' } });
  assert.deepEqual((await settingsIn(new Blob(["FLV", whole, "}}"]))).own, [whole]);
  assert.deepEqual((await settingsIn(new Blob(["FLV", whole.slice(0, -2)]))).own, []);
});

test("of another container both ends are read and nothing between", async () => {
  const blob = sparse(bytes("OggS"), utf8(OURS), 2 ** 31);
  assert.deepEqual((await settingsIn(blob)).own, [OURS]);
  assert.ok(blob.bytes <= 130 * 1024, `${blob.bytes} bytes`);
});

test("two languages are two texts", async () => {
  const second = utf8("Lavf");
  const item = box(
    "\xa9cmt",
    [OURS.length >> 8, utf8(OURS).length & 255],
    [0, 0],
    utf8(OURS),
    [0, second.length],
    [0, 1],
    second,
  );
  assert.deepEqual((await settingsIn(file(box("moov", box("udta", item))))).own, [OURS]);
});

test("a file of 2 GB costs a few kilobytes, wherever the settings are", async () => {
  const size = 2 ** 31;
  const head = box("ftyp", "isom", four);
  const mdat = (rest) => bytes(u32(1), "mdat", u32(0), u32(size - head.length - rest));
  const moov = box("moov", box("trak", box("mdia", new Uint8Array(300_000))), itunes(OURS));
  for (const [start, end] of [
    [bytes(head, mdat(moov.length)), moov],
    [bytes(head, moov, mdat(moov.length)), new Uint8Array(0)],
  ]) {
    const blob = sparse(start, end, size);
    assert.deepEqual((await settingsIn(blob)).own, [OURS]);
    assert.ok(blob.bytes < 8 * 1024, `${blob.bytes} bytes in ${blob.slices} slices`);
  }
});

for (const [name, texts] of Object.entries({
  ComfyUI: [
    '{"3": {"inputs": {"seed": 1}, "class_type": "KSampler"}}',
    '{"prompt": "{\\"3\\": {\\"class_type\\": \\"KSampler\\"}}", "workflow": {}}',
    '{"last_node_id": 9, "nodes": []}',
  ],
  AUTOMATIC1111: ["a cat\nNegative prompt: dog\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1"],
  WanGP: [
    '{"prompt": "a cat", "type": "WanGP v10.70 by DeepBeepMeep - LTX-2"}',
    '{"type": "Wan2.1GP by DeepBeepMeep - x"}',
  ],
  SwarmUI: ['{"sui_image_params": {"prompt": "a cat"}}'],
  "": ['{"prompt": "a cat"}', '{"Positive_Prompt": "x"}'],
}))
  test(`another program's settings are named: ${name || "whose is not known"}`, async () => {
    for (const text of texts) {
      assert.equal(programOf(text), name);
      for (const blob of [file(box("moov", itunes(text))), file(box("moov", mdta([], ["prompt", text])))])
        assert.deepEqual(await settingsIn(blob), { isVideo: true, isCut: false, own: [], program: name });
    }
  });

test("what is no settings is nobody's", async () => {
  for (const text of ["", "Lavf61.7.100", "a cat on the grass", "<script>alert(1)</script>", "Steps: many", "ComfyUI"])
    assert.equal((await settingsIn(file(box("moov", itunes(text))))).program, null);
});

test("another program's own box is not read, and a box that is shorter than its head ends the reading", async () => {
  const foreign = box("uuid", Buffer.alloc(16, 7), utf8(OURS));
  const own = box("uuid", Buffer.from("5a3f6d8e2c414b7e9d536f0b1c8e7a92", "hex"), utf8(OURS));
  assert.deepEqual((await settingsIn(file(foreign))).own, []);
  assert.deepEqual((await settingsIn(file(foreign, own))).own, [OURS]);
  assert.deepEqual((await settingsIn(file(bytes(u32(4)), own))).own, []);
});

test("own settings go before those of others, and each text is told once", async () => {
  const both = file(box("moov", itunes('{"prompt": "x"}'), mdta([], ["comment", OURS])), box("moov", itunes(OURS)));
  assert.deepEqual((await settingsIn(both)).own, [OURS]);
});

test("what is no MP4 is said to be none", async () => {
  for (const start of ["", "<!doctype html>", "\x89PNG\r\n\x1a\n", "\x1aE\xdf\xa3webm", "GIF89a", "RIFF....WEBP"])
    assert.deepEqual(await settingsIn(new Blob([latin1(start)])), {
      isVideo: false,
      isCut: false,
      own: [],
      program: null,
    });
});

test("a file that ends too early is known as one, and read as far as it goes", async () => {
  const whole = bytes(box("ftyp"), box("mdat", new Uint8Array(100)), box("moov", itunes(OURS)));
  assert.equal((await settingsIn(new Blob([whole.subarray(0, 60)]))).isCut, true);
  const front = bytes(box("ftyp"), box("moov", itunes(OURS)), box("mdat", new Uint8Array(100)));
  const cut = await settingsIn(new Blob([front.subarray(0, front.length - 50)]));
  assert.deepEqual([cut.isCut, cut.own], [true, [OURS]]);
});

test("hostile files end, soon and with little read", async () => {
  let deep = itunes(OURS);
  for (let level = 0; level < 60; level++) deep = level % 2 ? box("udta", deep) : box("meta", four, deep);
  const huge = [255, 255, 255, 255];
  for (const blob of [
    file(box("moov", deep)),
    file(...Array(5000).fill(box("moov", box("udta")))),
    file(bytes(huge, "moov", huge, "udta", huge, "\xa9cmt")),
    file(bytes(u32(1), "moov", huge, huge)),
    file(bytes(u32(7), "moov"), bytes(u32(0), "moov", u32(0), "udta", u32(0), "meta")),
    file(box("moov", box("udta", box("\xa9cmt", [255, 255, 0, 0], "x")))),
    file(box("moov", itunes("x".repeat(300_000)))),
    file(box("moov", ...Array(60).fill(itunes(`{"prompt": "${"a".repeat(30_000)}`)))),
  ]) {
    const counted = {
      size: blob.size,
      bytes: 0,
      slice: (from, to) => {
        counted.bytes += Math.min(to, blob.size) - from;
        return blob.slice(from, to);
      },
    };
    const began = performance.now();
    const found = await settingsIn(counted);
    assert.equal(found.isVideo, true);
    assert.ok(counted.bytes <= 1024 * 1024, `${counted.bytes} bytes`);
    assert.ok(performance.now() - began < 3000);
  }
});

test("any change of any byte ends without an error", async () => {
  const whole = bytes(
    box("ftyp"),
    box("moov", box("trak", four), itunes(OURS), mdta([], ["comment", OURS])),
    box("mdat", four),
  );
  for (let round = 0; round < 400; round++) {
    const changed = whole.slice();
    for (let bit = 0; bit < 1 + (round % 4); bit++)
      changed[(round * 7919 + bit * 104729) % whole.length] ^= 1 << ((round + bit) % 8);
    const found = await settingsIn(new Blob([changed]));
    assert.ok(Array.isArray(found.own));
  }
});
