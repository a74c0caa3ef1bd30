package store

// schemaVersion is kept in the file's user_version. The store is a cache of
// what other systems keep as well, so a file of another version is refused
// rather than migrated. Files of earlier releases of this version hold a table of
// agents, which nothing reads any more.
const schemaVersion = 1

// alertStream is event.Alerts as the SQL text needs it: a partial index is only
// used when the query repeats its condition literally.
const (
	onlyAlerts = "d.stream = 2"
	noAlerts   = "d.stream <> 2"
)

// schema has two partial indexes over time instead of one: every document is
// in exactly one of them, so that neither the eviction of events nor the list
// of alerts ever steps over the other kind. They hold the stream as well, so
// that a histogram is counted without touching the documents. The body comes last in its row, so
// that reading the columns before it touches no overflow page.
//
// The statistics at the end are those of a typical store (a hundredth of the
// documents are alerts, a hundredth have rules). They stand in for ANALYZE, so
// that plans are the same in every store, from the first document on.
const schema = `
CREATE TABLE docs (
  seq      INTEGER PRIMARY KEY,
  id       TEXT NOT NULL,
  stream   INTEGER NOT NULL,
  time     INTEGER NOT NULL,
  action   TEXT NOT NULL COLLATE NOCASE,
  host     TEXT NOT NULL COLLATE NOCASE,
  agent    TEXT NOT NULL COLLATE NOCASE,
  severity TEXT NOT NULL COLLATE NOCASE,
  kind     TEXT NOT NULL COLLATE NOCASE,
  alert_id TEXT NOT NULL COLLATE NOCASE,
  status   TEXT NOT NULL COLLATE NOCASE,
  rules    TEXT NOT NULL COLLATE NOCASE,
  body     TEXT NOT NULL
);
CREATE UNIQUE INDEX docs_id ON docs(id);
CREATE INDEX docs_events ON docs(time, stream) WHERE stream <> 2;
CREATE INDEX docs_alerts ON docs(time, stream) WHERE stream = 2;
CREATE INDEX docs_host ON docs(host, time);
CREATE INDEX docs_action ON docs(action, time);
CREATE INDEX docs_episode ON docs(alert_id, time) WHERE alert_id <> '';
CREATE INDEX docs_ruled ON docs(time, rules) WHERE rules <> '';

CREATE TABLE episodes (
  alert_id  TEXT PRIMARY KEY,
  doc       INTEGER NOT NULL,
  severity  TEXT NOT NULL,
  kind      TEXT NOT NULL,
  status    TEXT NOT NULL,
  started   INTEGER NOT NULL,
  updated   INTEGER NOT NULL,
  documents INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX episodes_updated ON episodes(updated, doc);
CREATE INDEX episodes_doc ON episodes(doc);

CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO counters VALUES ('evicted', 0);

ANALYZE sqlite_schema;
INSERT INTO sqlite_stat1(tbl, idx, stat) VALUES
  ('docs', 'docs_id', '1000000 1'), ('docs', 'docs_events', '990000 4 4'), ('docs', 'docs_alerts', '10000 4 4'),
  ('docs', 'docs_host', '1000000 500 1'), ('docs', 'docs_action', '1000000 25000 4'),
  ('docs', 'docs_episode', '10000 3 1'), ('docs', 'docs_ruled', '10000 4 1'),
  ('episodes', 'episodes_updated', '10000 2 1'), ('episodes', 'episodes_doc', '10000 1');
`
