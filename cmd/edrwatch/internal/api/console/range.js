// Time ranges end at the newest record, not at the wall clock: a replay of an
// old day is then as visible as a live feed.

import { get } from "./api.js";

const minute = 60_000;

export const ranges = [
  ["", "Fitted range", 0], ["15m", "Last 15 minutes", 15 * minute], ["1h", "Last hour", 60 * minute], ["6h", "Last 6 hours", 360 * minute],
  ["24h", "Last 24 hours", 1440 * minute], ["7d", "Last 7 days", 7 * 1440 * minute], ["all", "All records", 0],
];

/** bounds returns {from, to} in ISO form for a page's parameters and the status. */
export async function bounds(params, status) {
  if (params.from || params.to) return { from: params.from, to: params.to };
  const length = params.range ? (ranges.find(([name]) => name === params.range)?.[2] ?? 0) : await fitted(status);
  if (!length || !status.store.newest) return {};
  const newest = Date.parse(status.store.newest);
  return { from: new Date(newest - length).toISOString(), to: new Date(newest + 1).toISOString() };
}

const large = 300_000; // documents: from here on a look at all of them takes a while
let fit = { at: 0, documents: 0, length: 0 };

/**
 * fitted returns how far back 99 % of the records reach. A few records of
 * laptops that slept for weeks would make everything else one bar.
 */
async function fitted({ store }) {
  const documents = Object.values(store.documents).reduce((n, k) => n + k, 0);
  if (documents > large) return 1440 * minute;
  if (Date.now() - fit.at < minute / 2 && documents < 2 * fit.documents) return fit.length;
  let from = store.oldest;
  for (let look = 0; look < 6; look++) {
    const { buckets } = await get("events/histogram", { from, to: new Date(Date.parse(store.newest) + 1).toISOString(), buckets: 60 });
    let left = documents / 100;
    const first = buckets.findIndex((b) => (left -= b.count) < 0);
    if (first < 6) break;
    from = buckets[first].time;
  }
  fit = { at: Date.now(), documents, length: Date.parse(store.newest) - Date.parse(from) };
  return fit.length;
}
