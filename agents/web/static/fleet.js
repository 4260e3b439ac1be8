// Fleet: a line for every model, those in trouble first.

import { spark } from "./chart.js";
import { el, empty, panel, records, shown } from "./dom.js";
import { count, duration, NONE, number, percent, time, utc } from "./format.js";
import { table } from "./table.js";

export const HEALTH = {
  critical: ["▲", "critical"], warning: ["◆", "warning"], info: ["●", "info"], silent: ["○", "silent"], ok: ["✓", "ok"],
};

export const health = (name) => el("span", { class: `health ${name}` }, el("span", { "aria-hidden": "true" }, HEALTH[name][0]), " ", HEALTH[name][1]);

export function draw(place, answer, page) {
  const { facts } = answer;
  if (!facts.models) { place.replaceChildren(nothing(page)); return; }
  const rows = records(answer.panels.models);
  place.replaceChildren(
    el("h1", null, "Fleet"),
    tiles(facts, page),
    tools(facts, page),
    panel("Models", { csv: page.csv("models"), wide: true, notes: notes(facts, page) },
      rows.length ? list(rows, page) : empty("No model is like that. ", el("a", { href: page.to("fleet") }, "Show all")),
      pages(facts, page)),
  );
}

function nothing(page) {
  if (!page.news.ready) return empty("Reading the history …");
  if (page.parameters.at) return empty("Nothing was known at this time. ", el("a", { href: "#/fleet" }, "Back to now"));
  return panel("No models yet", {},
    el("p", null, "The history has no metrics. They come as soon as"),
    el("ol", null,
      el("li", null, "a model server publishes predictions (", el("code", null, "driftline.Publisher"), "),"),
      el("li", null, "a worker runs: ", el("code", null, "driftline worker --bootstrap-servers …"), ","),
      el("li", null, "and, unless this page reads Kafka itself, a sink writes the history: ", el("code", null, "driftline sink sql"), ".")),
    el("p", null, "To see all of it at once: ", el("code", null, "driftline demo"), "."));
}

function tiles(facts, page) {
  const chosen = page.parameters.health ?? "";
  const all = tile("", "all", count(facts.models), chosen === "", page);
  const each = facts.healths.map(([name, models]) => tile(name, [el("span", { "aria-hidden": "true" }, HEALTH[name][0]), " ", HEALTH[name][1]], count(models), chosen === name, page));
  return el("div", { class: "tiles" }, all, each,
    el("div", { class: "tile plain" }, el("b", null, count(facts.open_alerts)), el("span", null, "open alerts")),
    el("div", { class: "tile plain", title: "Of the newest window of each model that is over" }, el("b", null, count(facts.predictions)), el("span", null, "predictions")));
}

const tile = (name, text, value, pressed, page) =>
  el("button", { type: "button", class: `tile ${name}`, "aria-pressed": String(pressed), onclick: () => page.go({ health: name || null, page: null }) },
    el("b", null, value), el("span", null, text));

function tools(facts, page) {
  const search = page.kept("search", () => {
    let timer;
    const field = el("input", { type: "search", placeholder: "Search models ( / )", "aria-label": "Search models", maxlength: 256,
      oninput: () => { clearTimeout(timer); timer = setTimeout(() => page.go({ search: field.value, page: null }, { replace: true }), 250); } });
    return field;
  });
  if (document.activeElement !== search) search.value = page.parameters.search ?? "";
  const choice = (key, title, choices) => choices.length > 0 && el("select", { "aria-label": title, onchange: (event) => page.go({ [key]: event.target.value, page: null }) },
    el("option", { value: "" }, title),
    choices.map(([value, models]) => el("option", { value, selected: page.parameters[key] === value }, `${shown(value)} (${models})`)));
  return el("div", { class: "tools" }, search, choice("owner", "Any owner", facts.owners), choice("tag", "Any tag", facts.tags));
}

const notes = (facts, page) => [
  ...(page.news.ready !== false || page.parameters.at ? [] : ["The history is still being read: more models come."]),
  ...(facts.owners.length || facts.tags.length ? [] : ["Owners and tags are those that driftline monitors apply has told; without it, they appear with the first alert of a model whose monitors file names them."])];

function list(rows, page) {
  const { sort = "health", down } = page.parameters;
  return table(COLUMNS(page), rows, {
    label: "Models", sort, down: down === "true",
    onsort: (by, reverse) => page.go({ sort: by, down: reverse || null, page: null }),
  });
}

const COLUMNS = (page) => [
  { key: "model", title: "Model", sort: "model", kind: "name", cell: (row) => [
    el("a", { href: page.to("model", { model: row.model }) }, shown(row.model) || "(no name)"),
    row.version && el("span", { class: "dim" }, ` ${shown(row.version)}`)] },
  { key: "health", title: "Health", sort: "health", cell: (row) => el("span", { title: row.newest_alert && shown(row.newest_alert) }, health(row.health), row.open_alerts > 1 && el("span", { class: "dim" }, ` ${row.open_alerts}`)) },
  { key: "quality", title: "Quality", kind: "dim", narrow: false, cell: (row) => row.quality || NONE },
  { key: "value", title: "now", number: true, help: "Of the newest window that has labels; italic: provisional, it may still change",
    cell: (row) => el("span", { class: row.final ? "" : "provisional", title: interval(row) }, number(row.value)) },
  { key: "usual", title: "usual", number: true, narrow: false, help: "Median of the older half of the last 24 windows", cell: (row) => number(row.usual) },
  { key: "worse", title: "change", number: true, sort: "worse", help: "Of quality against what is usual; the bar is its size", cell: change },
  { key: "quality_before", title: "last windows", narrow: false, cell: (row) => spark(row.quality_before, { mean: row.usual, label: `quality of the last ${row.quality_before.length} windows` }) },
  { key: "coverage", title: "labelled", number: true, sort: "coverage", help: "Share of predictions with a label, in that window", cell: (row) => percent(row.coverage) },
  { key: "predictions", title: "predictions", number: true, sort: "predictions", help: "In the newest window that is over", cell: (row) => el("span", { title: `per ${duration(row.window_length_ms)}` }, count(row.predictions)) },
  { key: "predictions_before", title: "traffic", narrow: false, cell: (row) => spark(row.predictions_before, { bars: true, width: 72, label: "predictions of the last windows" }) },
  { key: "latency_p95_ms", title: "p95", number: true, narrow: false, sort: "latency_p95_ms", help: "Latency, 95 % quantile", cell: (row) => duration(row.latency_p95_ms) },
  { key: "error_rate", title: "errors", number: true, narrow: false, sort: "error_rate", help: "Share of requests that failed", cell: (row) => percent(row.error_rate) },
  { key: "window_start_ms", title: "newest window", number: true, narrow: false, cell: (row) => el("time", { title: utc(row.window_start_ms) }, time(row.window_start_ms)) },
  { key: "owner", title: "Owner", narrow: false, cell: (row) => [shown(row.owner), Object.entries(row.tags).map(([key, value]) => el("span", { class: "tag" }, shown(`${key}=${value}`)))] },
];

const interval = (row) => row.low === null ? "" : `95 % interval ${number(row.low)} – ${number(row.high)}${row.final ? ", final" : ", provisional"}`;

// Worse is to the left of the middle, better to the right, whatever the metric.
function change(row) {
  if (row.worse === null) return NONE;
  const part = row.usual ? row.worse / Math.abs(row.usual) : 0;
  const bar = el("i", { class: part > 0 ? "worse" : "better" });
  bar.style.width = `${Math.min(Math.abs(part) * 200, 50)}%`;
  const size = Math.abs(part * 100);
  return el("span", { class: "change", title: `${part > 0 ? "worse" : "better"} than usual by ${number(Math.abs(row.worse))}` },
    el("span", { class: "bar", "aria-hidden": "true" }, bar), `${size < 0.05 ? "±" : part > 0 ? "−" : "+"}${size.toFixed(1)} %`);
}

function pages(facts, page) {
  const size = Number(page.parameters.size ?? 50), now = Number(page.parameters.page ?? 0);
  const last = Math.max(0, Math.ceil(facts.found / size) - 1);
  const step = (to, text, label) => el("button", { type: "button", disabled: to < 0 || to > last, "aria-label": label, onclick: () => page.go({ page: to || null }) }, text);
  const from = facts.found ? now * size + 1 : 0;
  return el("div", { class: "pages" }, step(now - 1, "‹", "Page before"), el("span", null, `${from}–${Math.min((now + 1) * size, facts.found)} of ${facts.found}`), step(now + 1, "›", "Next page"));
}
