package offline

import (
	"slices"
	"strings"
	"time"
)

// draftField is a field of the dictionary with the path that likely fills it.
type draftField struct{ name, path string }

// fields returns what the names of the paths tell, each path once.
func (d *draft) fields() []draftField {
	agent := []string{"agent", "sensor", "endpoint", "client", "device"}
	host := []string{"host", "machine", "computer", "device", "endpoint", "system"}
	var out []draftField
	for _, guess := range []struct {
		field string
		names []string
	}{
		{"agent.id", append(compounds(agent, "id", "uid", "uuid", "guid"), "aid")},
		{"agent.version", append(compounds(agent, "version", "ver"), "productversion", "version")},
		{"host.name", append(compounds(host, "name", "fqdn", "hostname"), "hostname", "fqdn", "computer", "host", "machine")},
		{"host.id", compounds(host, "id", "uid", "uuid", "guid")},
		{"host.ip", append(compounds(host, "ip", "addr", "address", "ipaddress"), "ipaddress", "localip", "privateip", "ip")},
		{"host.os.full", append(compounds(host, "os", "osname", "osversion"), "osfull", "os", "osname", "operatingsystem", "platform")},
		{"user.name", []string{"username", "user", "account", "accountname"}},
		{"error.code", []string{"errorcode", "errcode", "statuscode"}},
		{"error.message", []string{"errormessage", "errormsg", "error"}},
		{"message", []string{"message", "msg", "description"}},
	} {
		if path := d.named(guess.names, nil); path != "" {
			d.taken[path] = true
			out = append(out, draftField{guess.field, path})
		}
	}
	return out
}

// compounds returns every first word with every second one.
func compounds(first []string, second ...string) []string {
	var out []string
	for _, a := range first {
		for _, b := range second {
			out = append(out, a+b)
		}
	}
	return out
}

// named returns the free path that has the first of the names: its last key, or
// its last two without what separates them. Paths that every record has go
// first.
func (d *draft) named(names []string, holds func(path string) bool) string {
	for _, all := range []bool{true, false} {
		for _, name := range names {
			for _, path := range d.paths {
				if d.taken[path] || d.common(path) != all || holds != nil && !holds(path) {
					continue
				}
				keys := strings.Split(path, ".")
				last := plain(keys[len(keys)-1])
				if last == name && (len(keys) == 1 || len(name) > 4) || len(keys) > 1 && plain(keys[len(keys)-2])+last == name {
					return path
				}
			}
		}
	}
	return ""
}

// plain returns a key in lower case without what separates its words.
func plain(key string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("_-@ ", r) {
			return -1
		}
		return r
	}, strings.ToLower(key))
}

// time returns the path of the record's time, and its format.
func (d *draft) time() (path, format string) {
	isTime := func(path string) bool { return timeFormat(d.values[path]) != "" }
	names := []string{"timestamp", "eventtime", "time", "ts", "datetime", "date", "createdat", "created", "generatedtime", "occurredat", "when", "timems", "timestampms"}
	if path = d.named(names, isTime); path == "" {
		for _, p := range d.paths { // A name that nobody knows, with times that cannot be anything else.
			if d.common(p) && isTime(p) && strings.ContainsAny(d.values[p][0], "-/.: ") {
				path = p
				break
			}
		}
	}
	if path == "" {
		return "", ""
	}
	d.taken[path] = true
	return path, timeFormat(d.values[path])
}

// timeFormat returns the format of a mapping file that reads all the values; ""
// when none does. Day and month are distinguished by the values alone.
func timeFormat(values []string) string {
	all := func(holds func(string) bool) bool {
		return !slices.ContainsFunc(values, func(v string) bool { return !holds(v) })
	}
	if all(func(v string) bool {
		return len(v) >= 9 && strings.Trim(v, "0123456789.") == "" && strings.Count(v, ".") <= 1
	}) {
		return "auto"
	}
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02 15:04:05"} {
		if all(func(v string) bool {
			if len(v) < len(layout) {
				return false
			}
			_, err := time.Parse(layout, v[:len(layout)])
			return err == nil
		}) {
			return "auto"
		}
	}
	for _, layout := range []string{
		"02.01.2006 15:04:05", "2006/01/02 15:04:05", "01/02/2006 3:04:05 PM", "02/01/2006 3:04:05 PM", "01/02/2006 15:04:05", "02/01/2006 15:04:05",
		"Jan 2, 2006 3:04:05 PM", "Jan 2 2006 15:04:05", "2 Jan 2006 15:04:05", "Mon Jan _2 15:04:05 2006", "Mon, 02 Jan 2006 15:04:05 MST", "Mon, 02 Jan 2006 15:04:05 -0700",
	} {
		if all(func(v string) bool { _, err := time.Parse(layout, v); return err == nil }) {
			return layout
		}
	}
	return ""
}

// kind returns the path whose values distinguish the kinds of events.
func (d *draft) kind() string {
	const mostKinds = 200
	few := func(path string) bool { return d.common(path) && len(d.distinct(path)) <= mostKinds }
	path := d.named([]string{
		"eventtype", "eventname", "event", "evt", "evttype", "evtname", "eventid", "eventcode", "type", "activitytype", "action", "operation", "messagetype", "kind", "category", "subtype", "name",
	}, func(path string) bool {
		// An id that differs in every record names no kind.
		return few(path) && (d.records == 1 || len(d.distinct(path)) < d.records || !strings.HasSuffix(plain(path), "id"))
	})
	if path != "" {
		d.taken[path] = true
	}
	return path
}

// recordID returns the paths that identify a record: a number or id that no two
// samples share, of one agent where there is one.
func (d *draft) recordID(fields []draftField) ([]string, bool) {
	var id []string
	for _, f := range fields {
		if f.name == "agent.id" {
			id = append(id, f.path)
		}
	}
	path := d.named([]string{"recordid", "eventid", "eventuuid", "eventguid", "messageid", "msgid", "uuid", "guid", "sequence", "seq", "seqno", "sequencenumber", "id"}, func(path string) bool {
		return d.common(path) && d.records > 1 && len(d.distinct(path)) == d.records
	})
	if path == "" {
		return nil, false
	}
	d.taken[path] = true
	return append(id, path), true
}

// likelyAction suggests an action for a kind of event, as a comment: names
// mislead, so the author decides.
func likelyAction(kind string) string {
	kind = plain(kind)
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(kind, w) })
	}
	action := ""
	switch {
	case has("heartbeat", "keepalive", "checkin", "alive", "beat", "ping"):
		action = "sensor-heartbeat"
	case has("tamper"):
		action = "tamper-attempt"
	case has("uninstall"):
		action = "sensor-uninstalled"
	case has("crash"):
		action = "sensor-crashed"
	case has("policy", "config"):
		action = "policy-applied"
	case has("signature", "definition", "pattern", "content") || has("sig", "def") && has("update"):
		action = "content-updated"
	case has("install"):
		action = "sensor-installed"
	case has("upgrade", "update"):
		action = "sensor-updated"
	case has("exclusion"):
		action = "exclusion-changed"
	case has("disabl"):
		action = "protection-disabled"
	case has("enabl"):
		action = "protection-enabled"
	case has("start", "online"):
		action = "sensor-started"
	case has("stop", "shutdown", "offline"):
		action = "sensor-stopped"
	case has("connect"):
		action = "sensor-connected"
	case has("detect", "alert", "threat", "malware"):
		action = "alert"
	case has("metric", "usage", "performance", "resource"):
		action = "resource-usage"
	case has("error", "fail"):
		action = "error"
	case has("inventory", "status", "info"):
		action = "inventory"
	default:
		return ""
	}
	return " # " + action + "?"
}
