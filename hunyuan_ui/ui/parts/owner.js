const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 100; // of the drawing, which is stretched to the page's
const HEIGHT = 100;
const { words } = hunyuan;
const part = (name) => element.querySelector(`[data-part="${name}"]`);
const details = element.querySelector("details");

function node(tag, text = "", name = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (name) made.className = name;
  return made;
}

function shape(tag, values, text = "") {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(values)) made.setAttribute(name, value);
  made.textContent = text;
  return made;
}

function bar(day, index, width, most) {
  const height = Math.max(1, most > 0 ? (HEIGHT * day.usd) / most : 0);
  const drawn = shape("rect", {
    class: day.usd > 0 ? "spent" : "none",
    x: (index + 0.1) * width,
    width: 0.8 * width,
    y: HEIGHT - height,
    height,
  });
  drawn.append(shape("title", {}, day.text));
  return drawn;
}

function plot(days, limit) {
  const most = Math.max(...days.map((day) => day.usd), limit || 0);
  const width = WIDTH / Math.max(1, days.length);
  const drawn = days.map((day, index) => bar(day, index, width, most));
  if (limit) {
    const y = HEIGHT - (HEIGHT * limit) / most;
    drawn.push(shape("line", { class: "limit", x1: 0, x2: WIDTH, y1: y, y2: y }));
  }
  part("plot").replaceChildren(...drawn);
  part("ends").replaceChildren(node("span", days[0].name), node("span", days[days.length - 1].name));
  part("plot").setAttribute("aria-label", days.filter((day) => day.usd > 0).map((day) => day.text).join("; ") || words["owner.no_days"]);
}

function unsettled(job) {
  const item = node("li");
  const buttons = node("div", "", "row");
  for (const wasCharged of [true, false]) {
    const button = node("button", words[wasCharged ? "owner.charged" : "owner.not_charged"], "quiet");
    button.type = "button";
    button.addEventListener("click", () => trigger("settle", { job: job.id, was_charged: wasCharged }));
    buttons.append(button);
  }
  item.append(node("p", job.text), buttons);
  return item;
}

function row(job) {
  const made = node("tr");
  made.append(...[job.when, job.status, job.payer, job.cost, job.took, job.what].map((text) => node("td", text)));
  return made;
}

function save(text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(["\ufeff", text], { type: "text/csv" }));
  link.download = "hunyuan-video-jobs.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

function show() {
  const value = props.value || {};
  element.hidden = !value.is_offered;
  part("proof").hidden = !value.needs_proof;
  part("problem").textContent = value.problem || "";
  part("problem").hidden = !value.problem;
  part("desk").hidden = !value.days;
  if (!value.days) return;
  part("paused").hidden = !value.is_paused;
  part("limits").replaceChildren(...value.limits.map((text) => node("li", text)));
  part("unknown").hidden = value.unknown.length === 0;
  part("unsettled").replaceChildren(...value.unknown.map(unsettled));
  part("sum").textContent = value.sum;
  part("jobs").replaceChildren(...value.jobs.map(row));
  plot(value.days, value.daily_limit);
  if (value.csv) save(value.csv);
}

hunyuan.fill(element, words);
details.addEventListener("toggle", () => details.open && trigger("refresh"));
part("refresh").addEventListener("click", () => trigger("refresh"));
part("resume").addEventListener("click", () => trigger("resume"));
part("export").addEventListener("click", () => trigger("export"));
part("proof").addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  const input = part("proof").querySelector("input");
  const key = input.value;
  input.value = "";
  if (key) trigger("prove", { key });
});
watch("value", show);
show();
