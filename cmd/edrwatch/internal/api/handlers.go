package api

import (
	"net/http"
	"slices"
	"time"
)

func (d *Data) events(r *http.Request) (any, error) {
	p := readParams(r.URL.RawQuery)
	q := p.query()
	p.paged(&q)
	if err := p.done(); err != nil {
		return nil, err
	}
	page, err := d.store.Search(r.Context(), q)
	if err != nil {
		return nil, err
	}
	return struct {
		Events []document `json:"events"`
		found
	}{documentsOf(page.Docs), foundOf(page.Total, page.More, page.Next)}, nil
}

func (d *Data) event(r *http.Request) (any, error) {
	if err := readParams(r.URL.RawQuery).done(); err != nil {
		return nil, err
	}
	doc, err := d.store.Document(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return documentOf(&doc), nil
}

func (d *Data) histogram(r *http.Request) (any, error) {
	p := readParams(r.URL.RawQuery)
	q := p.query()
	buckets := p.number("buckets", 1, 500)
	if err := p.done(); err != nil {
		return nil, err
	}
	h, err := d.store.Histogram(r.Context(), q, buckets)
	if err != nil {
		return nil, err
	}
	return histogramOf(&h), nil
}

func (d *Data) alerts(r *http.Request) (any, error) {
	p := readParams(r.URL.RawQuery)
	q := p.query()
	p.paged(&q)
	if err := p.done(); err != nil {
		return nil, err
	}
	page, err := d.store.Alerts(r.Context(), q)
	if err != nil {
		return nil, err
	}
	list := make([]episode, len(page.Episodes))
	for i := range page.Episodes {
		list[i] = episodeOf(&page.Episodes[i])
	}
	return struct {
		Alerts []episode `json:"alerts"`
		found
	}{list, foundOf(page.Total, page.More, page.Next)}, nil
}

// alert answers with one episode, its documents from the oldest to the latest,
// and the rule that raised it, with its note on what to do.
func (d *Data) alert(r *http.Request) (any, error) {
	if err := readParams(r.URL.RawQuery).done(); err != nil {
		return nil, err
	}
	e, docs, err := d.store.Alert(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	answer := struct {
		Alert   episode    `json:"alert"`
		Rule    *Rule      `json:"rule"` // null when it is not loaded any more
		History []document `json:"history"`
	}{Alert: episodeOf(&e), History: documentsOf(docs)}
	for _, rule := range d.gateway.Rules() {
		if slices.Contains(e.Latest.Rules, rule.ID) {
			answer.Rule = &rule
			break
		}
	}
	return answer, nil
}

func (d *Data) alertSummary(r *http.Request) (any, error) {
	p := readParams(r.URL.RawQuery)
	from, to := p.time("from"), p.time("to")
	if err := p.done(); err != nil {
		return nil, err
	}
	counts, err := d.store.AlertSummary(r.Context(), from, to)
	if err != nil {
		return nil, err
	}
	type count struct {
		Status   string `json:"status"`
		Severity string `json:"severity"`
		Kind     string `json:"kind"`
		Count    int64  `json:"count"`
	}
	list := make([]count, len(counts))
	for i, c := range counts {
		list[i] = count(c)
	}
	return map[string][]count{"counts": list}, nil
}

func (d *Data) rules(r *http.Request) (any, error) {
	if err := readParams(r.URL.RawQuery).done(); err != nil {
		return nil, err
	}
	rules := d.gateway.Rules()
	if rules == nil {
		rules = []Rule{}
	}
	return map[string][]Rule{"rules": rules}, nil
}

func (d *Data) status(r *http.Request) (any, error) {
	if err := readParams(r.URL.RawQuery).done(); err != nil {
		return nil, err
	}
	answer := statusAnswer{Now: time.Now().UTC(), Gateway: d.gateway.Status()}
	if d.store == nil {
		return answer, nil
	}
	stats, err := d.store.Stats(r.Context())
	if err != nil {
		return nil, err
	}
	answer.Store = &storeStatus{stats, stamp(stats.Oldest), stamp(stats.Newest)}
	return answer, nil
}
