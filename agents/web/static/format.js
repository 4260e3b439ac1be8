// Numbers and times as people read them.

const DAY = { month: "short", day: "numeric" };
const CLOCK = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const clocks = new Intl.DateTimeFormat(undefined, CLOCK);
const days = new Intl.DateTimeFormat(undefined, DAY);
const full = new Intl.DateTimeFormat(undefined, { ...DAY, ...CLOCK, second: "2-digit" });

export const NONE = "–";

export const clock = (ms) => clocks.format(ms);
export const day = (ms) => days.format(ms);
export const time = (ms) => (ms === null || ms === undefined ? NONE : full.format(ms));
export const utc = (ms) =>
  ms === null || ms === undefined ? "" : `${new Date(ms).toISOString().slice(0, 19).replace("T", " ")} UTC`;

// A ratio, a mean: four digits that say something.
export function number(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return NONE;
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e7 || size < 1e-4)) return value.toExponential(2);
  if (Number.isInteger(value)) return value.toLocaleString("en-US");
  if (size >= 1000) return Math.round(value).toLocaleString("en-US");
  return value.toFixed(size >= 100 ? 1 : size >= 10 ? 2 : size >= 1 ? 3 : 4);
}

export function count(value) {
  if (value === null || value === undefined) return NONE;
  if (value < 10_000) return Math.round(value).toLocaleString("en-US");
  if (value < 1e6) return `${(value / 1e3).toFixed(1)}k`;
  return value < 1e9 ? `${(value / 1e6).toFixed(2)}M` : `${(value / 1e9).toFixed(2)}G`;
}

export const percent = (value) =>
  value === null || value === undefined ? NONE : `${(value * 100).toFixed(value < 0.1 && value > 0 ? 2 : 1)} %`;

export function duration(ms) {
  if (ms === null || ms === undefined) return NONE;
  if (ms < 1_000) return `${ms < 100 ? +ms.toFixed(1) : Math.round(ms)} ms`;
  for (const [size, unit, next] of [[1e3, "s", 60e3], [60e3, "min", 3600e3], [3600e3, "h", 86400e3]])
    if (ms < next) return `${+(ms / size).toFixed(ms / size < 10 ? 1 : 0)} ${unit}`;
  return `${+(ms / 86400e3).toFixed(1)} d`;
}

export function bytes(value) {
  if (value === null || value === undefined) return NONE;
  let at = 0;
  const units = ["B", "kB", "MB", "GB", "TB"];
  for (; Math.abs(value) >= 1000 && at < units.length - 1; at += 1) value /= 1000;
  return `${number(+value.toPrecision(3))} ${units[at]}`;
}

// How values of a metric are written, by its name.
export function writes(metric) {
  const name = metric.split(":")[0];
  if (name.endsWith("_ms")) return duration;
  if (/bytes/.test(name)) return bytes;
  if (/^(predictions|labels|support|distinct|features_)/.test(name)) return count;
  if (/(coverage|_rate|_share|utilization)/.test(name)) return percent;
  if (/celsius$/.test(name)) return (value) => (value === null ? NONE : `${number(value)} °C`);
  if (/watts$/.test(name)) return (value) => (value === null ? NONE : `${number(value)} W`);
  return number;
}
