// Plot of dollars per day: a bar for each, the limit as a line, and the value of one day.

import { node, showText } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 100; // of the drawing, which is stretched to the page's width
const HEIGHT = 100;

function shape(tag, values) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(values)) made.setAttribute(name, value);
  return made;
}

function bar(day, index, width, top) {
  const height = Math.max(1, (HEIGHT * day.usd) / top);
  const kind = day.usd > 0 ? "spent" : "none";
  return shape("rect", { class: kind, x: (index + 0.1) * width, width: 0.8 * width, y: HEIGHT - height, height });
}

/**
 * Return a function that draws the days of an answer; nothing if it has no axis.
 * @param {(name: string) => any} part The elements of the owner's page by name.
 */
export function createDollarsPlot(part) {
  let picked = null; // the day that a person has picked; without one the last is shown, tomorrow another
  let shownAt = 0;
  let days = [];

  function plot(value) {
    part("dollars").hidden = !value.axis;
    if (!value.axis) return;
    days = value.days;
    const { top, limit_text: limitText } = value.axis;
    const width = WIDTH / days.length;
    const drawn = days.map((day, index) => bar(day, index, width, top));
    const limitAt = 100 * value.axis.limit_share; // percent of the height
    if (value.axis.has_line)
      drawn.push(shape("line", { class: "limit", x1: 0, x2: WIDTH, y1: HEIGHT - limitAt, y2: HEIGHT - limitAt }));
    part("plot").replaceChildren(...drawn);
    part("top").textContent = value.axis.top_text;
    part("half").textContent = value.axis.half_text;
    showText(part("limit-text"), limitText);
    part("limit-text").classList.toggle("below", limitAt > 50);
    part("limit-text").style.bottom = `${limitAt}%`;
    part("ends").replaceChildren(node("span", days[0].name), node("span", days[days.length - 1].name));
    part("plot").setAttribute("aria-valuemax", days.length);
    const at = days.findIndex((day) => day.name === picked);
    if (at < 0) picked = null;
    show(at < 0 ? days.length - 1 : at);
  }

  function pick(at) {
    picked = days[at].name;
    show(at);
  }

  function show(at) {
    shownAt = at;
    part("day").textContent = days[at].text;
    part("plot").setAttribute("aria-valuenow", at + 1);
    part("plot").setAttribute("aria-valuetext", days[at].text);
    for (const [place, drawn] of [...part("plot").querySelectorAll("rect")].entries())
      drawn.classList.toggle("picked", place === at);
  }

  function pointAt(event) {
    const box = part("plot").getBoundingClientRect();
    const at = Math.floor((days.length * (event.clientX - box.left)) / box.width);
    pick(Math.max(0, Math.min(days.length - 1, at)));
  }

  function walk(event) {
    const last = days.length - 1;
    const [before, after] = [shownAt - 1, shownAt + 1];
    const to = { ArrowLeft: before, ArrowDown: before, ArrowRight: after, ArrowUp: after, Home: 0, End: last }[
      event.key
    ];
    if (to === undefined) return;
    event.preventDefault();
    pick(Math.max(0, Math.min(last, to)));
  }

  for (const name of ["pointermove", "pointerdown"]) part("plot").addEventListener(name, pointAt);
  part("plot").addEventListener("keydown", walk);
  return plot;
}
