package elasticsearch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// latestIndexes are the indices of newest states as the fake keeps them, by name
// and id. External versions behave as in Elasticsearch: what is not newer than
// what is there conflicts.
type latestIndexes map[string]map[string]latestDocument

type latestDocument struct {
	version int64
	body    []byte
	writes  int
}

// serveLatest answers a bulk request to the indices of newest states.
func (f *fake) serveLatest(w http.ResponseWriter, r *http.Request, respond func(http.ResponseWriter, *http.Request, []string) bool) {
	parameters := map[string]string{"require_alias": "true", "include_source_on_error": "false", "filter_path": r.URL.Query().Get("filter_path")}
	verb := "index"
	switch parameters["filter_path"] {
	case "errors,items.*.status,items.*.error":
	case "errors,items.*.status,items.*.error,items.*.get._source":
		verb = "update"
	default:
		f.t.Errorf("filter_path is %s", parameters["filter_path"])
	}
	ids, bodies, indices := f.read(r, verb, parameters)
	if respond != nil && respond(w, r, ids) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	items := make([]string, len(ids))
	for i, id := range ids {
		if verb == "update" {
			items[i] = f.latest.kept(indices[i], id, bodies[i])
		} else {
			items[i] = f.latest.index(indices[i], id, bodies[i])
		}
	}
	_, _ = fmt.Fprintf(w, `{"errors":%v,"items":[%s]}`, strings.Contains(strings.Join(items, ""), `"error"`), strings.Join(items, ","))
}

func (l latestIndexes) index(index, idAndVersion string, body []byte) string {
	id, text, _ := strings.Cut(idAndVersion, "@")
	version, _ := strconv.ParseInt(text, 10, 64)
	if l[index] == nil {
		l[index] = map[string]latestDocument{}
	}
	was, known := l[index][id]
	if known && was.version >= version {
		return fmt.Sprintf(`{"index":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"[%s]: version conflict, current version [%d] is higher or equal to the one provided [%d]"}}}`, id, was.version, version)
	}
	l[index][id] = latestDocument{version, bytes.Clone(body), was.writes + 1}
	return fmt.Sprintf(`{"index":{"status":%d}}`, map[bool]int{true: 200, false: 201}[known])
}

// kept answers an update that changes nothing.
func (l latestIndexes) kept(index, id string, body []byte) string {
	if string(body) != noChange {
		return `{"update":{"status":400,"error":{"type":"illegal_argument_exception","reason":"an update that changes something"}}}`
	}
	was, known := l[index][id]
	if !known {
		return fmt.Sprintf(`{"update":{"status":404,"error":{"type":"document_missing_exception","reason":"[%s]: document missing"}}}`, id)
	}
	return fmt.Sprintf(`{"update":{"status":200,"get":{"_source":%s}}}`, was.body)
}

// state returns the newest state of an agent or alert, decoded.
func (f *fake) state(index, id string) (doc object, writes int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	was, ok := f.latest[index][id]
	if !ok {
		return nil, 0
	}
	if err := json.Unmarshal(was.body, &doc); err != nil {
		f.t.Errorf("the state of %s: %v", id, err)
	}
	return doc, was.writes
}
