// Pieces that several pages show.

import { h, show } from "./dom.js";
import { at, count, percent, words } from "./format.js";

export const severities = ["critical", "high", "medium", "low", "info"];

export const severityBadge = (severity) => h("span", { class: `badge ${severities.includes(severity) ? severity : ""}` }, severity || "none");

export const statusText = (status) => h("span", { class: `status ${status === "firing" || status === "resolved" || status === "pending" ? status : ""}` }, status || "unknown");

/** presences in the order in which they are shown; a state is that of now for the first only. */
export const presences = ["alive", "silent", "asleep", "gone", "unknown"];

export const presenceBadge = (presence) => h("span", { class: `badge ${presences.includes(presence) ? `p-${presence}` : ""}` }, presence || "unknown");

/** lastKnown marks a state that is not that of now. */
export const lastKnown = (state) => (state ? h("span", { class: "faint", title: "The agent is not alive: this is what was known last" }, `was ${state}`) : h("span", { class: "faint" }, "–"));

const states = ["protecting", "isolated", "degraded", "reduced", "disabled", "offline", "uninstalled", "unknown"];

export const stateBadge = (state) => h("span", { class: `badge ${states.includes(state) ? state : ""}` }, state || "unknown");

const colour = (value, i) => (value === "" ? "c-0" : presences.includes(value) && value !== "unknown" ? `c-p-${value}` : states.includes(value) ? `c-${value}` : i < 5 ? `c-${i + 1}` : "");

/** breakdown shows how a whole divides into groups; picking one calls pick. */
export function breakdown(title, groups, total, picked, pick, most = 6) {
  const shown = groups.slice(0, most);
  const rest = groups.slice(most).reduce((n, g) => n + g.count, 0);
  return h("section", { class: "card narrow" },
    h("header", null, h("h2", null, title), h("span", { class: "end" }, groups.length > most ? `${count(groups.length)} values` : null)),
    h("div", { class: "pad" },
      groups.length === 0 ? h("p", { class: "soft" }, "nothing known yet") : [
        h("div", { class: "share", "aria-hidden": "true" }, shown.map((g, i) => h("span", { class: colour(g.value, i), "width%": (100 * g.count) / Math.max(total, 1) }))),
        h("ul", { class: "groups" },
          shown.map((g, i) => h("li", null, h("button", {
            class: "plain", type: "button", "aria-pressed": picked === (g.value || "none") ? "true" : "false",
            title: `Show only ${g.value || "unknown"}`, onclick: () => pick(g.value || "none"),
          },
          h("i", { class: colour(g.value, i) }), h("span", { class: "clip" }, g.value || h("span", { class: "faint" }, "not known")),
          h("span", { class: "num" }, count(g.count)), h("span", { class: "num faint" }, percent(g.count, total))))),
          rest ? h("li", { class: "faint" }, `and ${count(rest)} more`) : null),
      ]));
}

/** bars lists counts with a bar each, as large as the largest. */
export function bars(groups, pick) {
  const largest = Math.max(1, ...groups.map((g) => g.count));
  return h("ul", { class: "groups kinds" }, groups.map((g) => h("li", null,
    h("button", { class: "plain", type: "button", onclick: () => pick(g.value) },
      h("span", { class: "clip" }, words(g.value)),
      h("span", { class: "track" }, h("span", { "width%": (100 * g.count) / largest })), h("span", { class: "num" }, count(g.count))))));
}

/** json shows a document with its parts coloured. */
export function json(value) {
  const pre = h("pre", { class: "json" });
  const put = (text, kind) => pre.append(kind ? h("span", { class: kind }, text) : document.createTextNode(text));
  const walk = (v, indent) => {
    if (v === null || typeof v === "boolean") put(String(v), "b");
    else if (typeof v === "number") put(String(v), "n");
    else if (typeof v === "string") put(JSON.stringify(v), "s");
    else {
      const list = Array.isArray(v);
      const entries = list ? v.map((e) => [null, e]) : Object.entries(v);
      if (entries.length === 0) return put(list ? "[]" : "{}");
      const short = list && v.every((e) => e === null || typeof e !== "object");
      put(list ? "[" : "{");
      entries.forEach(([key, below], i) => {
        put(short ? (i ? ", " : "") : `${i ? "," : ""}\n${indent}  `);
        if (!list) {
          put(JSON.stringify(key), "k");
          put(": ");
        }
        walk(below, `${indent}  `);
      });
      put(short ? "]" : `\n${indent}${list ? "]" : "}"}`);
    }
  };
  walk(value, "");
  return pre;
}

export function copyButton(value) {
  const button = h("button", { class: "link", type: "button", onclick: async () => {
    try {
      await navigator.clipboard.writeText(JSON.stringify(value, null, 2));
      show(button, "Copied");
    } catch {
      show(button, "The browser did not permit copying");
    }
  } }, "Copy JSON");
  return button;
}

/** problem shows an error; one with a position shows where in the text it is. */
export function problem(error, text) {
  const box = h("div", { class: "notice", role: "alert" }, error.message);
  if (error.position && text !== undefined) {
    const characters = [...text];
    const i = error.position - 1;
    box.append(h("span", { class: "mono" }, characters.slice(0, i).join(""), h("mark", null, characters[i] ?? "\u2038"), characters.slice(i + 1).join("")));
  }
  return box;
}

/** choice makes a labelled select. */
export function choice(label, options, value, change) {
  return h("select", { "aria-label": label, onchange: (e) => change(e.target.value) },
    options.map(([v, text]) => h("option", { value: v, selected: v === value }, text)));
}

/** segments makes buttons of which one is pressed. */
export function segments(label, options, value, change) {
  return h("div", { class: "segments", role: "group", "aria-label": label },
    options.map(([v, text]) => h("button", { type: "button", "aria-pressed": v === value ? "true" : "false", onclick: () => change(v) }, text)));
}

/** headline is what an alert is about; its reason is shown beside it. */
export function headline(a) {
  const message = at(a.document, "message");
  const reason = at(a.document, "edr.alert.reason");
  const rule = at(a.document, "rule.name");
  return (rule && reason && message?.includes(reason) ? rule : message) || rule || words(a.kind);
}

/** note shows a rule's note: headings and `code` of Markdown, all else as it is. */
export function note(text) {
  return h("div", { class: "note" }, text.trim().split("\n").map((line) => {
    const heading = line.match(/^#+\s+(.*)/);
    if (heading) return h("p", { class: "heading" }, heading[1]);
    return h("p", null, line.split("`").map((part, i) => (i % 2 ? h("code", null, part) : part)));
  }));
}
