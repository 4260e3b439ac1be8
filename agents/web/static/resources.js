// Resources: hosts and what models ran on, each metric in a small chart with its quantiles.

import { lines } from "./chart.js";
import { choice, extent, pages, points, ranges, search, when } from "./choosing.js";
import { el, empty, panel, records, shown } from "./dom.js";
import { duration, writes } from "./format.js";
import { table } from "./table.js";

const SIZE = 25;
// What stands in the table of hosts, where any has it; the CSV has all.
const TOLD = {
  cpu_utilization: "CPU", memory_utilization: "memory", disk_utilization: "disk", gpu_utilization: "GPU",
  gpu_memory_utilization: "GPU memory", gpu_temperature_celsius: "GPU °C", gpu_throttled: "throttled", process_memory_bytes: "process",
};

export function draw(place, answer, page) {
  const { facts } = answer;
  if (!facts.hosts) {
    place.replaceChildren(el("h1", null, "Resources"), panel("No readings yet", {},
      el("p", null, "What hosts, GPUs and processes are busy with is published by ", el("code", null, "driftline watch-host --bootstrap-servers …"), "; with ", el("code", null, "--model fraud"), " it stands beside the quality of that model.")));
    return;
  }
  place.replaceChildren(
    el("h1", null, "Resources"),
    hosts(answer, page),
    ...(facts.host === null ? [] : [
      el("h2", { class: "apart" }, shown(facts.host)),
      el("div", { class: "tools" },
        facts.lengths_ms.length > 1
          ? choice("Windows of", "length_ms", facts.lengths_ms.map((ms) => [ms, duration(ms)]), facts.length_ms, page)
          : el("span", { class: "dim" }, `windows of ${duration(facts.length_ms)}`),
        ranges(facts, page)),
      el("div", { class: "grid-2" }, facts.groups.map((group) => chart(group, answer, page))),
    ]),
  );
}

function hosts({ panels, facts }, page) {
  const rows = records(panels.hosts);
  const there = Object.keys(TOLD).filter((name) => panels.hosts.columns.includes(name));
  return panel("Hosts, and models with readings", { csv: page.csv("hosts"), wide: true },
    facts.hosts > 5 && el("div", { class: "tools" }, search(page, "hosts")),
    rows.length ? table([
      { title: "Host", kind: "name", cell: (row) => el("a", { href: page.to("resources", { ...page.parameters, model: row.host }), "aria-current": row.host === facts.host ? "true" : null }, shown(row.host) || "(no name)") },
      ...there.map((name, at) => ({ title: TOLD[name], number: true, narrow: at < 2, cell: (row) => writes(name)(row[name]) })),
      { title: "newest window", number: true, narrow: false, cell: (row) => when(row.window_start_ms) },
    ], rows, { label: "Hosts", rowClass: (row) => (row.host === facts.host ? "chosen" : null) }) : empty("No host is called like that."),
    pages(facts, page, Number(page.parameters.size ?? SIZE)));
}

function chart(group, { panels, facts }, page) {
  const rows = records(panels.series);
  const series = group.map((name) => ({ name, points: points(rows, name) }));
  return panel(shown(group[0]), { csv: page.csv("series"), help: group.map((name) => facts.help[name]).join("; "), notes: panels.series.notes },
    lines({ series, ...extent(rows, facts), write: writes(group[0]), named: group.length > 1, label: `${group[0]} over time` }));
}
