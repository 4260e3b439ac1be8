// The heading of screens of one model: which one, which version, which windows, how far back.

import { el, shown } from "./dom.js";
import { health } from "./fleet.js";
import { duration, time, utc } from "./format.js";

const RANGES = [3600e3, 6 * 3600e3, 86400e3, 7 * 86400e3, 30 * 86400e3];
// What another model, version or length does not have.
const OTHERS = { version: null, segment: null, length_ms: null, feature: null, page: null, search: null };

const options = (choices, now) =>
  choices.map(([value, text]) => el("option", { value, selected: String(value) === String(now) }, text));

export const choice = (label, key, choices, now, page, also = {}) =>
  el("label", null, `${label} `, el("select", { onchange: (event) => page.go({ ...also, [key]: event.target.value }) }, options(choices, now)));

export function heading(title, facts, page, ...more) {
  const models = facts.models.includes(facts.model) ? facts.models : [facts.model, ...facts.models];
  return [
    el("div", { class: "title" },
      el("h1", null, `${title} of `, el("a", { href: page.to("model", { model: facts.model, version: facts.version }) }, shown(facts.model) || "(no name)")),
      facts.health && health(facts.health),
      el("a", { class: "back", href: page.to("fleet") }, "all models")),
    el("div", { class: "tools" },
      models.length > 1 && choice("Model", "model", models.map((name) => [name, shown(name) || "(no name)"]), facts.model, page, OTHERS),
      facts.versions.length > 1 && choice("Version", "version", facts.versions.map((name) => [name, shown(name) || "(none)"]), facts.version, page, { ...OTHERS, version: undefined }),
      facts.versions.length === 1 && el("span", { class: "dim" }, `version ${shown(facts.version) || "(none)"}`),
      facts.lengths_ms.length > 1
        ? choice("Windows of", "length_ms", facts.lengths_ms.map((ms) => [ms, duration(ms)]), facts.length_ms, page)
        : el("span", { class: "dim" }, `windows of ${duration(facts.length_ms)}`),
      more),
  ];
}

export const ranges = (facts, page) => {
  const now = Number(page.parameters.range_ms ?? 0) || facts.range_ms || 86400e3;
  return el("span", { class: "ranges", role: "group", "aria-label": "Range" }, RANGES.map((ms) =>
    el("button", { type: "button", "aria-pressed": String(ms === now), onclick: () => page.go({ range_ms: ms }) }, duration(ms))));
};

export function pages(facts, page, size) {
  const now = Number(page.parameters.page ?? 0), last = Math.max(0, Math.ceil(facts.found / size) - 1);
  if (!last) return null;
  const step = (to, text, label) => el("button", { type: "button", disabled: to < 0 || to > last, "aria-label": label, onclick: () => page.go({ page: to || null }) }, text);
  return el("div", { class: "pages" }, step(now - 1, "‹", "Page before"),
    el("span", null, `${now * size + 1}–${Math.min((now + 1) * size, facts.found)} of ${facts.found}`), step(now + 1, "›", "Next page"));
}

export function search(page, what) {
  const field = page.kept("search", () => {
    let timer;
    const made = el("input", { type: "search", placeholder: `Search ${what} ( / )`, "aria-label": `Search ${what}`, maxlength: 256,
      oninput: () => { clearTimeout(timer); timer = setTimeout(() => page.go({ search: made.value, page: null }, { replace: true }), 250); } });
    return made;
  });
  if (document.activeElement !== field) field.value = page.parameters.search ?? "";
  return field;
}

export const when = (ms) => el("time", { title: utc(ms) }, time(ms));

// Rows of a panel as points of a chart.
export const points = (rows, metric) => rows.filter((row) => row.metric === metric).map((row) => ({ ...row, x: row.window_start_ms }));

export function extent(rows, facts) {
  const first = rows.reduce((least, row) => Math.min(least, row.window_start_ms), Infinity);
  return { first: first === Infinity ? facts.first_ms : Math.max(facts.first_ms, first), last: facts.last_ms, step: facts.length_ms };
}
