// How numbers, times and field names are written. All times are UTC.

const whole = new Intl.NumberFormat("en-US");

export const count = (n) => whole.format(n ?? 0);

/** short writes 12,345,678 as 12.3 M. */
export function short(n) {
  if (n < 10_000) return Number.isInteger(n) ? whole.format(n) : n.toFixed(n < 10 ? 1 : 0);
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (n >= size) return `${(n / size).toFixed(n / size < 100 ? 1 : 0).replace(/\.0$/, "")} ${unit}`;
  }
  return String(n);
}

export function bytes(n) {
  for (const [size, unit] of [[1 << 30, "GiB"], [1 << 20, "MiB"], [1 << 10, "KiB"]]) {
    if (n >= size) return `${(n / size).toFixed(n / size < 10 ? 1 : 0)} ${unit}`;
  }
  return `${n} B`;
}

export const percent = (part, all) => {
  if (!all) return "";
  const p = (100 * part) / all;
  if (p > 0 && p < 0.1) return "<0.1 %";
  return `${p >= 99.95 || p === 0 ? p.toFixed(0) : p.toFixed(1)} %`;
};

export const iso = (t) => new Date(t).toISOString();

/** stamp writes 2024-07-19 04:09:00, with milliseconds when asked to. */
export function stamp(t, millis) {
  if (!t) return "–";
  const text = iso(t);
  return `${text.slice(0, 10)} ${text.slice(11, millis ? 23 : 19)}`;
}

export const clock = (t) => iso(t).slice(11, 19);

/** tick labels an axis whose marks are step seconds apart. */
export function tick(t, step) {
  const text = iso(t);
  if (step >= 86400) return text.slice(5, 10);
  if (text.slice(11, 19) === "00:00:00") return text.slice(5, 10);
  if (step < 1) return text.slice(11, 23);
  return step >= 60 ? text.slice(11, 16) : text.slice(11, 19);
}

export function duration(ms) {
  const seconds = Math.round(ms / 1000);
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60 ? `${seconds % 60} s` : ""}`.trim();
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

/** roughly writes a duration in its largest unit. */
export const roughly = (ms) => duration(ms).split(" ").slice(0, 2).join(" ");

/** words writes a value of a vocabulary for people: mass_silence, crash-loop. */
export const words = (name) => (name ? name.replaceAll("_", " ").replaceAll("-", " ") : "");

/** at reads a dotted field of a document. */
export function at(doc, path) {
  let value = doc;
  for (const part of path.split(".")) {
    if (value === null || typeof value !== "object") return undefined;
    value = value[part];
  }
  return value;
}

/** flat lists the fields below an object with their dotted names. */
export function flat(value, prefix = "", into = []) {
  if (value !== null && typeof value === "object" && !Array.isArray(value)) {
    for (const [name, below] of Object.entries(value)) flat(below, prefix ? `${prefix}.${name}` : name, into);
  } else if (prefix) {
    into.push([prefix, value]);
  }
  return into;
}

export const plain = (value) => (Array.isArray(value) ? value.map(plain).join(", ") : value !== null && typeof value === "object" ? JSON.stringify(value) : String(value));

/** quoted writes a value so that a search reads it as one phrase. */
export const quoted = (value) => (/^[\w.@-]+$/.test(value) ? value : `"${String(value).replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`);
