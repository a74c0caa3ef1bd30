// The page is told by the fragment: #/alerts?status=firing. Everything that a
// reader chooses stands in it, so that a view can be sent to a colleague.

import { ApiError, Live, get } from "./api.js";
import { alertsPage } from "./alerts.js";
import { h, settled, show } from "./dom.js";
import { Drawer } from "./drawer.js";
import { eventsPage } from "./events.js";
import { fleetPage } from "./fleet.js";
import { count, stamp } from "./format.js";
import { overviewPage } from "./overview.js";
import { problem } from "./parts.js";
import { rolloutsPage } from "./rollouts.js";
import { isEmpty, waiting } from "./waiting.js";

const pages = { overview: overviewPage, alerts: alertsPage, events: eventsPage, fleet: fleetPage, rollouts: rolloutsPage };
const every = 5000;

const main = document.getElementById("main");
const live = new Live();
const app = {
  live,
  status: null,
  /** go shows a page with exactly these parameters. */
  go: (name, params) => (location.hash = link(name, params)),
  /** set changes parameters of the page that is shown. */
  set: (changes) => app.go(current.name, { ...current.params, ...changes }),
  link,
  rules: new Map(),
  /** ruleName is what a rule is called, or its id when it is not loaded. */
  ruleName: (id) => app.rules.get(id)?.name || id,
};
const drawer = new Drawer(document.getElementById("drawer"), app);
let current = { name: "", params: {}, page: null };

function link(name, params) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(params ?? {})) if (value) query.set(key, value);
  const text = query.toString();
  return `#/${name}${text ? `?${text}` : ""}`;
}

function route() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const name = Object.hasOwn(pages, path) ? path : "overview";
  const params = Object.fromEntries(new URLSearchParams(query ?? ""));
  const before = current;
  current = { name, params, page: before.page };
  if (before.name !== name) {
    before.page?.close?.();
    current.page = pages[name](app);
    show(main, current.page.element);
    document.title = `${name[0].toUpperCase()}${name.slice(1)} · edrwatch`;
    for (const a of document.querySelectorAll("#tabs a")) {
      if (a.getAttribute("href") === `#/${name}`) a.setAttribute("aria-current", "page");
      else a.removeAttribute("aria-current");
    }
    scrollTo(0, 0);
  }
  refresh();
  drawer.show(params.alert);
}

const failed = h("div");

let busy = null; // the page that is being brought up to date
let again = false;

/** refresh brings the page up to date; asked for meanwhile, it does so once more. */
async function refresh() {
  const { page } = current;
  if (busy === page) {
    again = true;
    return;
  }
  busy = page;
  do {
    again = false;
    await update();
  } while (again && current.page === page);
  if (busy === page) busy = null;
}

/** update asks for everything once; a failure is shown above what was there. */
async function update() {
  const { page, params } = current;
  try {
    const [status, firing] = await Promise.all([get("status"), get("alerts", { status: "firing", limit: 1 })]);
    app.status = status;
    showStatus(status, firing);
    if (page !== current.page) return;
    if (isEmpty(status)) return show(main, waiting(status));
    if (!page.element.isConnected) show(main, page.element);
    await page.update(params);
    failed.remove();
  } catch (e) {
    if (e.name === "AbortError" || page !== current.page) return;
    if (!(e instanceof ApiError)) console.error(e);
    show(failed, problem(e));
    main.prepend(failed);
  }
}

function showStatus(status, firing) {
  const pill = document.getElementById("firing");
  pill.hidden = !firing.total;
  show(pill, `${count(firing.total)}${firing.total_is_lower_bound ? "+" : ""}`, h("span", { class: "hush" }, " firing"));
  show(document.getElementById("clock"), status.store.newest ? `newest record ${stamp(status.store.newest)} UTC` : "no records yet");
}

const soon = settled(400, refresh);
const indicator = document.getElementById("live");
live.addEventListener("state", (e) => {
  indicator.className = `live ${e.detail ? "on" : "off"}`;
  show(indicator.lastElementChild, e.detail ? "live" : "disconnected");
  if (e.detail) soon();
});
live.addEventListener("alert", soon);
live.addEventListener("missed", soon);

addEventListener("hashchange", route);
addEventListener("keydown", (e) => {
  if (e.key === "Escape" && current.params.alert) return app.set({ alert: "" });
  const typing = e.target.closest?.("input, select, textarea");
  if (typing || e.ctrlKey || e.metaKey || e.altKey) return;
  if (e.key === "/") {
    const search = main.querySelector('input[type="search"]');
    if (search) {
      e.preventDefault();
      search.focus();
    }
  } else if (e.key >= "1" && e.key <= "5") {
    app.go(Object.keys(pages)[e.key - 1]);
  }
});
/** poll leaves the store alone for ten times as long as it took to answer. */
async function poll() {
  const began = performance.now();
  if (!document.hidden) await refresh();
  setTimeout(poll, Math.max(every, 10 * (performance.now() - began)));
}
/** loadRules learns the rules' names; they change when rules are reloaded. */
async function loadRules() {
  try {
    app.rules = new Map((await get("rules")).rules.map((rule) => [rule.id, rule]));
  } catch (e) {
    if (!(e instanceof ApiError)) throw e; // Without names the ids are shown.
  }
  setTimeout(loadRules, 60_000);
}

setTimeout(poll, every);
await loadRules();
route();
live.start();
