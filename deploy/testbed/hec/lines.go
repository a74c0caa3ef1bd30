package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"go.opentelemetry.io/collector/pdata/plog"
)

// line is one received event. The receiver parses numbers as float64, so that
// integers beyond 2^53 and sub-microsecond times are not exact.
type line struct {
	Time       float64        `json:"time"` // seconds since 1970
	Host       any            `json:"host,omitempty"`
	Index      any            `json:"index,omitempty"`
	Source     any            `json:"source,omitempty"`
	SourceType any            `json:"sourcetype,omitempty"`
	Token      any            `json:"token,omitempty"` // from "Authorization: Splunk TOKEN"; the receiver does not check it
	Event      any            `json:"event"`
	Fields     map[string]any `json:"fields,omitempty"`
}

// Names of the attributes under which the receiver keeps HEC metadata.
const (
	attrHost       = "host.name"
	attrIndex      = "com.splunk.index"
	attrSource     = "com.splunk.source"
	attrSourceType = "com.splunk.sourcetype"
	attrToken      = "com.splunk.hec.access_token"
)

// lineWriter appends events to a file. A request is written whole, before the
// receiver answers it, so that an acknowledged event can be read back.
type lineWriter struct {
	mu  sync.Mutex
	out io.Writer
}

func (w *lineWriter) consume(_ context.Context, logs plog.Logs) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	for _, resource := range logs.ResourceLogs().All() {
		meta := resource.Resource().Attributes().AsRaw()
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				if err := enc.Encode(line{
					Time:       float64(record.Timestamp()) / 1e9,
					Host:       meta[attrHost],
					Index:      meta[attrIndex],
					Source:     meta[attrSource],
					SourceType: meta[attrSourceType],
					Token:      meta[attrToken],
					Event:      record.Body().AsRaw(),
					Fields:     record.Attributes().AsRaw(),
				}); err != nil {
					return fmt.Errorf("encoding event: %w", err)
				}
			}
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, err := w.out.Write(buf.Bytes()); err != nil {
		return fmt.Errorf("writing events: %w", err)
	}
	return nil
}
