import { isSwitchedByKeys, keepLanguage } from "./browser_storage.js";
import { piecesOf, showText } from "./dom.js";
import { language, words } from "./language.js";

export function header({ element, props, watch }) {
  const part = piecesOf(element);

  function show() {
    // Initially in each language, later as the server answers.
    const value = props.value?.[language] || props.value || {};
    for (const name of ["name", "tagline", "spent", "spent_short", "storage", "reach", "mode"])
      showText(part(name), value[name]);
    for (const name of ["spent", "mode", "reach"]) part(name).title = value[`${name}_help`] || "";
    part("spent_short").title = part("spent").title;
    part("mode").dataset.mode = value.is_preview ? "preview" : "live";
  }

  const other = language === "zh" ? "en" : "zh";
  part("language").textContent = words.language;
  part("language").lang = other;
  part("language").addEventListener("click", ({ detail }) => keepLanguage(other, detail === 0));
  watch("value", show);
  show();
  if (isSwitchedByKeys()) part("language").focus({ preventScroll: true });
}
