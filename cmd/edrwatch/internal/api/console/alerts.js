import { get } from "./api.js";
import { h, settled, show } from "./dom.js";
import { at, count, duration, stamp, words } from "./format.js";
import { choice, headline, problem, segments, severities, severityBadge, statusText } from "./parts.js";
import { bounds, ranges } from "./range.js";

const pageSize = 50;

export function alertsPage(app) {
  let params = {};
  let more = []; // further pages, kept while the first is brought up to date
  const search = h("input", { type: "search", class: "mono", "aria-label": "Search alerts", placeholder: "Search, such as rule:silent* or edr.alert.site:berlin   ( / )", spellcheck: "false", autocomplete: "off" });
  search.addEventListener("input", settled(350, () => app.set({ q: search.value.trim() })));
  const controls = h("div", { class: "filters" });
  const trouble = h("div", { class: "trouble" });
  const summary = h("span", { class: "end", role: "status" });
  const rows = h("tbody");
  const foot = h("div", { class: "more" });
  const table = h("section", { class: "card" },
    h("header", null, h("h2", null, "Alerts"), summary),
    h("div", { class: "scroll" }, h("table", { class: "alerts-table" },
      h("thead", null, h("tr", null, h("th", { class: "c-sev" }, "Severity"), h("th", { class: "c-status" }, "Status"), h("th", { class: "c-time" }, "Updated (UTC)"),
        h("th", null, "Alert"), h("th", { class: "c-kind" }, "Kind"), h("th", { class: "c-where" }, "Host or scope"), h("th", { class: "c-count num" }, "Affected"))),
      rows)), foot);
  const element = h("div", { class: "stack" }, h("h1", { class: "hush" }, "Alerts"), h("div", { class: "filters" }, h("div", { class: "grow" }, search), controls), trouble, table);

  const query = async () => ({
    q: params.q, status: params.status, severity: params.severity, kind: params.kind, rule: params.rule, host: params.host,
    ...(await bounds({ range: params.range || "all", from: params.from, to: params.to }, app.status)),
  });

  async function update(next) {
    const key = (p) => JSON.stringify({ ...p, alert: "" });
    if (key(next) !== key(params)) more = [];
    params = next;
    if (document.activeElement !== search) search.value = params.q ?? "";
    draw();
    try {
      const [page, { counts }] = await Promise.all([get("alerts", { ...(await query()), limit: pageSize }), get("alerts/summary")]);
      show(trouble);
      filters(counts);
      list(page);
    } catch (e) {
      if (e.parameter !== "q") throw e;
      show(trouble, problem(e, params.q ?? ""));
    }
  }

  function draw() {
    for (const row of rows.children) row.classList.toggle("open", row.dataset.id === params.alert);
  }

  function filters(counts) {
    if (controls.contains(document.activeElement) && document.activeElement.tagName === "SELECT") return;
    const kinds = [...new Set(counts.map((c) => c.kind))].sort();
    show(controls,
      segments("Status", [["", "All"], ["firing", "Firing"], ["resolved", "Resolved"]], params.status ?? "", (v) => app.set({ status: v })),
      choice("Severity", [["", "Any severity"], ...severities.map((s) => [s, s])], params.severity ?? "", (v) => app.set({ severity: v })),
      choice("Kind", [["", "Any kind"], ...kinds.map((k) => [k, words(k)])], params.kind ?? "", (v) => app.set({ kind: v })),
      choice("Time range", ranges.slice(1).map(([v, text]) => [v, text]), params.range || "all", (v) => app.set({ range: v === "all" ? "" : v })),
      ["host", "rule"].filter((k) => params[k]).map((k) => h("button", { class: "button", type: "button", title: "Remove this filter", onclick: () => app.set({ [k]: "" }) }, `${k}: ${k === "rule" ? app.ruleName(params[k]) : params[k]}  ×`)));
  }

  function list(first) {
    const pages = [first, ...more];
    const all = pages.flatMap((p) => p.alerts);
    const seen = new Set();
    show(summary, `${count(first.total)}${first.total_is_lower_bound ? " or more" : ""}`);
    show(rows, all.length ? all.filter((a) => !seen.has(a.id) && seen.add(a.id)).map(row) : h("tr", null, h("td", { colspan: 7, class: "empty" }, "No alert matches.")));
    const { next } = pages.at(-1);
    foot.hidden = !next;
    show(foot, h("button", { class: "button", type: "button", onclick: async (e) => {
      e.target.disabled = true;
      more.push(await get("alerts", { ...(await query()), limit: pageSize, cursor: next }));
      list(first);
    } }, "Show more"));
    draw();
  }

  function row(a) {
    const alert = at(a.document, "edr.alert") ?? {};
    const open = () => app.set({ alert: a.id });
    const message = headline(a);
    const lasted = Date.parse(a.updated) - Date.parse(a.started);
    return h("tr", { class: "row", tabindex: 0, "data-id": a.id, "aria-label": message, onclick: open, onkeydown: (e) => e.key === "Enter" && open() },
      h("td", null, severityBadge(a.severity)), h("td", null, statusText(a.status)),
      h("td", { class: "nowrap" }, stamp(a.updated), lasted > 0 ? h("span", { class: "reason" }, `for ${duration(lasted)}`) : null),
      h("td", null, message, alert.reason && alert.reason !== message ? h("span", { class: "reason" }, alert.reason) : null),
      h("td", { class: "clip" }, words(a.kind)),
      h("td", { class: "clip", title: a.host || alert.site || alert.scope }, where(a, alert)),
      h("td", { class: "num" }, alert.count === undefined ? "–" : [count(alert.count), alert.denominator ? h("span", { class: "faint" }, ` of ${count(alert.denominator)}`) : null]));
  }

  return { element, update };
}

function where(a, alert) {
  if (alert.scope && alert.scope !== "host") return [alert.scope, alert.site || alert.key ? h("span", { class: "reason clip" }, alert.site || alert.key) : null];
  return h("span", { class: "mono" }, a.host || alert.key || "–");
}
