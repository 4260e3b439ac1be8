// Histograms beside what they are compared with, and what scores promise against what came true.

import { short } from "./chart.js";
import { el, shown, svg } from "./dom.js";
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
// of the reference: where nothing has changed, bars are as high as those behind them.
export function histogram(bins, asked = {}) {
  const range = (bin) => `${bin.from === null ? "below" : number(bin.from)} – ${bin.below === null ? "and more" : number(bin.below)}`;
  return bars(bins.map((bin) => ({ ...bin, name: range(bin), tick: bin.from === null ? "" : short(number(bin.from)), edge: true })), asked);
}

// rows: [{category, count, reference_count}]
export const categories = (rows, asked = {}) =>
  bars(rows.map((row) => ({ ...row, name: shown(row.category) || "(empty)", tick: shown(row.category).slice(0, 14) || "(empty)" })), asked);

// Shares of now before those of the reference, which are wider: items: [{name, tick, count, reference_count}].
function bars(items, { height = 168, label } = {}) {
  const sum = (name) => items.reduce((all, one) => all + (one[name] ?? 0), 0);
  const all = sum("count") || 1, before = sum("reference_count");
  const share = (one) => (one.count ?? 0) / all, was = (one) => (before ? (one.reference_count ?? 0) / before : 0);
  const said = (value, of) => (value === null ? "among the others" : percent(of));
  const most = Math.max(...items.map((one) => Math.max(share(one), was(one)))) * 1.08 || 1;
  return el("div", null,
    el("div", { class: "legend" }, el("span", { class: "key c0" }, "this hour"), before > 0 && el("span", { class: "key c1" }, "reference")),
    framed(height, label, (picture, width) => {
      const each = (width - LEFT - RIGHT) / items.length, y = (value) => height - BOTTOM - (value / most) * (height - TOP - BOTTOM);
      for (const value of [0, most / 2.16, most / 1.08])
        picture.append(svg("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }), svg("text", { class: "tick", x: LEFT - 5, y: y(value) + 3.5, "text-anchor": "end" }, short(percent(value))));
      const bar = (kind, x, wide, value) => svg("rect", { class: kind, x, y: y(value), width: Math.max(wide, 1), height: Math.max(height - BOTTOM - y(value), 0) });
      const every = Math.max(1, Math.ceil((items.some((one) => !one.edge) ? 84 : 60) / each));
      items.forEach((one, at) => {
        const x = LEFT + at * each, gap = Math.min(each * 0.22, 14);
        picture.append(svg("g", null,
          svg("title", null, `${one.name}: ${count(one.count)}, ${said(one.count, share(one))}${before ? `; reference ${said(one.reference_count, was(one))}` : ""}`),
          svg("rect", { class: "reach", x, y: TOP, width: each, height: height - TOP - BOTTOM }),
          before ? bar("bin c1", x + 0.5, each - 1, was(one)) : "", bar("bin c0", x + gap, each - 2 * gap, share(one))));
        if (at % every === 0 && one.tick) picture.append(svg("text", { class: "tick", x: one.edge ? x : x + each / 2, y: height - 8, "text-anchor": "middle" }, one.tick));
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
