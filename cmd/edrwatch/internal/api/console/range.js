// Time ranges end at the newest record, not at the wall clock: a replay of an
// old day is then as visible as a live feed.

const minute = 60_000;

export const ranges = [
  ["15m", "Last 15 minutes", 15 * minute], ["1h", "Last hour", 60 * minute], ["6h", "Last 6 hours", 360 * minute],
  ["24h", "Last 24 hours", 1440 * minute], ["7d", "Last 7 days", 7 * 1440 * minute], ["all", "All records", 0],
];

/** bounds returns {from, to} in ISO form for a page's state and the status. */
export function bounds(state, status) {
  if (state.from || state.to) return { from: state.from, to: state.to };
  const range = ranges.find(([name]) => name === state.range);
  if (!range || !range[2] || !status?.store.newest) return {};
  const newest = Date.parse(status.store.newest);
  return { from: new Date(newest - range[2]).toISOString(), to: new Date(newest + 1).toISOString() };
}
