package ecs

// Action is a value of event.action with the classification that goes with it.
type Action struct {
	Name     string
	Kind     string   // event.kind
	Category []string // event.category
	Type     []string // event.type
	Outcome  string   // event.outcome; "" where the action does not imply one
}

// Actions returns the closed vocabulary of event.action. Where published
// forms disagree it follows Elastic's integrations, except that agent.* is the
// EDR agent itself.
func Actions() []Action {
	list := func(v ...string) []string { return v }
	return []Action{
		{"sensor-heartbeat", "state", list("host"), list("info"), "success"},
		{"sensor-started", "event", list("process"), list("start"), "success"},
		{"sensor-stopped", "event", list("process"), list("end"), ""},
		{"sensor-crashed", "event", list("process"), list("end"), "failure"},
		{"sensor-installed", "event", list("package"), list("installation"), "success"},
		{"sensor-updated", "event", list("package"), list("change"), ""},
		{"sensor-uninstalled", "event", list("package"), list("deletion"), "success"},
		{"sensor-connected", "event", list("network", "session"), list("connection", "info"), "success"},
		{"content-updated", "event", list("configuration"), list("change"), "success"},
		{"content-update-failed", "event", list("configuration"), list("change"), "failure"},
		{"policy-applied", "event", list("configuration"), list("change"), "success"},
		{"policy-failed", "event", list("configuration"), list("change"), "failure"},
		{"mode-changed", "state", list("host"), list("change"), ""},
		{"protection-enabled", "event", list("configuration"), list("change"), "success"},
		{"protection-disabled", "event", list("configuration"), list("change"), "success"},
		{"tamper-attempt", "event", list("configuration"), list("change"), ""},
		{"exclusion-changed", "event", list("configuration"), list("change"), "success"},
		{"uninstall-token-revealed", "event", list("configuration"), list("access"), "success"},
		{"service-configured", "event", list("configuration"), list("change"), "success"},
		{"service-crashed", "event", list("process"), list("end"), "failure"},
		{"service-started", "event", list("process"), list("start"), "success"},
		{"service-stopped", "event", list("process"), list("end"), ""},
		{"driver-loaded", "event", list("driver"), list("start"), "success"},
		{"driver-unloaded", "event", list("driver"), list("end"), ""},
		{"driver-blocked", "event", list("driver"), list("info"), "failure"},
		{"module-loaded", "event", list("library"), list("start"), "success"},
		{"host-booted", "event", list("host"), list("start"), "success"},
		{"host-crashed", "event", list("host"), list("end"), "failure"},
		{"host-unclean-shutdown", "event", list("host"), list("end"), "failure"},
		{"host-shutdown", "event", list("host"), list("end"), "success"},
		{"resource-usage", "metric", list("process"), list("info"), ""},
		{"inventory", "asset", list("host"), list("info"), ""},
		{"scan-started", "event", list("malware"), list("info"), ""},
		{"scan-finished", "event", list("malware"), list("info"), ""},
		{"telemetry-dropped", "event", list("host"), list("info"), "failure"},
		{"log-cleared", "event", list("configuration"), list("deletion"), "success"},
		{"privilege-changed", "event", list("iam"), list("change"), ""},
		{"response-taken", "event", list("configuration"), list("info"), ""},
		{"rollout-judged", "state", list("configuration"), list("info"), ""},
		{"gateway-started", "event", list("process"), list("start"), "success"},
		{"gateway-heartbeat", "metric", list("process"), list("info"), ""},
		{"gateway-reloaded", "event", list("configuration"), list("change"), ""},
		{"gateway-stopped", "event", list("process"), list("end"), ""},
		{"alert", "alert", nil, nil, ""},
		{"error", "event", list("host"), list("info"), "failure"},
		{"other", "event", list("host"), list("info"), ""},
	}
}

// Closed vocabularies of our own fields.
var (
	states     = [...]string{"uninstalled", "offline", "disabled", "reduced", "degraded", "isolated", "protecting", "unknown"}
	modes      = [...]string{"kernel", "ebpf", "user", "unknown"}
	presences  = [...]string{"alive", "silent", "asleep", "gone", "unknown"}
	severities = [...]string{"info", "low", "medium", "high", "critical"}
	statuses   = [...]string{"pending", "firing", "resolved"}
	voices     = [...]string{"agent", "host", "server", "unknown"}
	scopes     = [...]string{"host", "site", "cohort", "fleet", "pipeline"}
	alertKinds = [...]string{
		"cpu_spike", "memory_leak", "restart_storm", "crash_loop", "silent_host", "silent_alive", "mass_silence",
		"site_outage", "pipeline_silence", "boot_loop", "bad_rollout", "privilege_drift", "tamper",
		"version_noncompliance", "protection_disabled", "mode_change", "module_untrusted", "sandbox_failure",
		"telemetry_loss", "anomaly", "other",
	}
)

// States are the values of edr.state in order of precedence: when several
// hold, the earlier one is reported.
func States() []string { s := states; return s[:] }

// Modes are the values of edr.mode.
func Modes() []string { s := modes; return s[:] }

// Voices are the values of edr.provenance.voice: the agent itself, its host
// about it, a server (console, inventory, API of a vendor's cloud) about it, or
// nobody knows.
func Voices() []string { v := voices; return v[:] }

// Presences are the values of edr.presence. Of an agent that is not alive,
// edr.state is what was known last.
func Presences() []string { p := presences; return p[:] }

// AlertKinds are the values of edr.alert.kind.
func AlertKinds() []string { s := alertKinds; return s[:] }

// AlertStatuses are the values of edr.alert.status in the order of an episode.
func AlertStatuses() []string { s := statuses; return s[:] }

// ResponseActions are the values of edr.response.action: what can be asked for
// because of an alert. A worker knows what each means for its vendor's console.
func ResponseActions() []string {
	return []string{
		"pause_rollout",          // no further agent gets the version
		"rollback_content",       // agents go back to the content before
		"move_to_ring",           // hosts go to the ring in the parameter ring
		"isolate_update_channel", // agents get nothing through the channel for now
		"open_case",              // a person has to look
		"notify",                 // tell, nothing more
	}
}

// AlertScopes are the values of edr.alert.scope.
func AlertScopes() []string { s := scopes; return s[:] }

// Severities are the values of edr.alert.severity in rising order.
func Severities() []string { s := severities; return s[:] }

// SeverityNumber is the event.severity of a value of edr.alert.severity, the
// numbers that Elastic's detection rules use; 0 for an unknown value.
func SeverityNumber(severity string) int64 {
	switch severity {
	case "info":
		return 10
	case "low":
		return 21
	case "medium":
		return 47
	case "high":
		return 73
	case "critical":
		return 99
	}
	return 0
}
