// Histograms beside what they are compared with, and what scores promise against what came true.

import { short } from "./chart.js";
import { el, svg } from "./dom.js";
import { count, number, percent } from "./format.js";

const LEFT = 50, RIGHT = 12, TOP = 8, BOTTOM = 24;

function framed(height, label, paint) {
  const box = el("div", { class: "chart" });
  box.style.height = `${height}px`;
  new ResizeObserver(() => {
    const width = box.clientWidth;
    if (width < LEFT + RIGHT + 20) return;
    const picture = svg("svg", { width, height, role: "img", "aria-label": label });
    paint(picture, width);
    box.replaceChildren(picture);
  }).observe(box);
  return box;
}

// bins: [{from, below, count, reference_count}]; each has the same width, since edges are quantiles
// of the reference: where nothing has changed, bars are as high as its line.
export function histogram(bins, { height = 168, label } = {}) {
  const sum = (name) => bins.reduce((all, bin) => all + (bin[name] ?? 0), 0);
  const all = sum("count") || 1, before = sum("reference_count");
  const share = (bin) => bin.count / all, was = (bin) => (before ? (bin.reference_count ?? 0) / before : 0);
  const most = Math.max(...bins.map((bin) => Math.max(share(bin), was(bin)))) * 1.08 || 1;
  return el("div", null,
    el("div", { class: "legend" }, el("span", { class: "key c0" }, "this hour"), before > 0 && el("span", { class: "key c1" }, "reference")),
    framed(height, label, (picture, width) => {
      const each = (width - LEFT - RIGHT) / bins.length, y = (value) => height - BOTTOM - (value / most) * (height - TOP - BOTTOM);
      for (const value of [0, most / 2.16, most / 1.08])
        picture.append(svg("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }), svg("text", { class: "tick", x: LEFT - 5, y: y(value) + 3.5, "text-anchor": "end" }, short(percent(value))));
      const every = Math.max(1, Math.ceil(60 / each));
      bins.forEach((bin, at) => {
        const x = LEFT + at * each;
        const range = `${bin.from === null ? "below" : number(bin.from)} – ${bin.below === null ? "and more" : number(bin.below)}`;
        picture.append(svg("rect", { class: "bin c0", x: x + 0.5, y: y(share(bin)), width: Math.max(each - 1, 1), height: Math.max(height - BOTTOM - y(share(bin)), 0) },
          svg("title", null, `${range}: ${count(bin.count)}, ${percent(share(bin))}${before ? `; reference ${percent(was(bin))}` : ""}`)));
        if (before) picture.append(svg("line", { class: "line c1", x1: x, x2: x + each, y1: y(was(bin)), y2: y(was(bin)) }));
        if (at % every === 0 && bin.from !== null) picture.append(svg("text", { class: "tick", x, y: height - 8, "text-anchor": "middle" }, short(number(bin.from))));
      });
    }));
}

// points: [{mean_probability, positive_share, count}]; on the line, probabilities are right.
export function reliability(points, { height = 186, label } = {}) {
  const most = Math.max(...points.map((point) => point.count));
  return framed(height, label, (picture, width) => {
    const x = (value) => LEFT + value * (width - LEFT - RIGHT), y = (value) => height - BOTTOM - value * (height - TOP - BOTTOM);
    for (const value of [0, 0.25, 0.5, 0.75, 1])
      picture.append(svg("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }),
        svg("text", { class: "tick", x: LEFT - 5, y: y(value) + 3.5, "text-anchor": "end" }, short(percent(value))),
        svg("text", { class: "tick", x: x(value), y: height - 8, "text-anchor": "middle" }, short(number(value))));
    picture.append(svg("line", { class: "usual", x1: x(0), y1: y(0), x2: x(1), y2: y(1) }));
    picture.append(svg("path", { class: "line c0", d: `M${points.map((point) => `${x(point.mean_probability)} ${y(point.positive_share)}`).join("L")}` }));
    for (const point of points)
      picture.append(svg("circle", { class: "dot c0", cx: x(point.mean_probability), cy: y(point.positive_share), r: 2 + 4 * Math.sqrt(point.count / most) },
        svg("title", null, `said ${number(point.mean_probability)}, came true ${percent(point.positive_share)} of ${count(point.count)}`)));
  });
}
