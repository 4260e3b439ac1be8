// The frame: addresses, the time that is looked at, news, errors; screens draw what is inside.

import { el, empty, panel } from "./dom.js";
import { time, utc } from "./format.js";
import { SCREENS } from "./screens.js";

const FIRST = "fleet";
const KEPT = ["at", "since"]; // parameters that every screen has
const AGAIN_MS = 3_000, AWAY_MS = 2_000;

const main = document.getElementById("main");
const notice = document.getElementById("notice");
const nav = document.getElementById("nav");
let titles = [], news = {}, current = {}, asking = null, dueAt = 0, timer = null;

// ------------------------------------------------------------------ addresses
function where() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  return { name: decodeURIComponent(path) || FIRST, parameters: Object.fromEntries(new URLSearchParams(query ?? "")) };
}

function address(name, parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== "" && value !== null && value !== undefined && value !== false);
  const query = new URLSearchParams(given.map(([key, value]) => [key, String(value)]));
  return `#/${name}${query.size ? `?${query}` : ""}`;
}

const kept = (parameters) => Object.fromEntries(KEPT.filter((key) => key in parameters).map((key) => [key, parameters[key]]));

class Page {
  constructor({ name, parameters }) {
    this.name = name;
    this.parameters = parameters;
    this.nodes = new Map();
  }
  get news() { return news; }
  get judges() { return !this.parameters.at; } // verdicts are given on what is now
  // Changes some parameters; what is null or empty is left out.
  go(changes, { replace = false } = {}) {
    const to = address(this.name, { ...this.parameters, ...changes });
    if (replace) { history.replaceState(null, "", to); route(); } else location.hash = to;
  }
  // The address of another screen, at the same time.
  to(name, parameters = {}) { return address(name, { ...kept(this.parameters), ...parameters }); }
  csv(name) { return `/csv/${this.name}/${name}?${new URLSearchParams(this.parameters)}`; }
  // An element that stays while answers come and go, such as a field somebody types in.
  kept(key, make) {
    if (!this.nodes.has(key)) this.nodes.set(key, make());
    return this.nodes.get(key);
  }
}

// ------------------------------------------------------------------ drawing
async function route() {
  const { name, parameters } = where();
  if (current.page?.name === name) current.page.parameters = parameters;
  else current = { page: new Page({ name, parameters }) };
  heading();
  await refresh({ moved: true });
}

async function refresh({ moved = false } = {}) {
  const { page } = current;
  const draw = SCREENS[page.name];
  if (!draw) { main.replaceChildren(empty("There is no such screen. ", el("a", { href: address(FIRST, {}) }, "Go to Fleet."))); return; }
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  dueAt = Date.now() + AGAIN_MS;
  if (moved) main.setAttribute("aria-busy", "true");
  try {
    const query = new URLSearchParams(page.parameters);
    const [module, response] = await Promise.all([draw(), fetch(`/api/${page.name}?${query}`, { signal })]);
    const text = await response.text();
    if (signal.aborted) return;
    show(module, response, text, page, moved);
  } catch (error) {
    if (error.name !== "AbortError") {
      if (error instanceof TypeError) say("The server does not answer; this page goes on when it does.");
      else { say(`This could not be drawn: ${error.message}`); console.error(error); }
      later(AWAY_MS);
    }
  } finally {
    if (!signal.aborted) main.removeAttribute("aria-busy");
  }
}

function show(module, response, text, page, moved) {
  if (response.status === 401) { main.replaceChildren(empty(text)); return; }
  if (text === current.text && current.drawn === page && current.ready === news.ready && !moved) { told(); return; }
  const answer = JSON.parse(text);
  if (!response.ok) {
    if (answer.away) { say(`The history cannot be read: ${answer.away}`); later(AWAY_MS); return; }
    told();
    main.replaceChildren(panel("Nothing to show", {}, empty(answer.missing ?? answer.wrong, " ", el("a", { href: page.to(FIRST) }, "Go to Fleet."))));
    return;
  }
  current.text = text;
  current.drawn = page;
  current.ready = news.ready;
  current.part = answer.facts.sampled || answer.facts.begun ? answer.facts : null;
  told();
  const focused = document.activeElement, top = window.scrollY;
  module.draw(main, answer, page);
  if (focused?.isConnected && focused !== document.activeElement && main.contains(focused)) focused.focus({ preventScroll: true });
  if (!moved) window.scrollTo(0, top);
  performance.mark(`drawn:${page.name}`);
}

function later(ms) {
  clearTimeout(timer);
  timer = setTimeout(() => refresh(), ms);
}

function say(text) {
  notice.textContent = text;
  notice.hidden = false;
}

// What there is to tell while a screen is drawn.
function told() {
  if (news.away) say(`What is shown may be old: ${news.away}`);
  else if (current.part?.begun) say("Some models of this time are shown until all are read, in a moment.");
  else if (current.part?.sampled) say(`One window of every ${current.part.sampled} is shown until all of this range are read, in a moment.`);
  else notice.hidden = true;
}

// ------------------------------------------------------------------ the frame
function heading() {
  const { page } = current;
  nav.replaceChildren(
    ...titles.filter(([, title]) => title).map(([name, title]) =>
      el("a", { href: address(name, kept(page.parameters)), "aria-current": name === page.name ? "page" : null }, title)),
  );
  document.title = `${page.parameters.model ?? titles.find(([name]) => name === page.name)?.[1] ?? page.name} · driftline`;
  times();
}

const local = (ms) => {
  const date = new Date(ms - new Date(ms).getTimezoneOffset() * 60e3);
  return date.toISOString().slice(0, 19);
};

function times() {
  const { page } = current;
  const place = document.getElementById("time");
  const at = page.parameters.at ? Number(page.parameters.at) : null;
  const field = el("input", {
    type: "datetime-local", step: 1, value: at ? local(at) : "", "aria-label": "As of",
    title: at ? utc(at) : "Show what was known at a time",
    onchange: (event) => page.go({ at: event.target.value ? new Date(event.target.value).getTime() : null }),
  });
  const slider = el("input", {
    type: "range", min: 0, max: 1000, value: at ? position(at) : 1000, "aria-label": "As of, as a slider",
    title: "What was known at a time: move left", oninput: (event) => { field.value = local(moment(event.target.value)); },
    onchange: (event) => page.go({ at: Number(event.target.value) >= 1000 ? null : moment(event.target.value) }),
  });
  const now = el("button", { type: "button", class: at ? "past" : "now", disabled: !at, title: at ? "Back to now (n)" : "Shown as it comes", onclick: () => page.go({ at: null }) }, at ? "Back to now" : "Live");
  place.replaceChildren(el("label", null, "As of ", field), slider, now);
  document.documentElement.classList.toggle("past", Boolean(at));
}

const extent = () => [news.oldest_ms ?? Date.now() - 86400e3, Math.max(news.newest_ms ?? 0, (news.oldest_ms ?? 0) + 1000) || Date.now()];
const moment = (place) => { const [from, to] = extent(); return Math.round(from + ((to - from) * place) / 1000); };
const position = (at) => { const [from, to] = extent(); return Math.round(((at - from) / (to - from)) * 1000); };

// Only while it is looked at: a browser has six connections to a server, for all of its tabs, and
// pages that one might come back to keep theirs.
let source = null;

function listen() {
  if (source || document.hidden) return;
  const own = (source = new EventSource("/events"));
  own.onmessage = (event) => heard(JSON.parse(event.data));
  own.onerror = () => {
    say("The server does not answer; this page goes on when it does.");
    if (own.readyState === EventSource.CLOSED && own === source) { hush(); setTimeout(listen, AWAY_MS); }
  };
}

function hush() {
  source?.close();
  source = null;
}

function heard(said) {
  const before = news;
  news = said;
  if (before.oldest_ms === undefined) times();
  told();
  const grew = ["metrics", "alerts", "models", "ready", "away", "judged_ms"].some((name) => before[name] !== news[name]);
  if (!current.page) return;
  if (current.part && before.series !== news.series) later(0); // of an earlier time, too
  else if (grew && !current.page.parameters.at) later(Math.max(0, dueAt - Date.now()));
}

function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
  if (event.key === "/") { event.preventDefault(); main.querySelector("input[type=search]")?.focus(); }
  else if (event.key === "d") document.getElementById("theme").click();
  else if (event.key === "n") current.page.go({ at: null });
}

document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
});
addEventListener("hashchange", route);
addEventListener("pagehide", hush);
addEventListener("pageshow", (event) => { if (event.persisted) listen(); });
document.addEventListener("visibilitychange", () => (document.hidden ? hush() : listen()));
addEventListener("keydown", keys);
const response = await fetch("/screens");
if (response.ok) titles = await response.json();
else if (response.status === 401) main.replaceChildren(empty(await response.text()));
if (response.status !== 401) { await route(); listen(); }
