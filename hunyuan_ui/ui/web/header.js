const part = (name) => element.querySelector(`[data-part="${name}"]`);

function show() {
  const value = props.value || {};
  for (const name of ["name", "tagline", "spent", "storage", "reach", "mode"]) {
    part(name).textContent = value[name] || "";
    part(name).hidden = !value[name];
  }
  part("spent").title = value.spent_help || "";
  part("mode").title = value.mode_help || "";
  part("reach").title = value.reach_help || "";
  part("mode").dataset.mode = value.is_preview ? "preview" : "live";
}

const other = hunyuan.language === "zh" ? "en" : "zh";
part("language").textContent = hunyuan.words.language;
part("language").lang = other;
part("language").addEventListener("click", () => hunyuan.speak(other));
show();
watch("value", show);
