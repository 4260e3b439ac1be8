// Lines over time in SVG: intervals as bands, provisional values dashed, marks of what happened.
// The server sends at most 600 points of a series: three of them with bands take 25 to 40 ms, as
// they do on a canvas with uPlot 1.6.32, which would be 52 kB more to load.

import { el, shown, svg } from "./dom.js";
import { clock, day, time, utc } from "./format.js";

const LEFT = 58, RIGHT = 22, TOP = 16, BOTTOM = 22;

// series: [{name, points: [{x, value, low, high, final, windows, count}]}], in the order of colours.
// marks: [{x, end, kind, text}]; kinds are classes.
// every: of so many windows there is one.
export function lines({ series, first, last, step, every = 1, marks = [], write, height = 150, range, label, named = series.length > 1 }) {
  const box = el("div", { class: "chart" });
  box.style.height = `${height}px`;
  const legend = named &&
    el("div", { class: "legend" }, series.map((one, at) => el("span", { class: `key c${one.colour ?? at}` }, shown(one.name))));
  const draw = () => {
    const width = box.clientWidth;
    if (width > LEFT + RIGHT) box.replaceChildren(...plot({ series, first, last, step, every, marks, write, height, width, range, label }));
  };
  new ResizeObserver(draw).observe(box);
  return el("div", null, legend, box);
}

function plot(asked) {
  const { series, marks, write, width, height, label } = asked;
  const scale = scales(asked);
  const picture = svg("svg", { width, height, role: "img", "aria-label": label, tabindex: "0" });
  grid(picture, scale, asked);
  provisional(picture, scale, asked);
  for (const mark of marks) picture.append(...marked(mark, scale, asked));
  series.forEach((one, at) => picture.append(...drawn(one, one.colour ?? at, scale, asked)));
  const tip = el("div", { class: "tip", hidden: true });
  hover(picture, tip, scale, { series, write, marks, ...asked });
  return [picture, tip];
}

function scales({ series, first, last, step, range, width, height }) {
  let least = Infinity, most = -Infinity;
  for (const one of series)
    for (const point of one.points)
      for (const value of [point.value, point.low, point.high])
        if (value !== null && value !== undefined) { least = Math.min(least, value); most = Math.max(most, value); }
  if (least > most) [least, most] = [0, 1];
  const room = (most - least || Math.abs(most) || 1) * 0.06;
  let [from, to] = [least - room, most + room];
  if (least >= 0 && from < 0) from = 0;
  if (range) [from, to] = [Math.max(from, range[0] ?? -Infinity), Math.min(to, range[1] ?? Infinity)];
  if (from === to) to = from + 1;
  const until = last + step;
  return {
    x: (ms) => LEFT + ((ms - first) / (until - first || 1)) * (width - LEFT - RIGHT),
    y: (value) => height - BOTTOM - ((value - from) / (to - from)) * (height - TOP - BOTTOM),
    at: (x) => first + ((x - LEFT) / (width - LEFT - RIGHT)) * (until - first),
    from, to, first, until,
  };
}

const STEPS = [1, 2, 5, 10];
const TIMES = [60e3, 300e3, 600e3, 1800e3, 3600e3, 3 * 3600e3, 6 * 3600e3, 12 * 3600e3, 86400e3, 2 * 86400e3, 7 * 86400e3, 30 * 86400e3];

function ticks(from, to, most) {
  const rough = (to - from) / most, power = 10 ** Math.floor(Math.log10(rough));
  const step = STEPS.map((one) => one * power).find((one) => one >= rough);
  const found = [];
  for (let value = Math.ceil(from / step) * step; value <= to + step * 1e-9; value += step) found.push(+value.toPrecision(12));
  return found;
}

function grid(picture, scale, { write, width, height }) {
  for (const value of ticks(scale.from, scale.to, Math.max(2, Math.floor(height / 38)))) {
    const y = Math.round(scale.y(value)) + 0.5;
    picture.append(
      svg("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y, y2: y }),
      svg("text", { class: "tick", x: LEFT - 6, y: y + 3.5, "text-anchor": "end" }, short(write(value))),
    );
  }
  for (const [ms, text] of timeTicks(scale.first, scale.until, Math.max(2, Math.floor((width - LEFT) / 90)))) {
    const x = Math.round(scale.x(ms)) + 0.5;
    picture.append(
      svg("line", { class: "grid", x1: x, x2: x, y1: TOP, y2: height - BOTTOM }),
      svg("text", { class: "tick", x, y: height - 6, "text-anchor": "middle" }, text),
    );
  }
}

// Round times of the reader's zone, and how they are written.
export function timeTicks(first, until, room) {
  const span = until - first;
  const step = TIMES.find((one) => span / one <= room) ?? 90 * 86400e3;
  const zone = new Date(first).getTimezoneOffset() * 60e3, found = [];
  for (let ms = Math.ceil((first - zone) / step) * step + zone; ms <= until; ms += step) found.push([ms, step >= 86400e3 ? day(ms) : clock(ms)]);
  return found;
}

// Without the zeros that say nothing.
export const short = (text) => text.replace(/(\.\d*?)0+(?=\D|$)/, "$1").replace(/\.(?=\D|$)/, "");

// From where on values may still change: shaded, named, and its lines are dashed.
function provisional(picture, scale, { series, height, step }) {
  let begins = Infinity;
  for (const one of series) {
    if (one.timeless) continue;
    for (let at = one.points.length - 1; at >= 0 && !one.points[at].final; at -= 1) begins = Math.min(begins, one.points[at].x);
  }
  if (begins === Infinity) return;
  const x = scale.x(begins), end = scale.x(scale.until);
  picture.append(
    svg("rect", { class: "provisional", x, y: TOP, width: Math.max(0, end - x), height: height - TOP - BOTTOM }),
    svg("text", { class: "tick", x: Math.min(x + 3, end - 56), y: TOP - 5 }, "provisional"),
  );
}

function marked({ x, end, kind, text }, scale, { height }) {
  const at = Math.round(Math.max(scale.x(x), LEFT)) + 0.5;
  if (x > scale.until || (end ?? scale.until) < scale.first) return [];
  const found = [svg("line", { class: `mark ${kind}`, x1: at, x2: at, y1: TOP, y2: height - BOTTOM }, svg("title", null, shown(text)))];
  if (kind !== "version") {
    const until = Math.min(scale.x(end ?? scale.until), scale.x(scale.until));
    found.push(
      svg("rect", { class: `mark ${kind}`, x: at, y: TOP - 3, width: Math.max(2, until - at), height: 3 }, svg("title", null, shown(text))),
      svg("path", { class: `mark ${kind}`, d: `M${at - 4} ${TOP - 8}h8l-4 6z` }, svg("title", null, shown(text))),
    );
  }
  return found;
}

// Points of one kind that follow each other: a gap of windows is a gap of the line.
function pieces(points, step, every) {
  const found = [];
  let piece = null;
  for (const point of points) {
    const before = piece?.points.at(-1);
    if (!piece || point.x - before.x > step * 1.5 * Math.max(before.windows || 1, every)) {
      piece = { final: point.final, points: [] };
      found.push(piece);
    } else if (piece.final !== point.final) {
      piece = { final: point.final, points: [before] }; // joins both
      found.push(piece);
    }
    piece.points.push(point);
  }
  return found;
}

function drawn(one, at, scale, { step, every }) {
  const found = [];
  const x = (point) => scale.x(point.x + (step * (point.windows || 1)) / 2).toFixed(1);
  const y = (value) => scale.y(Math.min(Math.max(value, scale.from), scale.to)).toFixed(1);
  for (const piece of pieces(one.points, step, every)) {
    const kind = `c${at} ${piece.final ? "final" : "open"}`;
    const banded = piece.points.filter((point) => point.low !== null && point.high !== null);
    if (banded.length > 1) {
      const upper = banded.map((point) => `${x(point)} ${y(point.high)}`);
      const lower = banded.map((point) => `${x(point)} ${y(point.low)}`).reverse();
      found.push(svg("path", { class: `band ${kind}`, d: `M${upper.join("L")}L${lower.join("L")}Z` }));
    }
    if (piece.points.length > 1)
      found.push(svg("path", { class: `line ${kind}`, d: `M${piece.points.map((point) => `${x(point)} ${y(point.value)}`).join("L")}` }));
    else found.push(svg("circle", { class: `dot ${kind}`, cx: x(piece.points[0]), cy: y(piece.points[0].value), r: 2 }));
  }
  return found;
}

function hover(picture, tip, scale, { series, write, width, height, step, marks }) {
  const cursor = svg("line", { class: "cursor", y1: TOP, y2: height - BOTTOM, visibility: "hidden" });
  picture.append(cursor);
  const starts = [...new Set(series.flatMap((one) => one.points.map((point) => point.x)))].sort((a, b) => a - b);
  let now = -1;
  const show = (at) => {
    now = Math.min(Math.max(at, 0), starts.length - 1);
    const start = starts[now];
    if (start === undefined) return;
    const found = series.map((one, at) => [one, at, one.points.find((point) => point.x === start)]).filter(([, , point]) => point);
    const windows = found[0][2].windows || 1, middle = scale.x(start + (step * windows) / 2);
    cursor.setAttribute("x1", middle); cursor.setAttribute("x2", middle); cursor.setAttribute("visibility", "visible");
    const near = marks.filter((mark) => mark.x >= start && mark.x < start + step * windows);
    tip.replaceChildren(
      el("div", { class: "when", title: utc(start) }, `${time(start)} – ${clock(start + step * windows)}`, el("span", { class: "utc" }, utc(start))),
      ...found.map(([one, at, point]) => said(one, one.colour ?? at, point, write)),
      ...near.map((mark) => el("div", { class: `happened ${mark.kind}` }, shown(mark.text))),
    );
    tip.hidden = false;
    tip.style.left = middle > width / 2 ? "" : `${middle + 10}px`;
    tip.style.right = middle > width / 2 ? `${width - middle + 10}px` : "";
  };
  const hide = () => { tip.hidden = true; cursor.setAttribute("visibility", "hidden"); };
  picture.addEventListener("pointermove", (event) => {
    const ms = scale.at(event.clientX - picture.getBoundingClientRect().left);
    let at = starts.findLastIndex((start) => start <= ms);
    show(at < 0 ? 0 : at);
  });
  picture.addEventListener("pointerleave", hide);
  picture.addEventListener("blur", hide);
  picture.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -1e9, End: 1e9 }[event.key];
    if (event.key === "Escape") hide();
    if (!by) return;
    event.preventDefault();
    show((now < 0 ? starts.length : now) + by);
  });
}

function said(one, at, point, write) {
  const interval = point.low === null && point.high === null ? "" :
    ` [${write(point.low)}, ${write(point.high)}]`;
  const many = point.windows > 1 ? ` · ${point.windows} windows` : "";
  const state = one.timeless ? "" : point.final ? " · final" : ` · provisional, revision ${point.revision}`;
  return el("div", { class: `key c${at}` }, shown(one.name), " ", el("b", null, write(point.value)), interval,
    el("span", { class: "dim" }, `${point.count === null ? "" : ` · n = ${point.count.toLocaleString("en-US")}`}${many}${state}`));
}

// A line of a table: a few values without axes; the last one has a dot.
export function spark(values, { width = 96, height = 22, bars = false, mean = null, label = "" } = {}) {
  const there = values.filter((value) => value !== null);
  const picture = svg("svg", { class: "spark", width, height, role: "img", "aria-label": label });
  if (!there.length) return picture;
  let least = bars ? 0 : Math.min(...there, mean ?? Infinity), most = Math.max(...there, mean ?? -Infinity);
  if (least === most) { least -= 1; most += 1; }
  const x = (at) => 2 + (at / Math.max(values.length - 1, 1)) * (width - 5);
  const y = (value) => height - 2 - ((value - least) / (most - least)) * (height - 4);
  if (bars) {
    const each = (width - 2) / values.length;
    values.forEach((value, at) => {
      if (value !== null) picture.append(svg("rect", { class: "bar", x: 1 + at * each, y: y(value), width: Math.max(1, each - 1), height: height - 1 - y(value) }));
    });
    return picture;
  }
  if (mean !== null) picture.append(svg("line", { class: "usual", x1: 0, x2: width, y1: y(mean), y2: y(mean) }));
  let path = "", gap = true;
  values.forEach((value, at) => {
    if (value !== null) path += `${gap ? "M" : "L"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
    gap = value === null;
  });
  const last = values.findLastIndex((value) => value !== null);
  picture.append(svg("path", { class: "line c0", d: path }), svg("circle", { class: "dot c0", cx: x(last), cy: y(values[last]), r: 2 }));
  return picture;
}
