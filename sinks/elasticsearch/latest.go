package elasticsearch

import (
	"context"
	"slices"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/sinks/internal/httpx"
)

// Besides the history, one document for each agent and each alert holds its
// newest state, overwritten in place in an index of its own:
//
//   - The version of a document (event.Latest) is Elasticsearch's external
//     version: what is older, or was written before, conflicts (409) and changes
//     nothing, whoever sends it, in whatever order, how often.
//   - The history is written first. A document is done when it is in both; until
//     then it is pending, and when it comes again the history says duplicate.
//   - Of an alert that is resolved, what it said while it fired stays: see
//     keep.go. The gateway keeps nothing in memory for this.

// LatestAgents and LatestAlerts are the names of the indices, without namespace.
const (
	LatestAgents = "edr-agents-latest"
	LatestAlerts = "edr-alerts-latest"
)

// latestIndex is the index of the newest state of what a stream's documents are
// the state of; "" for streams of events. Its name is an alias in the cluster.
func latestIndex(s event.Stream, namespace string) string {
	switch s {
	case event.Metrics:
		return LatestAgents + "-" + namespace
	case event.Alerts:
		return LatestAlerts + "-" + namespace
	}
	return ""
}

// latestIndices are all of them.
func latestIndices(namespace string) (names []string) {
	for _, s := range event.Streams() {
		if name := latestIndex(s, namespace); name != "" {
			names = append(names, name)
		}
	}
	return names
}

func newLatestEncoder(namespace string, compress bool) encoder {
	return newStateEncoder("index", namespace, compress, []string{"errors", "items.*.status", "items.*.error"}, true)
}

func newStateEncoder(verb, namespace string, compress bool, filter []string, versioned bool) encoder {
	e := encoder{verb: verb, versioned: versioned, options: bulkOptions{alias: true, filter: filter}}
	for _, s := range event.Streams() {
		if index := latestIndex(s, namespace); index != "" {
			e.actions[s] = `{"` + verb + `":{"_index":"` + index + `","_id":`
		}
	}
	if compress {
		e.gzip = new(httpx.Compressor)
	}
	return e
}

// state is the newest state of an agent or an alert among the documents of one
// Write.
type state struct {
	of      []int // places of its documents, in the order of their versions
	stream  event.Stream
	newest  *event.Document
	earlier *event.Document // the one before the newest
}

// statesOf finds the states that documents tell which are in the history. What is
// not there yet comes again, and its state with it.
func statesOf(docs []*event.Document, results []event.Result) []state {
	var states []state
	place := map[event.Stream]map[string]int{}
	for i, d := range docs {
		if d.Latest.ID == "" || latestIndex(d.Stream, "") == "" || results[i].Outcome != event.Indexed && results[i].Outcome != event.Duplicate {
			continue
		}
		if place[d.Stream] == nil {
			place[d.Stream] = map[string]int{}
		}
		at, known := place[d.Stream][d.Latest.ID]
		if !known {
			at = len(states)
			place[d.Stream][d.Latest.ID] = at
			states = append(states, state{stream: d.Stream})
		}
		states[at].of = append(states[at].of, i)
	}
	for i := range states {
		st := &states[i]
		slices.SortStableFunc(st.of, func(a, b int) int { return compareVersions(docs[a], docs[b]) })
		st.newest = docs[st.of[len(st.of)-1]]
		if n := len(st.of); n > 1 {
			st.earlier = docs[st.of[n-2]]
		}
	}
	return states
}

func compareVersions(a, b *event.Document) int {
	switch {
	case a.Latest.Version < b.Latest.Version:
		return -1
	case a.Latest.Version > b.Latest.Version:
		return 1
	}
	return 0
}

// writeLatest writes the newest states and takes back the outcome of documents
// whose state is not written.
func (s *Sink) writeLatest(ctx context.Context, docs []*event.Document, results []event.Result, failures *httpx.Worst) {
	states := statesOf(docs, results)
	if len(states) == 0 {
		return
	}
	written := make([]event.Document, len(states))
	pointers, outcomes := make([]*event.Document, len(states)), make([]event.Result, len(states))
	for i := range states {
		d := states[i].newest
		written[i] = event.Document{ID: d.Latest.ID, Stream: d.Stream, Body: d.Body, Latest: d.Latest}
		pointers[i] = &written[i]
	}
	pending := s.keepEvidence(ctx, states, pointers, failures)
	sent := part{as: &s.latest}
	var places []int
	for i := range states {
		if !pending[i] {
			places = append(places, i)
			sent.docs = append(sent.docs, pointers[i])
		}
	}
	sent.results = make([]event.Result, len(sent.docs))
	s.sendAll(ctx, sent, failures)
	for n, i := range places {
		outcomes[i] = sent.results[n]
	}
	for i := range states {
		if outcomes[i].Outcome == event.Indexed || outcomes[i].Outcome == event.Duplicate {
			continue
		}
		for _, at := range states[i].of {
			results[at] = outcomes[i]
		}
	}
}
