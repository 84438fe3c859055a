const { words } = hunyuan;
const list = element.querySelector('[data-part="cards"]');

function line(name, text) {
  const node = document.createElement("span");
  node.className = name;
  node.textContent = text;
  return node;
}

function card(example) {
  const button = document.createElement("button");
  const tile = line("tile", "");
  const frame = line("frame", "");
  button.type = "button";
  tile.dataset.key = example.key;
  frame.style.aspectRatio = example.ratio;
  frame.dataset.tall = example.ratio < 1;
  tile.append(frame);
  button.append(
    tile,
    line("title", example.title),
    line("text", example.settings.prompt),
    line("cost", `${example.shape} · ${example.price}`),
  );
  button.addEventListener("click", () => {
    hunyuan.form.show(example.settings, { most_usd: example.most_usd });
    const prompt = document.querySelector("#field-prompt");
    if (prompt) prompt.scrollIntoView({ block: "nearest" });
  });
  const item = document.createElement("li");
  item.append(button);
  return item;
}

function show() {
  list.replaceChildren(...((props.value || {}).cards || []).map(card));
}

hunyuan.fill(element, words);
watch("value", show);
show();
