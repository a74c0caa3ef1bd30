import { get } from "./api.js";
import { Histogram, legend } from "./chart.js";
import { h, show } from "./dom.js";
import { at, count, flat, plain, quoted, stamp } from "./format.js";
import { choice, copyButton, json, problem } from "./parts.js";
import { bounds, ranges } from "./range.js";

const pageSize = 50;

export function eventsPage(app) {
  let params = {};
  let shown = ""; // the query of the list that is shown
  let following = true; // false once a reader has opened a row or asked for more
  let aborter = new AbortController();
  const search = h("input", { type: "search", class: "mono", "aria-label": "Search events", placeholder: "Search, such as event.action:sensor-crashed AND host.name:web-*   ( / )", spellcheck: "false", autocomplete: "off" });
  const form = h("form", { class: "grow", role: "search", onsubmit: (e) => { e.preventDefault(); app.set({ q: search.value.trim() }); } }, search);
  search.addEventListener("search", () => app.set({ q: search.value.trim() }));
  const controls = h("div", { class: "filters" });
  const help = helpBox();
  const trouble = h("div", { class: "trouble" });
  const chart = new Histogram((from, to) => app.set({ from, to }));
  const summary = h("span", { class: "end", role: "status" });
  const rows = h("tbody");
  const foot = h("div", { class: "more", hidden: true });
  const element = h("div", { class: "stack" }, h("h1", { class: "hush" }, "Events"),
    h("div", { class: "filters" }, form, controls), help, trouble,
    h("section", { class: "card" }, h("header", null, h("h2", null, "Over time"), legend(), h("span", { class: "end" })), chart.element),
    h("section", { class: "card" }, h("header", null, h("h2", null, "Events"), summary),
      h("div", { class: "scroll" }, h("table", { class: "events-table" },
        h("thead", null, h("tr", null, h("th", { class: "c-time" }, "Time (UTC)"), h("th", { class: "c-action" }, "Action"), h("th", { class: "c-host" }, "Host"), h("th", null, "What it says"), h("th", { class: "c-rules" }, "Rules"))),
        rows)), foot));

  const query = async () => ({ q: params.q, stream: params.stream, ...(await bounds(params, app.status)) });

  async function update(next) {
    params = next;
    if (document.activeElement !== search) search.value = params.q ?? "";
    drawControls();
    const key = JSON.stringify([params.q, params.stream, params.range, params.from, params.to]);
    if (key !== shown) following = true;
    aborter.abort();
    aborter = new AbortController();
    const { signal } = aborter;
    try {
      const wanted = await query();
      const [histogram, page] = await Promise.all([
        get("events/histogram", { ...wanted, buckets: 120 }, signal),
        following ? get("events", { ...wanted, limit: pageSize }, signal) : null,
      ]);
      show(trouble);
      chart.set(histogram);
      if (page) list(page);
      shown = key;
    } catch (e) {
      if (e.parameter !== "q") throw e;
      show(trouble, problem(e, params.q ?? ""));
    }
  }

  function drawControls() {
    if (controls.contains(document.activeElement) && document.activeElement.tagName === "SELECT") return;
    const zoomed = params.from || params.to;
    show(controls,
      choice("Stream", [["", "All streams"], ["telemetry", "Telemetry"], ["metrics", "Metrics"], ["alerts", "Alerts"], ["gateway", "Gateway"]], params.stream ?? "", (v) => app.set({ stream: v })),
      zoomed ? h("button", { class: "button", type: "button", title: "Remove this time range", onclick: () => app.set({ from: "", to: "" }) }, `${stamp(params.from)} – ${stamp(params.to).slice(11)}  ×`)
        : choice("Time range", ranges.map(([v, text]) => [v, text]), params.range ?? "", (v) => app.set({ range: v })),
      h("button", { class: "button", type: "button", "aria-expanded": help.hidden ? "false" : "true", onclick: (e) => { help.hidden = !help.hidden; e.target.setAttribute("aria-expanded", help.hidden ? "false" : "true"); } }, "How to search"));
  }

  function list(page) {
    show(summary, `${count(page.total)}${page.total_is_lower_bound ? " or more" : ""}`);
    show(rows, page.events.length ? page.events.map(row) : h("tr", null, h("td", { colspan: 5, class: "empty" }, "No event matches.")));
    showMore(page.next);
  }

  function showMore(next) {
    foot.hidden = !next;
    show(foot, h("button", { class: "button", type: "button", onclick: async (e) => {
      e.target.disabled = true;
      following = false;
      const page = await get("events", { ...(await query()), limit: pageSize, cursor: next });
      rows.append(...page.events.map(row));
      showMore(page.next);
    } }, "Show more"));
  }

  function row(e) {
    let detail = null;
    const toggle = () => {
      if (detail) {
        detail.remove();
        detail = null;
      } else {
        following = false;
        detail = h("tr", { class: "detail" }, h("td", { colspan: 5 }, h("div", { class: "jsonbar" }, copyButton(e.document),
          h("a", { href: app.link("events", { q: `host:${quoted(e.host)}` }) }, "Events of this host"),
          e.rules.map((id) => h("a", { href: app.link("alerts", { rule: id }) }, `Alerts of ${app.ruleName(id)}`)),
          e.alert_id ? h("a", { href: app.link("events", { ...params, alert: e.alert_id }) }, "Open the alert") : null), json(e.document)));
        line.after(detail);
      }
      line.classList.toggle("open", detail !== null);
      line.setAttribute("aria-expanded", detail !== null);
    };
    const line = h("tr", { class: "row", tabindex: 0, "aria-expanded": "false", onclick: toggle, onkeydown: (k) => k.key === "Enter" && toggle() },
      h("td", { class: "mono nowrap" }, stamp(e.time, true)), h("td", { class: "clip", title: e.action }, e.action), h("td", { class: "mono clip", title: e.host }, e.host),
      h("td", { class: "clip pairs" }, says(e)), h("td", { class: "clip soft", title: e.rules.map(app.ruleName).join(", ") }, e.rules.map(app.ruleName).join(", ")));
    return line;
  }

  return {
    element, update,
    close: () => {
      aborter.abort();
      chart.close();
    },
  };
}

/** says puts what matters about an event on one line. */
function says(e) {
  const message = at(e.document, "message");
  if (message) return String(message);
  const pairs = flat(at(e.document, "edr") ?? {}, "").filter(([name]) => !name.startsWith("rules") && !name.startsWith("alert."));
  for (const [name, path] of [["agent", "agent.type"], ["version", "agent.version"], ["process", "process.name"], ["os", "host.os.type"]]) {
    const value = at(e.document, path);
    if (value !== undefined && pairs.length < 6) pairs.push([name, value]);
  }
  const early = ["state", "mode", "agent"];
  const rank = ([name]) => (early.includes(name) ? early.indexOf(name) : early.length);
  pairs.sort((a, b) => rank(a) - rank(b));
  return pairs.slice(0, 6).map(([name, value]) => h("span", null, h("b", null, `${name} `), plain(value)));
}

function helpBox() {
  return h("section", { class: "card helpbox", hidden: true }, [
    ["host.name:web-01", "a field has this value"], ["host:web-*", "* stands for any characters"], ['"sc stop"', "words that stand in any field"],
    ["edr.resource.cpu_pct:>80", "numbers compare with > >= < <="], ["severity>=high", "alerts at least this severe"], ["edr.state:*", "the event has the field"],
    ["a AND b, a OR b, NOT a", "combine, with parentheses"], ["@timestamp>=2024-07-19T04:09", "times are UTC"], ["rule:tamper*", "events that a rule matched"],
  ].map(([text, meaning]) => h("div", null, h("code", null, text), h("span", { class: "soft" }, `  ${meaning}`))));
}
