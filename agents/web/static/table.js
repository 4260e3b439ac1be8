// Tables: numbers to the right, heads that sort, rows that lead somewhere.

import { el } from "./dom.js";

// columns: {key, title, number, narrow (false: not on small screens), cell(row), sort, help}
export function table(columns, rows, { sort, down, onsort, label, rowClass } = {}) {
  const head = columns.map((column) => {
    const kind = classes(column);
    if (!column.sort || !onsort) return el("th", { class: kind, scope: "col", title: column.help }, column.title);
    const now = sort === column.sort;
    const order = now ? (down ? "descending" : "ascending") : null;
    const button = el(
      "button",
      { type: "button", class: now ? "sorted" : "", title: column.help, onclick: () => onsort(column.sort, now && !down) },
      column.title,
      el("span", { class: "arrow", "aria-hidden": "true" }, now ? (down ? "▲" : "▼") : ""),
    );
    return el("th", { class: kind, scope: "col", "aria-sort": order }, button);
  });
  const body = rows.map((row) =>
    el("tr", { class: rowClass?.(row) }, columns.map((column) => el("td", { class: classes(column) }, column.cell(row)))),
  );
  return el(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": `${label}, table` },
    el("table", null, el("thead", null, el("tr", null, head)), el("tbody", null, body)),
  );
}

const classes = (column) =>
  [column.number ? "number" : "", column.narrow === false ? "roomy" : "", column.kind ?? ""].join(" ").trim() || null;
