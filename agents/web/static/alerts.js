// Alerts: a time line and a list; of one, what it rests on, before and after.

import { lines, timeTicks } from "./chart.js";
import { el, empty, panel, records, shown, svg } from "./dom.js";
import { HEALTH, health } from "./fleet.js";
import { count, duration, NONE, number, time, utc, writes } from "./format.js";
import { table } from "./table.js";

export function draw(place, answer, page) {
  const { facts, panels } = answer;
  const rows = records(panels.alerts);
  place.replaceChildren(...[
    el("h1", null, "Alerts"),
    tools(facts, page),
    facts.opened ? opened(facts.opened, panels, page) : null,
    rows.length ? timeline(rows, facts, page) : null,
    panel(`${page.parameters.state === "all" ? "All" : "Open"} ${page.parameters.what === "alerts" ? "alerts" : "incidents"}`, { csv: page.csv("alerts"), wide: true, notes: panels.alerts.notes },
      rows.length ? list(rows, page) : nothing(page), pages(facts, page)),
    panels.precision ? precise(panels, page) : null,
  ].filter(Boolean));
}

function nothing(page) {
  if (page.parameters.search || page.parameters.severity) return empty("No alert is like that. ", el("a", { href: page.to("alerts") }, "Show all that are open"));
  return page.parameters.state === "all"
    ? empty("There was no alert. Default monitors watch every model; rules of your own: ", el("code", null, "driftline monitors apply"))
    : empty("Nothing is wrong. ", el("a", { href: page.to("alerts", { state: "all" }) }, "Show those that are over"));
}

function tools(facts, page) {
  const search = page.kept("search", () => {
    let timer;
    const field = el("input", { type: "search", placeholder: "Search alerts ( / )", "aria-label": "Search alerts", maxlength: 256,
      oninput: () => { clearTimeout(timer); timer = setTimeout(() => page.go({ search: field.value, page: null }, { replace: true }), 250); } });
    return field;
  });
  if (document.activeElement !== search) search.value = page.parameters.search ?? "";
  const choose = (key, value, now, ...text) => el("button", { type: "button", "aria-pressed": String(value === now), onclick: () => page.go({ [key]: value, page: null }) }, text);
  const { state = "firing", severity = "", what = "incidents" } = page.parameters;
  return el("div", { class: "tools" }, search,
    el("span", { role: "group", "aria-label": "What", class: "group" }, choose("what", "incidents", what, "Incidents"), choose("what", "alerts", what, "Each alert")),
    el("span", { role: "group", "aria-label": "State", class: "group" }, choose("state", "firing", state, "Open"), choose("state", "all", state, "All")),
    el("span", { role: "group", "aria-label": "Severity", class: "group" }, choose("severity", "", severity, "Any"),
      facts.severities.map(([name, alerts]) => choose("severity", name, severity, el("span", { class: `health ${name}` }, HEALTH[name][0], ` ${name} `), count(alerts)))));
}

const href = (row, page) => page.to("alerts", { ...page.parameters, alert: row.alert_id });

function list(rows, page, label = "Alerts") {
  return table([
    { title: "Severity", cell: (row) => (row.severity in HEALTH ? health(row.severity) : shown(row.severity)) },
    { title: "State", narrow: false, cell: (row) => el("span", { class: `state ${row.state}` }, row.state, row.silenced ? ", silenced" : "") },
    { title: "Model", kind: "name", cell: (row) => [el("a", { href: page.to("model", { model: row.model, version: row.version || null }) }, shown(row.model)), el("span", { class: "dim" }, ` ${shown([row.version, row.segment].filter(Boolean).join(" / "))}`)] },
    { title: "What", kind: "text", cell: (row) => el("a", { href: href(row, page), "aria-current": row.alert_id === page.parameters.alert ? "true" : null }, shown(row.message)) },
    { title: "Monitor", narrow: false, cell: (row) => shown(row.monitor) },
    { title: "Began", number: true, cell: (row) => el("time", { title: utc(row.began_ms) }, time(row.began_ms)) },
    { title: "Lasted", number: true, narrow: false, cell: (row) => (row.ended_ms === null ? "open" : duration(row.ended_ms - row.began_ms)) },
    { title: "Owner", narrow: false, cell: (row) => shown(row.owner) },
  ], rows, { label, rowClass: (row) => (row.alert_id === page.parameters.alert ? "chosen" : null) });
}

function pages(facts, page) {
  const size = Number(page.parameters.size ?? 100), now = Number(page.parameters.page ?? 0), last = Math.max(0, Math.ceil(facts.found / size) - 1);
  const step = (to, text, label) => el("button", { type: "button", disabled: to < 0 || to > last, "aria-label": label, onclick: () => page.go({ page: to || null }) }, text);
  return el("div", { class: "pages" }, step(now - 1, "‹", "Page before"), el("span", null, `${facts.found ? now * size + 1 : 0}–${Math.min((now + 1) * size, facts.found)} of ${facts.found}`), step(now + 1, "›", "Next page"));
}

// ------------------------------------------------------------------ time line
const ROW = 18, MOST = 24, NAMES = 260;

// A row for each alert, or of many for each model; bars from their beginning to their end.
function timeline(rows, facts, page) {
  const nameOf = rows.length <= MOST ? (row) => `${row.model} · ${row.monitor}` : (row) => row.model;
  const keyOf = rows.length <= MOST ? (row) => row.alert_id : (row) => row.model;
  const all = [...new Map(rows.map((row) => [keyOf(row), nameOf(row)]))];
  const lanes = all.slice(0, MOST);
  const begun = rows.map((row) => row.began_ms), ends = rows.map((row) => row.ended_ms ?? row.began_ms);
  const first = Math.min(...begun), newest = Math.max(...begun, ...ends);
  const last = rows.some((row) => row.ended_ms === null) ? Math.max(newest, Math.min(facts.at_ms, newest + (newest - first || 3600e3))) : newest;
  const span = Math.max(last - first, 60e3), from = first - span * 0.03, until = last + span * 0.03;
  const height = lanes.length * ROW + 24, box = el("div", { class: "chart" });
  box.style.height = `${height}px`;
  const draw = () => {
    const width = box.clientWidth, names = Math.min(NAMES, width * 0.35);
    const x = (ms) => names + ((ms - from) / (until - from)) * (width - names - 8);
    const picture = svg("svg", { width, height, role: "group", "aria-label": "Alerts over time" });
    for (const [ms, text] of timeTicks(from, until, Math.max(2, Math.floor((width - names) / 110))))
      picture.append(svg("line", { class: "grid", x1: x(ms), x2: x(ms), y1: 0, y2: height - 20 }),
        svg("text", { class: "tick", x: x(ms), y: height - 6, "text-anchor": "middle" }, text));
    lanes.forEach(([key, title], at) => {
      const y = at * ROW, name = shown(title), most = Math.max(4, Math.floor(names / 6.6));
      picture.append(svg("text", { class: "tick name", x: 2, y: y + 13 }, name.length > most ? `${name.slice(0, most - 1)}…` : name, svg("title", null, name)));
      for (const row of rows.filter((one) => keyOf(one) === key).reverse()) {
        const left = x(row.began_ms), right = x(Math.min(row.ended_ms ?? until, until));
        picture.append(svg("a", { href: href(row, page), tabindex: "-1" },
          svg("rect", { class: `mark ${row.severity} ${row.state}`, x: left, y: y + 4, width: Math.max(right - left, 3), height: ROW - 8, rx: 2 }),
          svg("title", null, `${row.severity}: ${shown(row.message)}`)));
      }
    });
    box.replaceChildren(picture);
  };
  new ResizeObserver(draw).observe(box);
  return panel("When", { wide: true, notes: all.length > MOST ? [`${all.length - MOST} more are in the list below`] : [] }, box);
}

// ------------------------------------------------------------------ one alert
function opened(alert, panels, page) {
  const write = writes(alert.metric ?? "");
  const close = el("a", { class: "back", href: page.to("alerts", { ...page.parameters, alert: null }) }, "close");
  return panel(shown(alert.message), { wide: true },
    el("div", { class: "title" }, alert.severity in HEALTH ? health(alert.severity) : shown(alert.severity), el("span", { class: `state ${alert.state}` }, alert.state, alert.silenced ? ", silenced" : ""),
      el("a", { href: page.to("model", { model: alert.model, version: alert.version || null, segment: alert.segment }) }, shown([alert.model, alert.version, alert.segment].filter(Boolean).join(" / "))),
      el("span", { class: "dim" }, `monitor ${shown(alert.monitor)}, ${shown(alert.detector)}`),
      alert.owner && el("span", { class: "dim" }, `owner ${shown(alert.owner)}`), runbook(alert.runbook), close),
    el("p", { class: "sub" }, "Began ", el("time", { title: utc(alert.began_ms) }, time(alert.began_ms)), alert.ended_ms === null ? ", open." : [`, ${alert.state} `, el("time", { title: utc(alert.ended_ms) }, time(alert.ended_ms)), ` after ${duration(alert.ended_ms - alert.began_ms)}.`]),
    judging(alert, page),
    picture(alert, panels, write, page),
    panels.members && members(panels, page),
    panels.actions && asked(panels.actions, page),
    alert.incident_id && el("p", { class: "sub" }, "One of the alerts of ", el("a", { href: href({ alert_id: alert.incident_id }, page) }, "an incident"), "."),
    el("div", { class: "grid-2" },
      panel("Evidence", { csv: page.csv("evidence") }, table([
        { title: "What", cell: (row) => shown(row.what) },
        { title: "Value", number: true, cell: (row) => (typeof row.value === "number" ? number(row.value) : shown(typeof row.value === "string" ? row.value : JSON.stringify(row.value))) },
      ], records(panels.evidence), { label: "Evidence" })),
      panel("Revisions", { csv: page.csv("revisions") }, table([
        { title: "Revision", number: true, cell: (row) => row.revision },
        { title: "State", cell: (row) => row.state },
        { title: "Event time", number: true, cell: (row) => el("time", { title: utc(row.at_ms) }, time(row.at_ms)) },
        { title: "Published", number: true, cell: (row) => el("time", { title: utc(row.visible_at_ms) }, time(row.visible_at_ms)) },
        { title: "Message", kind: "text", narrow: false, cell: (row) => shown(row.message) },
      ], records(panels.revisions), { label: "Revisions" }))));
}

function members(panels, page) {
  const causes = records(panels.causes).map((one) => `Points to ${shown(one.cause)}, ${Math.round(one.score * 100)} %: ${shown(one.signs || `${one.alerts} alerts`)}`);
  return panel("Alerts of this incident", { csv: page.csv("members"), notes: causes },
    list(records(panels.members), page, "Alerts of this incident"));
}

// What somebody or something else is to do: see the topic of actions.
function asked(found, page) {
  return panel("What was asked for", { csv: page.csv("actions"), wide: true, help: "Actions that the monitors file lets these alerts ask for; others carry them out" }, table([
    { title: "Began", number: true, cell: (row) => el("time", { title: utc(row.at_ms) }, time(row.at_ms)) },
    { title: "Action", cell: (row) => shown(row.action) },
    { title: "Monitor", kind: "text", cell: (row) => shown(row.monitor) },
    { title: "Of", narrow: false, cell: (row) => shown([row.version, row.segment].filter(Boolean).join(" / ")) || NONE },
    { title: "Parameters", kind: "text", narrow: false, cell: (row) => (row.parameters === "{}" ? NONE : el("code", null, shown(row.parameters))) },
  ], records(found), { label: "What was asked for" }));
}

// ------------------------------------------------------------------ verdicts
const SAID = [["true", "Right", "something was wrong"], ["false", "False alarm", "nothing was wrong"], ["expected", "Expected", "it was no surprise, such as a planned change"]];
const ADOPT = ["adopt", "Adopt the level", "it is usual from now on: the alert is resolved, and what comes is compared with the new level"];
const NAME = "driftline.by";

function judging(alert, page) {
  const said = alert.said;
  if (!page.judges) return said ? el("p", { class: "sub" }, judged(said)) : null;
  return page.kept(`verdict ${alert.alert_id} ${said?.at_ms ?? ""}`, () => {
    const by = el("input", { type: "text", placeholder: "Your name", "aria-label": "Your name", maxlength: 200, value: localStorage.getItem(NAME) ?? "", autocomplete: "username" });
    const note = el("input", { type: "text", placeholder: "Why (optional)", "aria-label": "Why", maxlength: 2000, class: "note" });
    const told = el("span", { class: "dim", role: "status" }, said ? judged(said) : "Was it right?");
    const adopts = alert.state === "firing" && ["drift", "incident"].includes(alert.kind);
    const buttons = (adopts ? [...SAID, ADOPT] : SAID).map(([verdict, title, help]) => el("button", { type: "button", title: help, "aria-pressed": String(said?.verdict === verdict), onclick: () => judge(verdict) }, title));
    const judge = async (verdict) => {
      if (!by.value.trim()) { told.textContent = "Write your name first: it says who judges."; by.focus(); return; }
      localStorage.setItem(NAME, by.value.trim());
      buttons.forEach((button) => { button.disabled = true; });
      told.textContent = "Writing…";
      try {
        const response = await fetch("/verdicts", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ alert_id: alert.alert_id, verdict, by: by.value.trim(), note: note.value }) });
        const answer = await response.json();
        told.textContent = response.ok ? `Written: ${judged(answer)}` : shown(answer.away ?? answer.missing ?? answer.wrong ?? "It could not be written.");
        if (response.ok) buttons.forEach((button, at) => button.setAttribute("aria-pressed", String((SAID[at] ?? ADOPT)[0] === verdict)));
      } catch { told.textContent = "The server does not answer: nothing was written."; }
      buttons.forEach((button) => { button.disabled = false; });
    };
    return el("div", { class: "tools verdict" }, el("span", { role: "group", "aria-label": "Verdict", class: "group" }, buttons), by, note, told);
  });
}

const judged = (said) => `${[...SAID, ADOPT].find(([name]) => name === said.verdict)?.[1] ?? said.verdict}, says ${shown(said.by)}${said.note ? `: ${shown(said.note)}` : ""}`;
const percent = (value) => (value === null ? NONE : `${Math.round(value * 100)} %`);

function precise(panels, page) {
  return panel("How precise monitors are", { csv: page.csv("precision"), wide: true, help: "Share of the right ones among alerts that somebody said were right or false" }, table([
    { title: "Monitor", kind: "name", cell: (row) => shown(row.monitor) },
    ...["alerts", "true", "false", "expected"].map((name) => ({ title: { alerts: "Alerts", true: "Right", false: "False alarms", expected: "Expected" }[name], number: true, cell: (row) => count(row[name]) })),
    { title: "Precision", number: true, cell: (row) => percent(row.value) },
    { title: "95 % interval", number: true, cell: (row) => (row.value === null ? NONE : `${percent(row.low)} to ${percent(row.high)}`) },
  ], records(panels.precision), { label: "Precision" }));
}

// Only what a browser opens as a page, and never as a script.
const runbook = (address) => /^https?:\/\//i.test(address ?? "")
  ? el("a", { href: address, rel: "noreferrer noopener", target: "_blank" }, "runbook ↗")
  : address ? el("span", { class: "dim" }, `runbook ${shown(address)}`) : null;

function picture(alert, panels, write, page) {
  const points = records(panels.picture).map((row) => ({ ...row, x: row.window_start_ms }));
  if (!points.length) return empty("There is no metric that shows it.");
  const mean = (some) => (some.length ? some.reduce((sum, point) => sum + point.value, 0) / some.length : null);
  const before = mean(points.filter((point) => point.x + alert.length_ms <= alert.began_ms));
  const after = mean(points.filter((point) => point.x >= alert.began_ms));
  return [
    el("p", { class: "sub" }, el("b", null, shown(alert.metric)), ` before ${before === null ? NONE : write(before)}, after ${after === null ? NONE : write(after)}`, el("span", { class: "dim" }, " (means of the windows shown)")),
    lines({ series: [{ name: alert.metric, points }], first: points[0].x, last: points.at(-1).x, step: alert.length_ms, marks: [{ x: alert.began_ms, end: alert.ended_ms, kind: alert.severity, text: alert.message }], write, height: 190, label: `${alert.metric} before and after` }),
  ];
}
