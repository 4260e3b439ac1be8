// Model: quality over time, and what it goes with.

import { lines } from "./chart.js";
import { el, empty, panel, records, shown } from "./dom.js";
import { health } from "./fleet.js";
import { count, duration, NONE, number, percent, time, utc, writes } from "./format.js";
import { histogram, reliability } from "./shapes.js";
import { table } from "./table.js";

const BESIDE = {
  coverage: ["Labelled", "coverage", "Share of predictions that have a label by now"],
  traffic: ["Traffic", "predictions", "Predictions, and how many of them have a label"],
  latency: ["Latency", "latency_p50_ms", "Quantiles of latency_ms"],
  label_delay: ["Label delay", "label_delay_p50_ms", "From prediction to label"],
  errors: ["Failed requests", "error_rate", "Share of predictions whose request failed"],
  positives: ["Said and true", "prediction_share", "Share of positive answers, of positive labels, and the mean score: apart, answers are too many or too few"],
  calibration: ["Calibration", "ece", "How far off probabilities are: ece on average, calibration_bias with its sign"],
};
const OPTIONAL = ["positives", "calibration"]; // which not every kind of model has
const RANGES = [3600e3, 6 * 3600e3, 86400e3, 2 * 86400e3, 7 * 86400e3, 30 * 86400e3, 90 * 86400e3];

export function draw(place, answer, page) {
  const { facts, panels } = answer;
  const marks = happened(panels, facts);
  place.replaceChildren(...[
    head(facts, page),
    tools(facts, page),
    quality(answer, marks, page),
    panels.changed ? changed(panels.changed, facts, page) : null,
    el("div", { class: "grid-2" }, Object.entries(BESIDE).filter(([name]) => panels[name].rows.length || !OPTIONAL.includes(name)).map(([name, [title, metric, help]]) => beside({ name, title, metric, help }, answer, marks, page)),
      panels.scores && scores(panels.scores, facts, page), panels.reliability && reliable(panels.reliability, facts, page),
      panels.confusion && !panels.classes && confusion(panels.confusion, page)),
    panels.confusion && panels.classes && confusion(panels.confusion, page),
    panels.classes && classes(panels.classes, page),
    alerts(panels.alerts, page),
    versions(panels.versions, facts, page),
  ].filter(Boolean));
}

function head(facts, page) {
  return el("div", { class: "title" },
    el("h1", null, shown(facts.model) || "(no name)"), health(facts.health),
    facts.owner && el("span", { class: "dim" }, `owner ${shown(facts.owner)}`),
    Object.entries(facts.tags).map(([key, value]) => el("span", { class: "tag" }, shown(`${key}=${value}`))),
    el("a", { class: "back", href: page.to("fleet") }, "all models"));
}

function tools(facts, page) {
  const select = (label, key, choices, now) => el("label", null, `${label} `, el("select", { onchange: (event) => page.go({ [key]: event.target.value }) },
    choices.map(([value, text]) => el("option", { value, selected: String(value) === String(now) }, text))));
  return el("div", { class: "tools" },
    select("Metric", "metric", [...new Set([facts.drawn, ...facts.qualities])].map((name) => [name, shown(name)]), facts.drawn),
    facts.versions.length > 1 && select("Version", "version", facts.versions.map((name) => [name, shown(name) || "(none)"]), facts.version),
    facts.lengths_ms.length > 1 && select("Windows of", "length_ms", facts.lengths_ms.map((ms) => [ms, duration(ms)]), facts.length_ms),
    facts.lengths_ms.length === 1 && el("span", { class: "dim" }, `windows of ${duration(facts.length_ms)}`),
    facts.versions.length === 1 && el("span", { class: "dim" }, `version ${shown(facts.version) || "(none)"}`),
    facts.segment && el("span", { class: "tag" }, shown(facts.segment)),
    since(page),
    el("span", { class: "ranges", role: "group", "aria-label": "Range" }, RANGES.map((ms) =>
      el("button", { type: "button", "aria-pressed": String(ms === facts.range_ms), onclick: () => page.go({ range_ms: ms }) }, duration(ms)))));
}

const AGO = [600e3, 3600e3, 6 * 3600e3, 86400e3, 7 * 86400e3];

// Compares with what was known before: late labels change what windows say.
function since(page) {
  const now = page.parameters.since ? Number(page.parameters.since) : null;
  const at = Number(page.parameters.at ?? Date.now());
  return el("label", null, "Changed since ", el("select", { onchange: (event) => page.go({ since: event.target.value }) },
    el("option", { value: "" }, "–"),
    now && el("option", { value: now, selected: true }, time(now)),
    AGO.map((ms) => el("option", { value: Math.round(at - ms) }, `${duration(ms)} before`))));
}

function changed(found, facts, page) {
  const rows = records(found), write = writes(facts.drawn);
  const told = (row, when) => (row[`value_${when}`] === null ? "not there" : [write(row[`value_${when}`]), el("span", { class: "dim" }, ` n = ${row[`count_${when}`]}${row[`final_${when}`] ? ", final" : ""}`)]);
  return panel(`What changed since ${time(Number(page.parameters.since))}`, { csv: page.csv("changed"), wide: true, notes: rows.length > 50 ? [`the newest 50 of ${rows.length}; all are in the CSV`] : [] },
    rows.length ? table([
      { title: "Window", number: true, cell: (row) => el("time", { title: utc(row.window_start_ms) }, time(row.window_start_ms)) },
      { title: "before", number: true, cell: (row) => told(row, "before") },
      { title: "after", number: true, cell: (row) => told(row, "after") },
      { title: "change", number: true, cell: (row) => (row.value_before === null || row.value_after === null ? NONE : `${row.value_after >= row.value_before ? "+" : "−"}${write(Math.abs(row.value_after - row.value_before))}`) },
      { title: "revisions", number: true, narrow: false, cell: (row) => `${row.revision_before ?? NONE} → ${row.revision_after ?? NONE}` },
    ], rows.slice(-50).reverse(), { label: "What changed" }) : empty("Nothing of this metric and range."));
}

function happened(panels, facts) {
  const found = records(panels.alerts)
    .filter((alert) => alert.state !== "retracted" && alert.kind !== "incident" && (!alert.version || alert.version === facts.version))
    .map((alert) => ({ x: alert.began_ms, end: alert.ended_ms, kind: alert.severity, text: `${alert.severity}: ${alert.message}` }));
  return found.concat(records(panels.versions).filter((one) => one.first_ms !== null && one.version !== "")
    .map((one) => ({ x: one.first_ms, kind: "version", text: `version ${one.version} begins` })));
}

const points = (panel, metric) => records(panel).filter((row) => row.metric === metric).map((row) => ({ ...row, x: row.window_start_ms }));

// A range that is longer than what there is shows what there is.
function extent(panel, facts) {
  const starts = panel.rows.map((row) => row[0]);
  return { first: starts.length ? Math.max(facts.first_ms, Math.min(...starts)) : facts.first_ms, last: facts.last_ms, step: facts.length_ms };
}

function quality({ panels, facts }, marks, page) {
  const found = points(panels.quality, facts.drawn);
  const help = facts.help[facts.drawn];
  const better = { higher: "higher is better", lower: "lower is better", "nearer zero": "nearer zero is better" }[facts.better];
  return panel(shown(facts.drawn), { csv: page.csv("quality"), wide: true, help, notes: panels.quality.notes },
    el("p", { class: "dim sub" }, [help && shown(help), better].filter(Boolean).join("; "), ". Band: 95 % interval. Dashed and shaded: provisional, labels may still change it."),
    found.length
      ? lines({ series: [{ name: facts.drawn, points: found }, ...then(panels, facts, page)], ...extent(panels.traffic.rows.length ? panels.traffic : panels.quality, facts), marks, write: writes(facts.drawn), height: 260, label: `${facts.drawn} over time` })
      : empty("No window of this range has it: it needs labels."));
}

// What was known at the time that is compared with, as a line of its own.
const then = (panels, facts, page) => !panels.then ? [] :
  [{ name: `as known ${time(Number(page.parameters.since))}`, timeless: true, colour: 9, points: points(panels.then, facts.drawn).map((point) => ({ ...point, low: null, high: null, final: true })) }];

function beside({ name, title, metric, help }, { panels, facts }, marks, page) {
  const names = [...new Set(panels[name].rows.map((row) => row[1]))];
  const series = names.map((one) => ({ name: one, points: points(panels[name], one) }));
  return panel(title, { csv: page.csv(name), help, notes: series.length ? panels[name].notes : [] },
    series.length
      ? lines({ series, ...extent(panels.traffic, facts), every: facts.every, marks: marks.filter((mark) => mark.kind === "version"), write: writes(metric), named: true, label: `${title} over time` })
      : empty(name === "latency" ? "No latency: predictions are sent without latency_ms." : name === "label_delay" ? "No delays: no label came apart from its prediction." : name === "coverage" ? "No labels yet." : "None in this range."));
}

const MOST_CLASSES = 12;

// Shares of what is true in each column: what the colour shows is said in numbers, too.
function confusion(found, page) {
  const rows = records(found), cells = new Map(rows.map((row) => [JSON.stringify([row.predicted, row.true]), row.count]));
  const many = (said, is) => cells.get(JSON.stringify([said, is])) ?? 0;
  const sizes = new Map();
  for (const row of rows) for (const name of [row.predicted, row.true]) sizes.set(name, (sizes.get(name) ?? 0) + row.count);
  const every = [...sizes.keys()].sort((one, other) => sizes.get(other) - sizes.get(one));
  const names = rows.length === 4 && sizes.has("positive") && sizes.has("negative") ? ["positive", "negative"] : every.slice(0, MOST_CLASSES);
  const row = (said) => el("tr", null, el("th", { scope: "row" }, `said ${shown(said)}`), names.map((is) => {
    const all = every.reduce((sum, one) => sum + many(one, is), 0), own = many(said, is);
    const box = el("td", { class: `cell ${said === is ? "right" : "wrong"}` }, el("b", null, own.toLocaleString("en-US")), all ? ` ${percent(own / all)}` : "");
    box.style.setProperty("--part", all ? own / all : 0);
    return box;
  }));
  const notes = [...found.notes, ...(every.length > names.length ? [`the ${names.length} largest of ${every.length} classes; all are in the CSV`] : [])];
  return panel("Right and wrong", { csv: page.csv("confusion"), notes, wide: names.length > 3 },
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Right and wrong, table" },
      el("table", { class: "confusion" }, el("thead", null, el("tr", null, el("td"), names.map((is) => el("th", { scope: "col" }, `is ${shown(is)}`)))),
        el("tbody", null, names.map(row)))));
}

const hour = (of) => `hour from ${time(of.start_ms)}`;

function scores(found, facts, page) {
  const own = facts.hours.scores;
  return panel(own.series === "score" ? "Scores" : "Predictions", { csv: page.csv("scores"), notes: [hour(own), ...found.notes], help: "Beside the reference, by quantiles of the reference" },
    histogram(records(found), { label: "Distribution of scores, and of the reference" }));
}

function reliable(found, facts, page) {
  const points = records(found);
  return panel("Said and came true", { csv: page.csv("reliability"), notes: [hour(facts.hours.reliability)], help: "Probabilities against the share of positives: on the dashed line they are right" },
    points.length ? reliability(points, { label: "Reliability of probabilities" }) : empty("No labels yet."));
}

function classes(found, page) {
  return panel("Classes", { csv: page.csv("classes"), wide: true, notes: found.notes },
    table(found.columns.map((name, at) => ({ title: name, number: at > 0, kind: at ? "" : "name", cell: (row) => (at ? (at === 1 ? count : number)(row[name]) : shown(row[name]) || "(empty)") })), records(found), { label: "Classes" }));
}

function alerts(found, page) {
  const rows = records(found);
  return panel("Alerts", { csv: page.csv("alerts"), wide: true, notes: found.notes },
    rows.length ? table([
      { title: "State", cell: (row) => el("span", { class: `state ${row.state}` }, row.state) },
      { title: "Severity", cell: (row) => (row.severity in { critical: 1, warning: 1, info: 1 } ? health(row.severity) : shown(row.severity)) },
      { title: "Began", number: true, cell: (row) => el("time", { title: utc(row.began_ms) }, time(row.began_ms)) },
      { title: "Lasted", number: true, narrow: false, cell: (row) => (row.ended_ms === null ? "open" : duration(row.ended_ms - row.began_ms)) },
      { title: "Monitor", narrow: false, cell: (row) => shown(row.monitor) },
      { title: "Where", narrow: false, cell: (row) => shown([row.version, row.segment].filter(Boolean).join(" / ")) || NONE },
      { title: "What", kind: "text", cell: (row) => shown(row.message) },
    ], rows, { label: "Alerts" }) : empty("No alert. What is watched by default, and rules of your own: the monitors file (driftline monitors apply)."));
}

function versions(found, facts, page) {
  const rows = records(found);
  const metrics = found.columns.slice(3);
  return panel("Versions side by side", { csv: page.csv("versions"), wide: true, notes: found.notes },
    table([
      { title: "Version", cell: (row) => el("a", { href: page.to("model", { ...page.parameters, version: row.version }), "aria-current": row.version === facts.version ? "true" : null }, shown(row.version) || "(none)") },
      ...metrics.map((name) => ({ title: name, number: true, cell: (row) => writes(name)(row[name]) })),
      { title: "first window", number: true, narrow: false, cell: (row) => el("time", { title: utc(row.first_ms) }, time(row.first_ms)) },
      { title: "newest window", number: true, narrow: false, cell: (row) => el("time", { title: utc(row.window_start_ms) }, time(row.window_start_ms)) },
    ], rows, { label: "Versions" }));
}
