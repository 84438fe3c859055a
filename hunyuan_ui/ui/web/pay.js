const { words } = hunyuan;
const part = (name) => element.querySelector(`[data-part="${name}"]`);
const section = element.querySelector(".pay");
let choice = null; // made on this page; an answer about something else takes it back to no other

function choose(payer) {
  choice = payer;
  props.value = { ...props.value, chosen: payer, problem: "" };
  show();
}

function option(entry, value) {
  const label = document.createElement("label");
  const input = document.createElement("input");
  const text = document.createElement("span");
  input.type = "radio";
  input.name = "payer";
  input.value = entry.payer;
  input.checked = entry.payer === value.chosen;
  input.addEventListener("change", () => choose(entry.payer));
  text.textContent = entry.label;
  label.append(input, text);
  return label;
}

function send(event, data = {}) {
  choice = null;
  trigger(event, data);
}

// The box is empty before the answer comes, whatever it will be: a secret stays nowhere on the page.
function sends(form, event, name) {
  part(form).addEventListener("submit", (submitted) => {
    submitted.preventDefault();
    const input = part(form).querySelector("input");
    const text = input.value;
    input.value = "";
    if (text) send(event, { [name]: text });
  });
}

function show() {
  const value = { ...props.value, ...(choice && { chosen: choice }) };
  const choices = value.choices || [];
  const chosen = choices.find((entry) => entry.payer === value.chosen);
  const isFocused = part("choices").contains(document.activeElement);
  section.hidden = choices.length < 2;
  part("choices").replaceChildren(...choices.map((entry) => option(entry, value)));
  if (isFocused) part("choices").querySelector("input:checked")?.focus();
  part("help").textContent = chosen ? chosen.help : "";
  part("key-form").hidden = value.chosen !== "visitor" || value.has_key;
  part("kept").hidden = value.chosen !== "visitor" || !value.has_key;
  part("code-form").hidden = value.chosen !== "owner" || !value.needs_code;
  part("login").hidden = value.chosen !== "owner" || !value.needs_login;
  part("problem").textContent = value.problem || "";
  part("problem").hidden = !value.problem;
  hunyuan.form?.paidBy(value.chosen);
}

hunyuan.fill(element, words);
sends("key-form", "bring", "key");
sends("code-form", "enter", "code");
part("forget").addEventListener("click", () => send("forget"));
watch("value", show);
show();
