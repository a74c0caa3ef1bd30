package splunk

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/fault"
	"github.com/edrwatch/edrwatch/sinks/internal/httpx"
)

const (
	// codeNoData is what the collector says to a request without events. It
	// looks at the token first, so this is how one is tried without writing.
	codeNoData = 5
	// codeHealthy is what the health endpoint of a collector says.
	codeHealthy = 17
)

// Check asks whether events could be written now: a collector answers and
// accepts the token. One collector that works is enough; the others' failures
// are logged. It writes nothing.
func (s *Sink) Check(ctx context.Context) error {
	var failures []error
	for _, e := range s.client.endpoints {
		err := s.probe(ctx, e)
		if err == nil {
			for _, failure := range failures {
				s.log.Warn("a collector does not take events; another one does", "error", failure)
			}
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if len(s.client.endpoints) > 1 {
			f := *fault.Of(err)
			f.Err = errors.Join(errors.New(e.url.Host), f.Err)
			err = &f
		}
		failures = append(failures, err)
	}
	if len(failures) == 1 {
		return failures[0]
	}
	var worst httpx.Worst
	for _, failure := range failures {
		worst.Add(failure)
	}
	return worst.Err()
}

// probe asks for the collector's health, where it may be asked, and sends a
// request without events.
func (s *Sink) probe(ctx context.Context, e *endpoint) error {
	a, err := s.client.get(ctx, e, "/services/collector/health")
	if err != nil {
		return err
	}
	if r, err := decodeReply(a.body); err == nil && *r.Code != codeHealthy && a.status >= http.StatusInternalServerError {
		return judge(a.status, a.header, a.body, time.Now()).failure
	}
	a, err = s.client.post(ctx, e, "/services/collector/event", nil, false, 0)
	if err != nil {
		return err
	}
	if r, err := decodeReply(a.body); err == nil && *r.Code == codeNoData {
		return nil
	}
	v := judge(a.status, a.header, a.body, time.Now())
	switch {
	case v.action == accepted, v.action == slowDown:
		return nil
	case v.failure.Reason == fault.Unauthorized:
		s.client.refresh()
	case v.failure.Class == fault.Permanent && a.status == http.StatusBadRequest:
		return fault.New(fault.Operator, fault.Misconfigured, "the server does not answer as a collector does: %w", v.failure.Err).
			WithHint("check that the address is that of the HTTP Event Collector, port 8088 by default")
	}
	return v.failure
}
