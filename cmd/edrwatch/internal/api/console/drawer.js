import { get } from "./api.js";
import { h, show } from "./dom.js";
import { at, count, duration, flat, percent, plain, quoted, stamp, words } from "./format.js";
import { copyButton, headline, json, note, problem, severityBadge, statusText } from "./parts.js";

const mostHosts = 60;

/** Drawer shows one alert beside the page. */
export class Drawer {
  constructor(element, app) {
    this.element = element;
    this.app = app;
  }

  async show(id) {
    if (id === this.id) return;
    this.id = id;
    this.element.hidden = !id;
    if (!id) {
      this.back?.focus?.();
      return;
    }
    this.back = document.activeElement;
    try {
      const answer = await get(`alerts/${encodeURIComponent(id)}`);
      if (this.id === id) this.#fill(answer);
    } catch (e) {
      if (this.id === id) show(this.element, this.#head("", ""), h("section", null, problem(e)));
    }
    this.element.querySelector("button")?.focus();
  }

  #head(title, badges) {
    return h("header", null,
      h("div", { class: "line" }, badges, h("button", { class: "button", type: "button", "aria-label": "Close", onclick: () => this.app.set({ alert: "" }) }, "Close")),
      h("h2", null, title));
  }

  #fill({ alert: a, rule, history }) {
    const doc = a.document;
    const alert = at(doc, "edr.alert") ?? {};
    const lasted = Date.parse(a.updated) - Date.parse(a.started);
    const facts = [
      ["Rule", h("a", { href: this.app.link("alerts", { rule: a.rules[0] ?? "" }) }, at(doc, "rule.name") || rule?.name || a.rules[0] || "–")],
      ["Kind", words(a.kind)],
      ["Scope", [alert.scope, alert.site].filter(Boolean).join(", ") || "–"],
      ["Key", alert.key && h("span", { class: "mono" }, alert.key)],
      ["Host", a.host && h("a", { class: "mono", href: this.app.link("events", { q: `host:${quoted(a.host)}` }) }, a.host)],
      ["Agent", [at(doc, "agent.type"), at(doc, "agent.version")].filter(Boolean).join(" ")],
      ["Started", `${stamp(a.started)} UTC`],
      [a.status === "resolved" ? "Resolved" : "Updated", `${stamp(a.updated)} UTC${lasted > 0 ? `, after ${duration(lasted)}` : ""}`],
      ["Risk score", at(doc, "event.risk_score")],
      ["Technique", techniques(doc, rule)],
    ].filter(([, value]) => value !== undefined && value !== "" && value !== null);
    show(this.element,
      this.#head(headline(a), [severityBadge(a.severity), statusText(a.status)]),
      h("section", null, alert.reason ? h("p", null, alert.reason) : null, this.#affected(alert),
        h("dl", { class: "facts" }, facts.map(([name, value]) => [h("dt", null, name), h("dd", null, value)]))),
      this.#evidence(alert.evidence),
      rule && (rule.note || rule.description) ? h("section", null, h("h3", null, "What to do"), note(rule.note || rule.description)) : null,
      this.#hosts(alert.hosts),
      history.length > 1 ? h("section", null, h("h3", null, "History"), h("ol", { class: "history" }, history.map((d) => h("li", null,
        h("span", { class: "mono soft" }, stamp(d.time)), statusText(d.status), h("span", { class: "clip soft" }, at(d.document, "edr.alert.reason") || at(d.document, "message") || ""))))) : null,
      h("section", null, h("h3", null, "Document"), h("div", { class: "jsonbar" }, copyButton(doc)), h("details", null, h("summary", null, "Show JSON"), json(doc))));
    this.element.scrollTop = 0;
  }

  #affected({ count: n, denominator: all }) {
    if (n === undefined || !all) return null;
    return h("div", { class: "affected" },
      h("p", null, h("span", { class: "big" }, count(n)), ` of ${count(all)} affected `, h("span", { class: "soft" }, `(${percent(n, all)})`)),
      h("div", { class: "share", "aria-hidden": "true" }, h("span", { class: "c-disabled", "width%": Math.min(100, (100 * n) / all) })));
  }

  #evidence(evidence) {
    const pairs = flat(evidence ?? {});
    if (pairs.length === 0) return null;
    return h("section", null, h("h3", null, "Evidence"),
      h("dl", { class: "facts" }, pairs.map(([name, value]) => [h("dt", null, name.includes(".") ? name : words(name)), h("dd", { class: "mono" }, plain(value))])));
  }

  #hosts(hosts) {
    const list = Array.isArray(hosts) ? hosts : hosts ? [hosts] : [];
    if (list.length === 0) return null;
    return h("section", null, h("h3", null, `Hosts (${count(list.length)})`),
      h("div", { class: "hosts" }, list.slice(0, mostHosts).map((name) => h("a", { href: this.app.link("events", { q: `host:${quoted(name)}` }) }, name)),
        list.length > mostHosts ? h("span", { class: "soft" }, `and ${count(list.length - mostHosts)} more in the document`) : null));
  }
}

function techniques(doc, rule) {
  const ids = at(doc, "threat.technique.id") ?? rule?.techniques;
  const names = at(doc, "threat.technique.name");
  return ids?.length ? plain(ids) + (names?.length ? ` (${plain(names)})` : "") : "";
}
