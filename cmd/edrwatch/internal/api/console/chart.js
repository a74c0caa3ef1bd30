// The time histogram: stacked bars of events, metrics and alerts.

import { h, s, show } from "./dom.js";
import { count, short, stamp, tick } from "./format.js";

const height = 128;
const left = 46;
const bottom = 20;

/** Histogram draws into its element; dragging over it calls zoom(from, to). */
export class Histogram {
  constructor(zoom) {
    this.zoom = zoom;
    this.box = h("div", { class: "chart" });
    this.readout = h("p", { class: "readout", "aria-live": "off" });
    this.element = h("figure", null, this.box, this.readout);
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.box);
  }

  close() {
    this.observer.disconnect();
  }

  set(data) {
    this.data = data;
    this.draw();
  }

  draw() {
    const width = this.box.clientWidth - 28;
    const { data } = this;
    if (!data || width < 100) return;
    if (data.buckets.length === 0) {
      show(this.box, h("p", { class: "empty" }, "No records in this time range."));
      show(this.readout);
      return;
    }
    const { buckets } = data;
    const most = Math.max(1, ...buckets.map((b) => b.count));
    const top = niceTop(most);
    const inner = height - bottom - 6;
    const y = (n) => 6 + inner - (inner * n) / top;
    const slot = (width - left) / buckets.length;
    const gap = slot > 6 ? 1.5 : slot > 3 ? 0.5 : 0;
    const bar = (kind, i, from, to, least = 0) => {
      const tall = Math.max(y(from) - y(to), to > from ? least : 0);
      return to > from ? s("rect", { class: kind, x: left + i * slot + gap / 2, width: Math.max(slot - gap, 0.6), y: y(from) - tall, height: tall }) : null;
    };
    const svg = s("svg", {
      class: this.zoom ? "zoomable" : null, height, viewBox: `0 0 ${width} ${height}`, role: "img",
      "aria-label": `Records over time: ${count(buckets.reduce((n, b) => n + b.count, 0))} from ${stamp(data.from)} to ${stamp(data.to)} UTC`,
    });
    for (const n of [0, top / 2, top]) {
      svg.append(s("line", { class: "grid", x1: left, x2: width, y1: y(n) + 0.5, y2: y(n) + 0.5 }),
        s("text", { x: left - 8, y: y(n) + 4, "text-anchor": "end" }, short(n)));
    }
    const step = data.interval_seconds;
    buckets.forEach((b, i) => {
      const events = b.count - b.alerts - b.metrics;
      for (const r of [bar("events", i, 0, events), bar("metrics", i, events, events + b.metrics), bar("alerts", i, events + b.metrics, b.count, 3)]) {
        if (r) svg.append(r);
      }
    });
    const every = Math.ceil(90 / slot);
    for (let i = 0; i < buckets.length - every / 3; i += every) {
      svg.append(s("text", { x: left + i * slot, y: height - 4 }, tick(buckets[i].time, step * every)));
    }
    this.#follow(svg, width, slot);
    show(this.box, svg);
    this.#rest();
  }

  #rest() {
    const { data } = this;
    show(this.readout, `${stamp(data.from)} – ${stamp(data.to)} UTC, one bar is ${spell(data.interval_seconds)}${this.zoom ? "; drag to narrow the time range" : ""}`);
  }

  #follow(svg, width, slot) {
    const { buckets, interval_seconds: step } = this.data;
    const mark = s("rect", { class: "hover", y: 0, height: height - bottom, width: 0 });
    svg.append(mark);
    const place = (e) => {
      const x = ((e.clientX - svg.getBoundingClientRect().left) * width) / svg.getBoundingClientRect().width - left;
      return Math.min(Math.max(Math.floor(x / slot), 0), buckets.length - 1);
    };
    let start = null;
    svg.addEventListener("pointermove", (e) => {
      const i = place(e);
      const [from, to] = start === null ? [i, i] : [Math.min(start, i), Math.max(start, i)];
      mark.setAttribute("class", start === null ? "hover" : "brush");
      mark.setAttribute("x", left + from * slot);
      mark.setAttribute("width", (to - from + 1) * slot);
      let [all, alerts] = [0, 0];
      for (const b of buckets.slice(from, to + 1)) [all, alerts] = [all + b.count, alerts + b.alerts];
      show(this.readout, `${stamp(buckets[from].time)} + ${spell(step * (to - from + 1))}: ${count(all)} records, ${count(alerts)} of them alerts`);
    });
    svg.addEventListener("pointerleave", () => {
      if (start === null) {
        mark.setAttribute("width", 0);
        this.#rest();
      }
    });
    if (!this.zoom) return;
    svg.addEventListener("pointerdown", (e) => {
      start = place(e);
      svg.setPointerCapture(e.pointerId);
      e.preventDefault();
    });
    svg.addEventListener("pointerup", (e) => {
      if (start === null) return;
      const end = place(e);
      const [from, to] = [Math.min(start, end), Math.max(start, end)];
      start = null;
      this.zoom(buckets[from].time, new Date(Date.parse(buckets[to].time) + step * 1000).toISOString());
    });
  }
}

function niceTop(most) {
  const power = 10 ** Math.floor(Math.log10(most));
  for (const m of [1, 2, 4, 6, 8, 10]) if (m * power >= most) return Math.max(m * power, 2);
  return most;
}

function spell(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  for (const [size, name] of [[86400, "day"], [3600, "hour"], [60, "minute"]]) {
    if (seconds >= size && seconds % size === 0) return seconds === size ? `1 ${name}` : `${seconds / size} ${name}s`;
  }
  return `${seconds} s`;
}

export const legend = () => h("div", { class: "legend" },
  h("span", null, h("i"), "events"), h("span", null, h("i", { class: "metrics" }), "metrics"), h("span", null, h("i", { class: "alerts" }), "alerts"));
