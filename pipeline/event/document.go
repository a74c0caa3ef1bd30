package event

// Stream is the data stream family that a document belongs to.
type Stream uint8

// The data stream families.
const (
	Telemetry Stream = iota // logs-edr.telemetry-*
	Metrics                 // metrics-edr.agent-*
	Alerts                  // logs-edr.alerts-*
	Gateway                 // logs-edr.gateway-*
)

// Streams lists the families in the order of their values.
func Streams() []Stream { return []Stream{Telemetry, Metrics, Alerts, Gateway} }

// String returns the short name used in routes, metrics and source types.
func (s Stream) String() string { return [...]string{"telemetry", "metrics", "alerts", "gateway"}[s] }

// DataStream returns data_stream.type and data_stream.dataset.
func (s Stream) DataStream() (typ, dataset string) {
	switch s {
	case Metrics:
		return "metrics", "edr.agent"
	case Alerts:
		return "logs", "edr.alerts"
	case Gateway:
		return "logs", "edr.gateway"
	}
	return "logs", "edr.telemetry"
}

// Document is one encoded event or alert on its way to the sinks. All sinks
// share it: it must not be changed, and Body must not be kept after Write.
type Document struct {
	ID     string // event.id: the _id in Elasticsearch
	Stream Stream
	Time   int64  // @timestamp, nanoseconds since 1970
	Body   []byte // nested ECS JSON, one line, no newline at the end

	// What routes and the store filter by.
	Action    string
	Host      string // host.name, else agent.id
	AgentID   string
	Severity  string   // edr.alert.severity; "" on events
	AlertKind string   // edr.alert.kind; "" on events
	Rules     []string // edr.rules, or the rule.id of an alert

	// Latest is set where the document is the state of an agent or an alert.
	Latest Latest

	// Where it came from, for the dead letter.
	Partition *Partition
	Offset    int64
	Received  int64 // the broker's timestamp, milliseconds since 1970
}

// Outcome is the result of writing a document to one sink.
type Outcome uint8

const (
	// Pending means not known yet: the document is sent again.
	Pending Outcome = iota
	// Indexed means stored by this write.
	Indexed
	// Duplicate means stored before under the same id.
	Duplicate
	// Quarantined means kept by the server outside its stream (failure store).
	Quarantined
	// Refused means never storable here; the pipeline dead-letters it.
	Refused
	// Filtered means that the sink's route does not take it.
	Filtered
)

// String returns the metric label.
func (o Outcome) String() string {
	return [...]string{"pending", "indexed", "duplicate", "quarantined", "dead", "filtered"}[o]
}

// Result is the fate of one document in one call of a sink's Write.
type Result struct {
	Outcome Outcome
	Err     error // why, for Refused and, where known, for Pending
}

// Dead is a record or a document that could not be used, with the reason.
type Dead struct {
	Partition Partition
	Offset    int64
	Time      int64 // broker's timestamp, milliseconds since 1970
	Key       []byte
	Headers   []Header
	Original  []byte // the record's value as it came; the document's body for stage "sink"
	Stage     string // source, mapping, or the sink's name
	Reason    string // a fault.Reason
	Detail    string // the error's text
}
