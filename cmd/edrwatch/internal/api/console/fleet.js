import { get } from "./api.js";
import { h, settled, show } from "./dom.js";
import { count, quoted, roughly, stamp } from "./format.js";
import { breakdown, lastKnown, presenceBadge, stateBadge } from "./parts.js";

const pageSize = 100;
const filters = ["presence", "state", "type", "version", "mode", "content", "ring", "site"];

export function fleetPage(app) {
  let params = {};
  const search = h("input", { type: "search", "aria-label": "Search agents", placeholder: "Part of a host, agent id, version or operating system   ( / )", spellcheck: "false", autocomplete: "off" });
  search.addEventListener("input", settled(250, () => app.set({ q: search.value.trim(), page: "" })));
  const chosen = h("div", { class: "filters trouble" });
  const breakdowns = h("div", { class: "breakdowns" });
  const summary = h("span", { class: "end", role: "status" });
  const head = h("tr");
  const rows = h("tbody");
  const foot = h("div", { class: "more" });
  const element = h("div", { class: "stack" }, h("h1", { class: "hush" }, "Fleet"), h("div", { class: "facets" }, breakdowns, h("div", { class: "stack" },
    h("div", { class: "filters" }, h("div", { class: "grow" }, search), chosen),
    h("section", { class: "card" }, h("header", null, h("h2", null, "Agents"), summary), h("div", { class: "scroll" }, h("table", { class: "fleet-table" }, h("thead", null, head), rows)), foot))));

  async function update(next) {
    params = next;
    if (document.activeElement !== search) search.value = params.q ?? "";
    const wanted = { q: params.q, ...Object.fromEntries(filters.map((f) => [f, params[f]])) };
    const page = Math.max(0, Number.parseInt(params.page ?? "0", 10) || 0);
    const [fleet, sum] = await Promise.all([
      get("fleet", { ...wanted, sort: params.sort, desc: params.desc === "true", limit: pageSize, offset: page * pageSize }), get("fleet/summary", wanted),
    ]);
    const pick = (field) => (v) => app.set({ [field]: params[field] === v ? "" : v, page: "" });
    const dead = sum.last_known_state.reduce((n, g) => n + g.count, 0);
    const pickState = (alive) => (v) => {
      const same = params.state === v && (params.presence === "alive") === alive;
      app.set({ state: same ? "" : v, presence: alive && !same ? "alive" : params.presence === "alive" ? "" : params.presence, page: "" });
    };
    show(breakdowns, breakdown("Presence", sum.presence, sum.agents, params.presence, pick("presence")),
      sum.agents === dead ? null : breakdown("State of agents alive", sum.state, sum.agents - dead, params.presence === "alive" ? params.state : "", pickState(true)),
      dead ? breakdown("Last known state of the others", sum.last_known_state, dead, params.presence === "alive" ? "" : params.state, pickState(false)) : null,
      breakdown("Type", sum.type, sum.agents, params.type, pick("type")),
      breakdown("Mode", sum.mode, sum.agents, params.mode, pick("mode")),
      breakdown("Agent version", sum.version.map(versionFirst), sum.agents, "", (v) => app.set({ q: v, page: "" })),
      breakdown("Content, channel:version", sum.content, sum.agents, params.content, pick("content")),
      sum.ring.some((g) => g.value) ? breakdown("Update ring", sum.ring, sum.agents, params.ring, pick("ring")) : null);
    show(chosen, filters.filter((f) => params[f]).map((f) => h("button", { class: "button", type: "button", title: "Remove this filter", onclick: () => app.set({ [f]: "", page: "" }) }, `${f}: ${params[f]}  ×`)));
    const [first, last] = [page * pageSize + 1, Math.min((page + 1) * pageSize, fleet.total)];
    show(summary, fleet.total > pageSize ? `${count(first)}–${count(last)} of ${count(fleet.total)}` : count(fleet.total));
    show(head, columns().map(([name, title, style]) => header(name, title, style)));
    show(rows, fleet.agents.length ? fleet.agents.map((a) => row(a, sum.newest)) : h("tr", null, h("td", { colspan: columns().length, class: "empty" }, "No agent matches.")));
    foot.hidden = fleet.total <= pageSize;
    show(foot, h("button", { class: "button", type: "button", disabled: page === 0, onclick: () => app.set({ page: String(page - 1) }) }, "Previous"), " ",
      h("button", { class: "button", type: "button", disabled: last >= fleet.total, onclick: () => app.set({ page: String(page + 1) }) }, "Next"));
  }

  const columns = () => [["host", "Host", "c-host"], ["presence", "Presence", "c-presence"], ["state", "State (was: last known)", "c-state"], ["mode", "Mode", "c-mode"], ["version", "Agent", ""],
    ["content", "Content", "c-content"], ["ring", "Ring", "c-ring"], ["site", "Site", "c-site"], ["last_seen", "Last record (UTC)", "c-seen"]];

  function header(name, title, style) {
    const sorted = (params.sort ?? "host") === name;
    const down = params.desc === "true";
    return h("th", { class: style, "aria-sort": sorted ? (down ? "descending" : "ascending") : "none" },
      h("button", { type: "button", onclick: () => app.set({ sort: name, desc: sorted && !down ? "true" : "", page: "" }) }, title, sorted ? (down ? " ↓" : " ↑") : ""));
  }

  function row(a, newest) {
    const behind = newest && a.last_seen ? Date.parse(newest) - Date.parse(a.last_seen) : 0;
    const open = () => app.go("events", { q: a.id ? `agent:${quoted(a.id)}` : `host:${quoted(a.host)}` });
    return h("tr", { class: "row", tabindex: 0, title: `Agent ${a.id || a.entity}: show its events`, onclick: open, onkeydown: (e) => e.key === "Enter" && open() },
      h("td", { class: "mono clip", title: a.host }, a.host || h("span", { class: "faint" }, a.id)), h("td", { class: "nowrap", title: a.since ? `since ${stamp(a.since)} UTC` : "" }, presenceBadge(a.presence), a.since && newest && a.presence !== "alive" ? h("span", { class: "faint" }, `  ${roughly(Math.max(0, Date.parse(newest) - Date.parse(a.since)))}`) : null),
      h("td", null, a.presence === "alive" ? stateBadge(a.state) : lastKnown(a.state)), h("td", null, a.mode || dash()),
      h("td", { class: "clip", title: `${a.type} ${a.version}` }, a.type || dash(), " ", h("span", { class: "soft" }, a.version)),
      h("td", { class: "clip", title: a.content }, a.content || dash()), h("td", { class: "clip" }, a.ring || dash()), h("td", { class: "clip", title: a.site }, a.site || dash()),
      h("td", { class: "nowrap", title: "The latest record about it, whoever sent it" }, stamp(a.last_seen), behind > 60_000 ? h("span", { class: "faint" }, `  ${roughly(behind)} ago`) : null));
  }

  return { element, update };
}

const dash = () => h("span", { class: "faint" }, "–");

/** versionFirst turns "elastic-endpoint 8.14.3" around: the end of a long name is cut off. */
const versionFirst = (group) => ({ ...group, value: group.value.split(" ").reverse().join(" ") });
