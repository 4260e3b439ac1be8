// Pipeline: workers, what became of records, what could not be used, what costs most, how old it is.

import { when } from "./choosing.js";
import { el, empty, panel, records, shown } from "./dom.js";
import { count, duration, NONE, number, percent } from "./format.js";
import { table } from "./table.js";

export function draw(place, answer, page) {
  const { facts } = answer;
  place.replaceChildren(
    el("h1", null, facts.recording ? "Recording" : "Pipeline"),
    facts.recording ? recorded(facts.recording) : told(facts, page),
    ...PANELS.map(([name, make]) => answer.panels[name] && make(answer.panels[name], facts, page)).filter(Boolean),
  );
}

const tile = (value, text) => el("div", { class: "tile plain" }, el("b", null, value), el("span", null, text));

const recorded = (facts) => el("div", { class: "tiles" },
  tile(facts.lines.toLocaleString("en-US"), "records"),
  facts.readings > 0 && tile(facts.readings.toLocaleString("en-US"), "readings of hosts"),
  tile(facts.metrics.toLocaleString("en-US"), "metrics"),
  tile(duration(facts.disorder_ms), "out of order by up to"));

function told(facts, page) {
  if (page.parameters.at) return el("p", { class: "dim" }, "Workers tell how they are now, not how they were: ", el("a", { href: page.to("pipeline") }, "this screen is of now."));
  if (!facts.told) return el("p", { class: "dim" }, "Workers, dead letters and costs are shown where the page reads Kafka, too: ", el("code", null, "driftline web --bootstrap-servers …"), ".");
  if (facts.told.wrong) return el("p", { class: "dim" }, shown(facts.told.wrong));
  return facts.told.workers ? "" : empty("No worker has told of itself within the last minute: ", el("code", null, "driftline worker"), ".");
}

const PANELS = [
  ["workers", workers], ["lag", lag], ["clock", clock], ["fates", fates], ["letters", letters], ["costs", costs], ["models", models], ["remarks", remarks], ["history", history], ["gaps", gaps],
];

// A share as a bar beside its number.
function part(share) {
  const bar = el("i", null);
  bar.style.width = `${Math.min(share, 1) * 100}%`;
  return el("span", { class: "part" }, el("span", { class: "meter", "aria-hidden": "true" }, bar), percent(share));
}

function plain(title, name, columns, { help, none, wide = true } = {}) {
  return (found, _facts, page) => {
    const rows = records(found);
    if (!rows.length && !none) return null;
    return panel(title, { csv: page.csv(name), wide, help, notes: found.notes }, rows.length ? table(columns, rows, { label: title }) : empty(none));
  };
}

const whole = (key, title) => ({ title, number: true, cell: (row) => (row[key] === null ? NONE : row[key].toLocaleString("en-US")) });

function workers(found, facts, page) {
  return plain("Workers", "workers", [
    { title: "Worker", kind: "name", cell: (row) => [shown(row.worker), el("span", { class: "dim" }, ` ${shown(row.host)}`)] },
    { title: "State", cell: (row) => (row.ready === "ready" ? "ready" : el("span", { class: "beyond" }, shown(row.ready))) },
    { title: "behind", number: true, help: "Records that are not read yet", cell: (row) => count(row.lag) },
    { title: "records", number: true, cell: (row) => count(row.records) },
    { title: "µs a record", number: true, narrow: false, help: "CPU time", cell: (row) => number(row.cpu_us_per_record) },
    { title: "models", number: true, narrow: false, cell: (row) => count(row.models) },
    { title: "pending", number: true, narrow: false, help: "Predictions that wait for a label", cell: (row) => count(row.pending_predictions) },
    { title: "Partitions", narrow: false, kind: "text", cell: (row) => shown(Object.entries(row.partitions).map(([stage, numbers]) => `${stage}: ${numbers.join(", ")}`).join("; ")) },
    { title: "up", number: true, narrow: false, cell: (row) => duration(row.uptime_s * 1000) },
    { title: "told", number: true, narrow: false, cell: (row) => when(row.at_ms) },
  ])(found, facts, page);
}

function lag(found, facts, page) {
  return plain("Records behind", "lag", [{ title: "Topic", cell: (row) => shown(row.topic) }, whole("records", "records")])(found, facts, page);
}

function clock(found, facts, page) {
  return plain("Event time", "clock", [
    { title: "Stage", cell: (row) => shown(row.stage) },
    { title: "clock of the slowest partition", number: true, cell: (row) => when(row.clock_ms) },
    { title: "behind now", number: true, cell: (row) => duration(Math.max(0, facts.at_ms - row.clock_ms)) },
    { title: "Worker", narrow: false, cell: (row) => shown(row.worker) },
  ], { help: "What happened before it is counted; windows that end before it are due" })(found, facts, page);
}

function fates(found, facts, page) {
  return plain("What became of records", "fates", [
    { title: "Fate", cell: (row) => shown(row.fate) }, whole("records", "records"), { title: "share", number: true, cell: (row) => part(row.share) },
  ], { none: "No record was counted yet." })(found, facts, page);
}

function letters(found, facts, page) {
  return plain("Dead letters", "letters", [
    { title: "Reason", cell: (row) => shown(row.reason) },
    whole("records", "records"),
    { title: facts.recording ? "First" : "Newest", narrow: false, kind: "text", cell: (row) => [shown(row.where), row.newest_ms !== null && [" ", when(row.newest_ms)]] },
    { title: "What is wrong", kind: "text", cell: (row) => shown(row.detail) },
    { title: "Record", kind: "text", narrow: false, cell: (row) => el("code", null, shown(row.example)) },
  ], { none: "Every record could be used.", help: "Records that could not be used" })(found, facts, page);
}

function costs(found, facts, page) {
  return plain("CPU by kind of work", "costs", [
    { title: "Work", cell: (row) => shown(row.work) },
    { title: "seconds", number: true, cell: (row) => number(row.seconds) },
    { title: "share", number: true, cell: (row) => part(row.share) },
  ])(found, facts, page);
}

function models(found, facts, page) {
  return plain("Most expensive models", "models", [
    { title: "Model", kind: "name", cell: (row) => [el("a", { href: page.to("model", { model: row.model, version: row.version }) }, shown(row.model) || "(no name)"), el("span", { class: "dim" }, ` ${shown(row.version)}`)] },
    { title: "CPU seconds", number: true, cell: (row) => number(row.seconds) },
    whole("rows", "rows"), { ...whole("values", "values"), narrow: false }, { ...whole("windows", "windows"), narrow: false },
  ], { help: "In the monitor, estimated by what was done for it" })(found, facts, page);
}

function remarks(found, facts, page) {
  return plain("Worth knowing", "remarks", [{ title: "", kind: "text", cell: (row) => shown(row.remark) }])(found, facts, page);
}

function history(found, facts, page) {
  return plain("The history", "history", [
    { title: "Topic", cell: (row) => shown(row.topic) },
    whole("partitions", "partitions"),
    { ...whole("records", "next offsets"), help: "Sum over partitions" },
    { title: "newest record", number: true, narrow: false, cell: (row) => when(row.newest_ms) },
    { title: "its sink was seen", number: true, cell: (row) => el("span", { class: facts.at_ms - row.written_at_ms > 60e3 ? "beyond" : "" }, when(row.written_at_ms)) },
  ], { none: "Nothing was written into this history yet." })(found, facts, page);
}

function gaps(found, facts, page) {
  return plain("What the history does not have", "gaps", [
    { title: "Topic", cell: (row) => shown(row.partition < 0 ? row.topic : `${row.topic}/${row.partition}`) },
    { title: "from", number: true, cell: (row) => when(row.after_ms) },
    { title: "until", number: true, cell: (row) => when(row.until_ms) },
    { title: "Why", kind: "text", cell: (row) => shown(row.what) },
  ], { none: "Nothing is missing that was published since it began." })(found, facts, page);
}
