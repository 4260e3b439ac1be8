// The frame of a report: screens that were asked when it was written, found by what they are of.

import { el, empty, shown } from "./dom.js";
import { time, utc } from "./format.js";

// What a view is of; other parameters are as they were when it was written.
const IDENTITY = ["model", "version", "segment", "feature", "alert"];

const { views, facts } = JSON.parse(document.getElementById("answers").textContent);
const main = document.getElementById("main");
const nav = document.getElementById("nav");

// The first view of a screen that is of what is asked; what is not said may be anything.
function found(screen, parameters) {
  const said = IDENTITY.filter((key) => parameters[key] !== null && parameters[key] !== undefined);
  return views.find((view) => view.screen === screen && said.every((key) => String(view.parameters[key] ?? "") === String(parameters[key])));
}

const address = (view) => (view ? `#${views.indexOf(view)}` : null);
const now = () => views[Number(location.hash.slice(1)) || 0] ?? views[0];

class Page {
  constructor(view) {
    this.view = view;
    this.name = view.screen;
    this.parameters = view.parameters;
    this.nodes = new Map();
  }
  get news() { return { ready: true }; }
  go(changes) {
    const view = found(this.name, { ...this.parameters, ...changes });
    if (view) location.hash = address(view);
  }
  to(name, parameters = {}) { return address(found(name, parameters)); }
  csv(name) { return `data:text/csv;charset=utf-8,${encodeURIComponent(csv(this.view.answer.panels[name]))}`; }
  kept(key, make) {
    if (!this.nodes.has(key)) this.nodes.set(key, make());
    return this.nodes.get(key);
  }
}

// As the server writes it: what a spreadsheet would take for a formula stays a text.
function csv({ columns, rows }) {
  const cell = (value) => {
    let text = value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
    if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [columns, ...rows].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

function draw() {
  const view = now(), page = new Page(view);
  heading(view);
  document.title = `${shown(view.parameters.model ?? view.title)} · driftline report`;
  try {
    MODULES[view.screen].draw(main, view.answer, page);
  } catch (error) {
    main.replaceChildren(empty(`This could not be drawn: ${error.message}`));
    throw error;
  }
  scrollTo(0, 0);
}

function heading(view) {
  const { model, version } = view.parameters;
  const screens = [...new Map(views.filter((one) => one.title).map((one) => [one.screen, one.title]))];
  nav.replaceChildren(
    ...screens.map(([screen, title]) => {
      const to = found(screen, { model, version }) ?? found(screen, { model }) ?? found(screen, {});
      return el("a", { href: address(to), "aria-current": screen === view.screen ? "page" : null }, title);
    }),
  );
  document.getElementById("choice").replaceChildren(
    ...choice("Model", "model", views.map((one) => one.parameters.model), model, view),
    ...choice("Version", "version", views.filter((one) => one.parameters.model === model).map((one) => one.parameters.version), version, view),
  );
}

// Those that this screen, or else *Model*, was asked for.
function choice(label, key, values, chosen, view) {
  const all = [...new Set(values.filter((value) => value !== undefined))];
  if (all.length < 2) return [];
  const select = el("select", { onchange: () => {
    const wanted = key === "model" ? { model: all[select.selectedIndex - first] } : { model: view.parameters.model, version: all[select.selectedIndex - first] };
    const to = found(view.screen, wanted) ?? found("model", wanted);
    if (to) location.hash = address(to);
  } });
  const first = chosen === undefined ? 1 : 0;
  if (first) select.append(el("option", { selected: true }, "choose"));
  select.append(...all.map((value) => el("option", { selected: value === chosen }, shown(value) || "(none)")));
  return [el("label", null, `${label} `, select)];
}

document.getElementById("about").replaceChildren(
  ...[facts.of && `Of ${shown(facts.of)}. `, "As of ", el("time", { title: utc(facts.at_ms) }, time(facts.at_ms)), `, by driftline ${shown(facts.driftline)}. `, facts.left_out && `${shown(facts.left_out)} `].filter(Boolean),
);
document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});
addEventListener("hashchange", draw);
draw();
