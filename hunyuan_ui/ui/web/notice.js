const { words } = hunyuan;
const part = (name) => element.querySelector(`[data-part="${name}"]`);
const box = element.querySelector(".notice");

function mark(field) {
  for (const marked of document.querySelectorAll("[data-wrong]")) {
    delete marked.dataset.wrong;
    for (const input of marked.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
  }
  if (!field) return;
  const id = `field-${field.replaceAll("_", "-")}`;
  const advanced = document.querySelector("#advanced > button");
  if (document.getElementById(id)) point(id);
  else if (advanced) {
    // Gradio draws what is inside an accordion only once it is open.
    advanced.click();
    setTimeout(() => point(id), 200);
  }
}

function point(id) {
  const control = document.getElementById(id);
  if (!control) return;
  control.dataset.wrong = "";
  const input = control.querySelector("textarea, input");
  if (!input) return;
  input.setAttribute("aria-invalid", "true");
  input.focus({ preventScroll: true });
}

function show(text, { field = null, isConfirmable = false } = {}) {
  box.hidden = !text;
  part("text").textContent = text || "";
  part("confirm").hidden = !isConfirmable;
  mark(field);
  if (text) box.scrollIntoView({ block: "nearest" });
}

hunyuan.fill(element, words);
part("dismiss").addEventListener("click", () => show(""));
part("confirm").addEventListener("click", () => {
  show("");
  trigger("confirm");
});
document.addEventListener("hunyuan:unanswered", () => show(words.send_failed));
document.addEventListener("hunyuan:answered", () => {
  if (part("text").textContent === words.send_failed) show("");
});
// It was about the price of another form.
document.addEventListener("hunyuan:priced-anew", () => (part("confirm").hidden = true));
watch("value", () => {
  const value = props.value || {};
  if (value.seed !== undefined) hunyuan.form.made(value.answer, value.seed);
  if (value.most_usd !== undefined) hunyuan.form.saw(value.answer, value.most_usd);
  hunyuan.answered(value.answer);
  show(value.text, { field: value.field, isConfirmable: value.is_confirmable });
});
