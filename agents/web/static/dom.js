// Elements are made here alone: children are text nodes, so that no name is ever markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

export const el = (tag, attributes, ...children) =>
  fill(document.createElement(tag), attributes, children);

export const svg = (tag, attributes, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);

// Rows of a panel as objects.
export const records = (panel) =>
  panel.rows.map((row) => Object.fromEntries(panel.columns.map((name, at) => [name, row[at]])));

// What of a topic is shown as it is: characters that cannot be seen are written out, as in terminals.
export const shown = (text) =>
  String(text).replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (char) => {
    const code = char.codePointAt(0).toString(16);
    return code.length > 2 ? `\\u${code.padStart(4, "0")}` : `\\x${code.padStart(2, "0")}`;
  });

export function panel(title, { csv, notes = [], wide = false, help } = {}, ...children) {
  const head = el("h2", { title: help }, title);
  const link = csv && el("a", { class: "csv", href: csv, download: true, title: `${title} as CSV` }, "CSV");
  return el(
    "section",
    { class: wide ? "panel wide" : "panel", "aria-label": title },
    el("div", { class: "head" }, head, link),
    ...children,
    notes.map((note) => el("p", { class: "note" }, note)),
  );
}

export const empty = (...children) => el("p", { class: "empty" }, ...children);
