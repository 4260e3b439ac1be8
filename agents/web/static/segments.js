// Segments: whom a model is worse for, how much of a drop is theirs, and fairness.

import { lines, spark } from "./chart.js";
import { choice, extent, heading, pages, points, ranges, search } from "./choosing.js";
import { el, empty, panel, records, shown } from "./dom.js";
import { count, NONE, number, percent, writes } from "./format.js";
import { table } from "./table.js";

const SIZE = 25;

export function draw(place, answer, page) {
  const { facts } = answer;
  place.replaceChildren(
    ...heading("Segments", facts, page,
      facts.qualities.length > 1 && choice("Metric", "metric", facts.qualities.map((name) => [name, shown(name)]), facts.drawn, page),
      ranges(facts, page)),
    list(answer, page),
    el("div", { class: "grid-2" }, ...[overTime(answer, page), traffic(answer, page), ...fairness(answer, page)].filter(Boolean)),
  );
}

function list({ panels, facts }, page) {
  const rows = records(panels.segments);
  const { sort = "worse" } = page.parameters;
  return panel(`Segments by ${shown(facts.drawn)}`, { csv: page.csv("segments"), wide: true, notes: panels.segments.notes },
    facts.segments > 5 && el("div", { class: "tools" }, search(page, "segments")),
    rows.length
      ? table(columns(facts, page), rows, { label: "Segments", sort, down: false, onsort: (by) => page.go({ sort: by, page: null }), rowClass: (row) => (row.segment === facts.segment ? "chosen" : null) })
      : nothing(facts),
    pages(facts, page, Number(page.parameters.size ?? SIZE)));
}

function nothing(facts) {
  if (!facts.segments) return empty("Predictions are sent without segments: ", el("code", null, 'segments={"country": "FR"}'), " counts each of them on its own.");
  return empty(facts.drawn ? "No segment has labels in these windows, or none is called like that." : "No labels yet: nothing tells how good it is.");
}

function columns(facts, page) {
  const write = writes(facts.drawn);
  return [
    { title: "Segment", sort: "segment", kind: "name", cell: (row) => el("a", { href: page.to("segments", { ...page.parameters, model: facts.model, version: facts.version, segment: row.segment }), "aria-current": row.segment === facts.segment ? "true" : null }, shown(row.segment)) },
    { title: "now", number: true, help: `${facts.drawn}, newer half; 95 % interval`, cell: (row) => el("span", { title: row.low === null ? "" : `${write(row.low)} – ${write(row.high)}` }, write(row.value)) },
    { title: "against the whole", number: true, sort: "worse", help: "How much worse than the whole model; bold: more than its interval explains", cell: (row) => against(row, write) },
    { title: "before", number: true, narrow: false, help: "Older half", cell: (row) => write(row.before) },
    { title: "of the drop", number: true, sort: "share_of_drop", help: "Part of what the whole model changed by: segments of a key add up to 100 %. Exact for means over labels, such as accuracy", cell: (row) => (row.share_of_drop === null ? NONE : part(row.share_of_drop)) },
    { title: "of traffic", number: true, sort: "share", cell: (row) => el("span", { title: `before: ${percent(row.share_before)}` }, percent(row.share)) },
    { title: "last windows", narrow: false, cell: (row) => spark(row.last, { label: `the last ${row.last.length} windows` }) },
    { title: "labels", number: true, narrow: false, cell: (row) => count(row.labels) },
  ];
}

function against(row, write) {
  if (row.worse === null) return NONE;
  const worse = row.worse > 0;
  return el("span", { class: row.beyond ? "beyond" : "", title: row.beyond ? "more than its interval explains" : "within its interval" }, `${write(Math.abs(row.worse))} ${worse ? "worse" : "better"}`);
}

function part(share) {
  const bar = el("i", { class: share > 0 ? "worse" : "" });
  bar.style.width = `${Math.min(Math.max(share, 0), 1) * 100}%`;
  return el("span", { class: "part" }, el("span", { class: "meter", "aria-hidden": "true" }, bar), `${share < 0 ? "−" : ""}${percent(Math.abs(share))}`);
}

function overTime({ panels, facts }, page) {
  if (!panels.segment) return null;
  const own = records(panels.segment), whole = records(panels.whole);
  const series = [
    { name: facts.segment, points: points(own, facts.drawn) },
    { name: "the whole model", points: points(whole, facts.drawn) },
  ];
  return panel(`${shown(facts.drawn)} of ${shown(facts.segment)}`, { csv: page.csv("segment"), notes: panels.segment.notes },
    lines({ series, ...extent(whole, facts), write: writes(facts.drawn), height: 220, label: `${facts.drawn} of a segment and of the whole` }));
}

function traffic({ panels, facts }, page) {
  if (!panels.segment) return null;
  const rows = records(panels.segment);
  return panel(`Predictions of ${shown(facts.segment)}`, { csv: page.csv("segment") },
    lines({ series: [{ name: "predictions", points: points(rows, "predictions") }], ...extent(records(panels.whole), facts), write: count, height: 220, label: "predictions of a segment" }));
}

function fairness({ panels, facts }, page) {
  const rows = records(panels.fairness);
  const metrics = [...new Set(rows.map((row) => row.metric))];
  if (!metrics.length) return facts.segments ? [panel("Fairness", {}, empty("Not computed. In the monitors file: ", el("code", null, "metrics: {include: [selection_rate_ratio, recall_difference, error_difference]}")))] : [];
  return metrics.map((metric) => panel(shown(metric), { csv: page.csv("fairness"), help: facts.help[metric.split(":")[0]] },
    el("p", { class: "dim sub" }, facts.help[metric.split(":")[0]]),
    lines({ series: [{ name: metric, points: points(rows, metric) }], ...extent(rows, facts), write: number, label: `${metric} over time` })));
}
