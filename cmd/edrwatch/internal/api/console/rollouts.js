import { get } from "./api.js";
import { h, s, show } from "./dom.js";
import { count, duration, percent, quoted, stamp, words } from "./format.js";

const badges = { continue: "good", hold: "medium", rollback: "critical" };

const badge = (verdict) => h("span", { class: `badge ${badges[verdict] ?? ""}` }, verdict);

const called = (r) => [r.kind, r.channel, r.version].filter(Boolean).join(" ");

const id = (r) => [r.product, r.kind, r.channel ?? "", r.version].join("/");

export function rolloutsPage(app) {
  const rows = h("tbody");
  const summary = h("span", { class: "end", role: "status" });
  const detail = h("div", { class: "stack" });
  const columns = ["Product", "Version", "Verdict", "Ring", "Exposed", "Have it", "Failed", "First exposure (UTC)", "Latest (UTC)"];
  const numbers = new Set(["Exposed", "Have it", "Failed"]);
  const element = h("div", { class: "stack" }, h("h1", { class: "hush" }, "Rollouts"),
    h("section", { class: "card" }, h("header", null, h("h2", null, "New sensor and content versions"), summary),
      h("div", { class: "scroll" }, h("table", { class: "rollouts" }, h("thead", null, h("tr", null, columns.map((c) => h("th", { class: numbers.has(c) ? "num" : null }, c)))), rows))),
    detail);

  async function update(params) {
    const { rollouts } = await get("rollouts");
    const order = { rollback: 0, hold: 1, continue: 2 };
    rollouts.sort((a, b) => order[a.verdict] - order[b.verdict] || Date.parse(b.last_exposure) - Date.parse(a.last_exposure));
    show(summary, count(rollouts.length));
    const picked = rollouts.find((r) => id(r) === params.version) ?? rollouts[0];
    show(rows, rollouts.length ? rollouts.map((r) => row(r, r === picked))
      : h("tr", null, h("td", { colspan: columns.length, class: "empty" }, "No agent got a new version while the fleet was watched.")));
    show(detail, picked ? details(picked, app) : null);
  }

  function row(r, picked) {
    const open = () => app.set({ version: id(r) });
    return h("tr", { class: picked ? "row picked" : "row", tabindex: 0, "aria-selected": picked ? "true" : "false", onclick: open, onkeydown: (e) => e.key === "Enter" && open() },
      h("td", { class: "clip" }, r.product), h("td", { class: "mono clip", title: called(r) }, called(r)), h("td", null, badge(r.verdict)), h("td", null, r.current_ring || "–"),
      h("td", { class: "num" }, count(r.exposed)), h("td", { class: "num" }, count(r.at_risk), h("span", { class: "faint" }, ` ${percent(r.at_risk, r.fleet)}`)),
      h("td", { class: "num" }, count(r.harmed)), h("td", { class: "nowrap" }, stamp(r.first_exposure)), h("td", { class: "nowrap" }, stamp(r.last_exposure)));
  }

  return { element, update };
}

function details(r, app) {
  return [
    h("section", { class: "card" }, h("header", null, h("h2", null, `${r.product} ${called(r)}`), badge(r.verdict),
      h("span", { class: "end" }, h("a", { href: app.link("alerts", { q: `kind:bad_rollout ${quoted(r.version)}` }) }, "Its alerts"))),
    h("div", { class: "pad" },
      r.reasons.length ? h("ul", { class: "reasons" }, r.reasons.map((x) => h("li", null, x.what, x.need ? h("span", { class: "soft" }, ` – ${x.have}, needed ${x.need}`) : null)))
        : h("p", { class: "soft" }, "Nothing stands against the next ring."),
      r.caveats.length ? h("ul", { class: "reasons" }, r.caveats.map((text) => h("li", { class: "soft" }, text))) : null,
      spread(r))),
    h("div", { class: "halves" }, comparison(r), practice(r)),
  ];
}

/** spread draws how many agents got the version over time. */
function spread(r) {
  const points = r.progress;
  if (points.length < 2) return null;
  const [width, height] = [600, 90];
  const times = points.map((p) => Date.parse(p.at));
  const [from, to] = [times[0], times[times.length - 1]];
  const most = Math.max(1, ...points.map((p) => p.exposed));
  const x = (t) => ((t - from) / Math.max(to - from, 1)) * width;
  const y = (n) => height - (n / most) * (height - 4);
  const line = points.map((p, i) => `${x(times[i]).toFixed(1)},${y(p.exposed).toFixed(1)}`).join(" ");
  const harm = r.first_harm ? x(Date.parse(r.first_harm)) : -1;
  return h("figure", { class: "spread" },
    s("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": `${count(most)} agents got it from ${stamp(from)} to ${stamp(to)}` },
      s("polygon", { points: `0,${height} ${line} ${width},${height}`, class: "area" }), s("polyline", { points: line, class: "line" }),
      harm >= 0 && harm <= width ? s("line", { x1: harm, x2: harm, y1: 0, y2: height, class: "harm" }) : null),
    h("figcaption", { class: "soft" }, h("span", null, stamp(from)), h("span", null, `${count(most)} agents`, harm >= 0 ? ", first failure marked" : ""), h("span", null, stamp(to))));
}

const number = (n, digits = 1) => (n === null || n === undefined ? "–" : n.toFixed(digits));

function comparison(r) {
  const head = ["Failure", "With it", "Expected", "Without", "Rate ratio", "95 %", "log e"];
  return h("section", { class: "card" }, h("header", null, h("h2", null, "Compared with agents without it"), h("span", { class: "end soft" }, `alarm at log e ${number(r.alarm_log_e)}`)),
    h("div", { class: "scroll" }, h("table", null, h("thead", null, h("tr", null, head.map((c, i) => h("th", { class: i ? "num" : null }, c)))),
      h("tbody", null, r.comparison.map((c) => h("tr", { class: c.log_e >= r.alarm_log_e ? "over" : null }, h("td", null, words(c.failure)), h("td", { class: "num" }, count(c.with)),
        h("td", { class: "num" }, number(c.expected)), h("td", { class: "num" }, count(c.without)), h("td", { class: "num" }, number(c.rate_ratio)),
        h("td", { class: "num" }, c.rate_ratio_low === null && c.rate_ratio_high === null ? "–" : `${number(c.rate_ratio_low ?? 0)} – ${c.rate_ratio_high === null ? "∞" : number(c.rate_ratio_high)}`),
        h("td", { class: "num" }, number(c.log_e))))))),
    r.control_gone ? h("p", { class: "pad soft" }, "Nobody is left without it: only silence can be judged.") : null);
}

function practice(r) {
  const c = r.conformance;
  const after = (seconds) => (seconds === null ? "not yet" : duration(seconds * 1000));
  const facts = [
    ["In phases", c.phased ? "yes" : "no"], ["First ring", `${(100 * c.first_ring_share).toFixed(0)} % of the fleet`], ["Rings", c.rings_used],
    ["1 % / 50 % / 90 % of the fleet", `${after(c.seconds_to_1_percent)} / ${after(c.seconds_to_50_percent)} / ${after(c.seconds_to_90_percent)}`],
    ["Fastest", `${c.fastest_percent_per_minute.toFixed(2)} % a minute`], ["Longest pause", after(c.longest_pause_seconds)],
    ["Diversity", `${c.os} systems, ${c.host_types} types of hosts, ${c.sites} sites`],
    ["Soak of the rings", r.rings.length ? r.rings.map((x) => h("div", { class: x.soak_kept ? null : "late" },
      `${x.name || "no ring"}: ${after(x.soaked_seconds)} of ${after(x.soak_seconds)}${x.soak_kept ? "" : ", cut short"}, compared for ${after(x.compared_seconds)}`)) : "–"],
    ["From harm to stop", c.seconds_from_harm_to_stop === null ? "no harm" : `${after(c.seconds_from_harm_to_stop)}${c.spreading ? ", it still spreads" : ""}`],
  ];
  return h("section", { class: "card" }, h("header", null, h("h2", null, "Safe deployment practice")),
    h("dl", { class: "facts pad" }, facts.map(([name, value]) => [h("dt", null, name), h("dd", null, value)])));
}
