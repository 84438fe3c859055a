// A sentence with its values: a visitor's text stands there as it was written.

import assert from "node:assert/strict";
import { test } from "node:test";
import { newBrowser } from "./stand_in.js";

const said = { sentences: "{first} {next}", said: "{action}: {prompt}, {count} video{count:s}" };
newBrowser().window.hunyuanWords = { en: said, zh: said };
const { filled, joined, languageNamed } = await import("../../hunyuan_ui/ui/web/language.js");

test("a text with the signs of a replacement or of a place stays as it is", () => {
  for (const prompt of ["$& $1 $$", "{action} {count:s}"])
    assert.equal(filled("said", { action: "Delete", count: 1, prompt }), `Delete: ${prompt}, 1 video`);
});

test("sentences become one text, without those that there are not", () => {
  assert.equal(joined(["One.", false, "Two.", "", "Three."]), "One. Two. Three.");
  assert.equal(joined([false, "Two."]), "Two.");
  assert.deepEqual([joined([]), joined([false])], ["", ""]);
});

test("a language is named with its region as browsers or systems write it, as at the server", () => {
  for (const [names, language] of [
    [["zh_CN", "en"], "zh"],
    [["ZH-TW"], "zh"],
    [["", "zha", "enm", "zh_Hant"], "zh"],
    [["en_GB.UTF-8", "zh"], "en"],
    [["fr"], "en"],
    [["constructor"], "en"],
  ])
    assert.equal(languageNamed(names), language);
});
