import { get } from "./api.js";
import { Histogram, legend } from "./chart.js";
import { h, show } from "./dom.js";
import { at, bytes, clock, count, percent, short, stamp, words } from "./format.js";
import { bars, breakdown, headline, segments, severities, severityBadge, statusText } from "./parts.js";
import { bounds, ranges } from "./range.js";

export function overviewPage(app) {
  const tiles = h("div", { class: "tiles" });
  const chart = new Histogram((from, to) => app.go("events", { from, to }));
  const feed = h("ol", { class: "feed" });
  const urgent = h("ol", { class: "feed" });
  const urgentCard = h("section", { class: "card", hidden: true }, h("header", null, h("h2", null, "Critical and firing"), h("span", { class: "end" }, h("a", { href: "#/alerts?status=firing&severity=critical" }, "All critical"))), urgent);
  const side = h("div", { class: "stack" });
  const range = h("span");
  const body = h("div", { class: "split" },
    h("div", { class: "stack" },
      h("section", { class: "card" }, h("header", null, h("h2", null, "Records over time"), legend(), h("span", { class: "end" }, range)), chart.element), urgentCard,
      h("section", { class: "card" }, h("header", null, h("h2", null, "Latest alerts"), h("span", { class: "end" }, h("a", { href: "#/alerts" }, "All alerts"))), feed)),
    side);
  const element = h("div", { class: "stack" }, h("h1", { class: "hush" }, "Overview"), tiles, body);
  const fresh = new Set();
  const remember = (e) => fresh.add(e.detail.alert_id || e.detail.id);
  app.live.addEventListener("alert", remember);

  async function update(params) {
    const { status } = app;
    const drawn = bounds(params, status).then((within) => get("events/histogram", { ...within, buckets: 120 })).then((data) => chart.set(data));
    drawn.catch(() => {}); // It is reported where it is awaited.
    const [alerts, critical, summary, fleet] = await Promise.all([
      get("alerts", { limit: 14 }), get("alerts", { status: "firing", severity: "critical", limit: 4 }), get("alerts/summary"), get("fleet/summary"),
    ]);
    show(range, segments("Time range", ranges.filter(([n]) => !["15m", "6h"].includes(n)).map(([n]) => [n, { "": "Fit", all: "All" }[n] ?? n]), params.range ?? "", (v) => app.set({ range: v })));
    show(tiles, firing(summary.counts), agents(fleet), records(status), lag(status), sinks(status));
    urgentCard.hidden = critical.alerts.length === 0;
    show(urgent, critical.alerts.map(item));
    show(feed, alerts.alerts.length ? alerts.alerts.map(item) : h("li", { class: "empty" }, "No alerts. New ones appear here as they are raised."));
    fresh.clear();
    show(side,
      breakdown("Agents by presence", fleet.presence, fleet.agents, "", (v) => app.go("fleet", { presence: v })),
      breakdown("State of agents alive", fleet.state, alive(fleet), "", (v) => app.go("fleet", { presence: "alive", state: v })),
      kinds(summary.counts),
      breakdown("Agents by type", fleet.type, fleet.agents, "", (v) => app.go("fleet", { type: v })),
      fleet.mode.some((g) => g.value) ? breakdown("Agents by mode", fleet.mode, fleet.agents, "", (v) => app.go("fleet", { mode: v })) : null);
    await drawn;
  }

  const item = (a) => h("li", { class: fresh.has(a.id) ? "fresh" : null },
    h("button", { class: "plain", type: "button", onclick: () => app.set({ alert: a.id }) },
      h("span", { class: "mono soft", title: `${stamp(a.updated)} UTC` }, clock(a.updated)),
      h("span", null, severityBadge(a.severity)),
      h("span", { class: "clip" }, headline(a), h("span", { class: "about clip" }, at(a.document, "edr.alert.reason") || [words(a.kind), at(a.document, "edr.alert.scope"), a.host].filter(Boolean).join(" · "))),
      statusText(a.status)));

  function firing(counts) {
    const now = counts.filter((c) => c.status === "firing");
    const total = now.reduce((n, c) => n + c.count, 0);
    const all = counts.reduce((n, c) => n + c.count, 0);
    const by = severities.map((s) => [s, now.filter((c) => c.severity === s).reduce((n, c) => n + c.count, 0)]).filter(([, n]) => n);
    return tile("Alerts firing", count(total), `of ${count(all)} raised`,
      by.length ? by.map(([s, n]) => h("a", { class: `badge ${s}`, href: app.link("alerts", { status: "firing", severity: s }) }, `${count(n)} ${s}`)) : "nothing is firing");
  }

  function agents(fleet) {
    const away = fleet.presence.filter((g) => g.value !== "alive").map((g) => h("a", { class: `badge p-${g.value}`, href: app.link("fleet", { presence: g.value }) }, `${count(g.count)} ${g.value}`));
    const unwell = fleet.state.filter((g) => g.value && g.value !== "protecting").map((g) => h("a", { class: `badge ${g.value}`, href: app.link("fleet", { presence: "alive", state: g.value }) }, `${count(g.count)} ${g.value}`));
    const under = [...away, ...unwell].slice(0, 5);
    return tile("Agents", count(fleet.agents), `${percent(fleet.protecting, fleet.agents) || "none"} alive and protecting`, under.length ? under : "every agent is alive and protects its host");
  }

  const alive = (fleet) => fleet.presence.find((g) => g.value === "alive")?.count ?? 0;

  function records({ gateway }) {
    const taken = Object.entries(gateway.records ?? {}).reduce((n, [, v]) => n + v, 0);
    const bad = gateway.records?.dead ?? 0;
    return tile("Records taken", short(taken), `${short(gateway.records_per_second ?? 0)} /s`, bad ? h("span", { class: "badge high" }, `${count(bad)} dead-lettered`) : "none dead-lettered");
  }

  function lag({ gateway }) {
    const known = gateway.lag !== null && gateway.lag !== undefined;
    return tile("Behind", known ? short(gateway.lag) : "–", known ? "records" : "", canaries(gateway) ?? (known ? (gateway.lag === 0 ? "caught up" : "catching up") : "not known for this input"));
  }

  /** canaries tells whether silence would be noticed; null where nothing proves it. */
  function canaries({ canaries: all }) {
    if (!all?.length) return null;
    const bad = all.filter((c) => c.state === "deaf" || c.state === "mute");
    if (bad.length) return bad.map((c) => h("span", { class: "badge critical", title: c.reason }, `canary ${c.state}: ${c.feed}`));
    const proved = all.filter((c) => c.rule).length;
    return `canaries: ${count(all.filter((c) => c.state !== "waiting").length)} heard, ${count(proved)} proved`;
  }

  function sinks({ gateway, store }) {
    const broken = (gateway.sinks ?? []).filter((x) => x.error);
    return tile("Store", bytes(store.bytes), `of ${bytes(store.max_bytes)}`,
      broken.length ? broken.map((x) => h("span", { class: "badge critical", title: x.error }, `${x.name}: not taking documents`))
        : store.evicted ? `${short(store.evicted)} oldest evicted` : `${count((gateway.sinks ?? []).length)} sink${gateway.sinks?.length === 1 ? "" : "s"} taking documents`);
  }

  const tile = (title, figure, aside, under) => h("section", { class: "card tile" }, h("h3", null, title),
    h("p", { class: "figure" }, figure, aside ? h("small", null, aside) : null), h("div", { class: "under" }, under));

  function kinds(counts) {
    const by = new Map();
    for (const c of counts) by.set(c.kind, (by.get(c.kind) ?? 0) + c.count);
    const groups = [...by].map(([value, n]) => ({ value, count: n })).sort((a, b) => b.count - a.count).slice(0, 8);
    return h("section", { class: "card" }, h("header", null, h("h2", null, "Alerts by kind")),
      h("div", { class: "pad" }, groups.length ? bars(groups, (v) => app.go("alerts", { kind: v })) : h("p", { class: "soft" }, "no alerts")));
  }

  return {
    element, update,
    close: () => {
      chart.close();
      app.live.removeEventListener("alert", remember);
    },
  };
}
