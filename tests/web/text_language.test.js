import assert from "node:assert/strict";
import { test } from "node:test";

import { beginningOf, languageOf, shortened } from "../../hunyuan_ui/ui/web/text_language.js";

for (const [text, language] of [
  ["A red kite dips over a windy hill", "en"],
  ["一只红色的风筝在山上飞", "zh-CN"],
  ["一只狐狸, 4K, cinematic", "zh-CN"],
  ["A fox, in the manner of 齐白石, on a winter evening", "en"],
  ["赤い凧が風の丘を飛ぶ", ""],
  ["빨간 연이 언덕 위를 난다", ""],
  ["مركب ورقي في قناة", ""],
  ["Красный змей", ""],
  ["123 🙂", ""],
  ["", ""],
])
  test(`${text || "nothing"} is written in ${language || "an unknown language"}`, () => {
    assert.equal(languageOf(text), language);
  });

for (const [text, most, beginning] of [
  ["a fox 🦊 runs", 7, "a fox 🦊"],
  ["🦊🦊🦊", 2, "🦊🦊"],
  ["fox", 60, "fox"],
])
  test(`${text} is cut after ${most} characters`, () => {
    assert.equal(beginningOf(text, most), beginning);
    assert.equal(shortened(text, most), beginning === text ? text : `${beginning}…`);
  });
