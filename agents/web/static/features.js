// Features: which have moved most against what chance does, and one of them over time.

import { lines, spark } from "./chart.js";
import { extent, heading, pages, points, ranges, search } from "./choosing.js";
import { categories, histogram } from "./shapes.js";
import { el, empty, panel, records, shown } from "./dom.js";
import { count, NONE, number, percent, time, writes } from "./format.js";
import { table } from "./table.js";

const SIZE = 25;
const SHARES = ["missing_rate", "unseen_rate", "text_rate", "out_of_range_rate"];
const TITLES = {
  distance: "Distance from the baseline", shares: "Missing, unseen, texts", mean: "Mean", quantiles: "Quantiles", std: "Spread", distinct: "Different values",
};
const NAMES = { missing_rate: "missing", unseen_rate: "unseen", text_rate: "texts", out_of_range_rate: "out of range", std: "spread" };

export function draw(place, answer, page) {
  const { facts, panels } = answer;
  place.replaceChildren(
    ...heading("Features", facts, page, ranges(facts, page)),
    list(answer, page),
    facts.drawn && el("h2", { class: "apart" }, `Feature ${shown(facts.drawn)}`),
    facts.drawn ? el("div", { class: "grid-2" }, hours(answer, page), distances(answer, page), Object.keys(TITLES).slice(1).map((name) => chart(name, answer, page))) : "",
  );
}

function list({ panels, facts }, page) {
  const rows = records(panels.features);
  const { sort = "drift", down } = page.parameters;
  return panel("Features", { csv: page.csv("features"), wide: true, notes: notes(facts) },
    facts.features > 5 && el("div", { class: "tools" }, search(page, "features")),
    rows.length
      ? table(columns(panels.features.columns, facts, page), rows, {
        label: "Features", sort, down: down === "true", onsort: (by) => page.go({ sort: by, page: null }),
        rowClass: (row) => (row.feature === facts.drawn ? "chosen" : null),
      })
      : empty(facts.features ? "No feature is called like that." : "Predictions are sent without features: nothing to compare."),
    pages(facts, page, Number(page.parameters.size ?? SIZE)));
}

function notes(facts) {
  if (!facts.features) return [];
  const found = [];
  if (!facts.compared) found.push("Nothing is compared yet: the first baseline is complete three days after the first predictions; a table (driftline profile) is one at once.");
  else found.push(`${facts.beyond} of ${facts.features} features are beyond what chance explains in this window. Times chance: the largest distance, in parts of what 95 % of unchanged windows stay below.`);
  return found;
}

function columns(names, facts, page) {
  const distances = names.filter((name) => names.includes(`${name}_chance`));
  const shares = SHARES.filter((name) => names.includes(name));
  const plain = ["mean", "std"].filter((name) => names.includes(name));
  return [
    { title: "Feature", sort: "feature", kind: "name", cell: (row) => el("a", { href: page.to("features", { ...page.parameters, feature: row.feature }), "aria-current": row.feature === facts.drawn ? "true" : null }, shown(row.feature) || "(no name)") },
    { title: "times chance", number: true, sort: "drift", help: "The largest distance from the baseline, in times of what chance does; what is beyond first", cell: times },
    ...distances.map((name) => ({ title: name, number: true, narrow: name === "psi", help: facts.help[name], cell: (row) =>
      el("span", { class: row.beyond.includes(name) ? "beyond" : "dim", title: row[name] === null ? "" : `chance: ${number(row[`${name}_chance`])}` }, number(row[name])) })),
    ...shares.map((name) => ({ title: NAMES[name], number: true, sort: ["missing_rate", "unseen_rate"].includes(name) ? name : undefined, narrow: name === "missing_rate", help: facts.help[name], cell: (row) =>
      el("span", { class: row.beyond.includes(name) ? "beyond" : "" }, percent(row[name])) })),
    { title: "last windows", narrow: false, cell: (row) => spark(row.before, { label: `the last ${row.before.length} windows` }) },
    ...plain.map((name) => ({ title: NAMES[name] ?? name, number: true, narrow: false, help: facts.help[name], cell: (row) => number(row[name]) })),
    { title: "values", number: true, narrow: false, cell: (row) => count(row.count) },
  ];
}

// A bar of how often chance fits in, up to five times; the line is what chance does.
function times(row) {
  if (row.times_chance === null) return row.beyond.length ? el("span", { class: "beyond" }, "beyond") : NONE;
  const bar = el("i", { class: row.beyond.length ? "worse" : "" });
  bar.style.width = `${Math.min(row.times_chance, 5) * 20}%`;
  return el("span", { class: "times", title: row.beyond.join(", ") || "within what chance explains" },
    el("span", { class: "meter", "aria-hidden": "true" }, bar), el("span", { class: row.beyond.length ? "beyond" : "" }, `${number(row.times_chance)} ×`));
}

// What its values are like in the newest hour that is told, before those of the reference.
function hours({ panels, facts }, page) {
  const { start_ms, missing, reference_missing } = facts.hour;
  const notes = start_ms === undefined ? [] : [`hour from ${time(start_ms)}${missing ? `; missing: ${percent(missing)}${reference_missing === null ? "" : `, reference ${percent(reference_missing)}`}` : ""}`];
  const drawn = (name, title, draw, help) => panels[name] && panel(title, { csv: page.csv(name), notes: [...notes, ...panels[name].notes], help },
    draw(records(panels[name]), { label: `${title} of ${shown(facts.drawn)}, and of the reference` }));
  if (start_ms === undefined) return panel("Values", {}, empty("What values are like is told of each hour that had 30 predictions, once it is over."));
  return [
    drawn("numbers", "Values", histogram, "Shares of values between quantiles of the reference"),
    drawn("categories", "Categories", categories, "Shares of each category; texts are told by a number, a hash of the text"),
  ];
}

function distances({ panels, facts }, page) {
  const rows = records(panels.distance);
  const names = [...new Set(rows.map((row) => row.metric))];
  if (!names.length) return panel(TITLES.distance, {}, empty("Not compared: there is no baseline yet."));
  return names.map((name) => {
    const found = points(rows, name);
    const value = found.map((point) => ({ ...point, low: null, high: null }));
    const chance = found.filter((point) => point.chance !== null).map((point) => ({ ...point, value: point.chance, low: null, high: null, count: null, final: false }));
    const series = [{ name, points: value }, chance.length && { name: "what chance does", points: chance, timeless: true }].filter(Boolean);
    return panel(`${TITLES.distance}: ${name}`, { csv: page.csv("distance"), help: facts.help[name], notes: panels.distance.notes },
      lines({ series, ...extent(rows, facts), every: facts.every, write: number, named: true, label: `${name} over time` }));
  });
}

function chart(name, { panels, facts }, page) {
  const rows = records(panels[name]);
  if (!rows.length) return null;
  const metrics = [...new Set(rows.map((row) => row.metric))];
  const series = metrics.map((metric) => ({ name: NAMES[metric] ?? metric, points: points(rows, metric) }));
  return panel(TITLES[name], { csv: page.csv(name), notes: panels[name].notes, help: metrics.map((metric) => facts.help[metric]).join("; ") },
    lines({ series, ...extent(rows, facts), every: facts.every, write: writes(metrics[0]), named: true, label: TITLES[name] }));
}
