package elasticsearch

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// MinVersion is the oldest Elasticsearch that takes our requests: 8.18 brought
// include_source_on_error.
const MinVersion = "8.18"

// version is major and minor.
type version struct{ major, minor int }

func (v version) String() string { return fmt.Sprintf("%d.%d", v.major, v.minor) }

func (v version) less(major, minor int) bool {
	return v.major < major || v.major == major && v.minor < minor
}

// hasFailureStore: 8.19 and 9.1 brought it.
func (v version) hasFailureStore() bool { return !v.less(8, 19) && v != version{9, 0} }

// version asks for the server's version and refuses those that are too old.
func (c *client) version(ctx context.Context) (version, error) {
	a, err := c.do(ctx, request{method: http.MethodGet, path: "/"})
	if err != nil {
		return version{}, err
	}
	if a.status != http.StatusOK {
		f := classifyWhole(a, time.Now())
		f.Err = fmt.Errorf("asking for the version: %w", f.Err)
		return version{}, f
	}
	var info struct {
		Version struct {
			Number string `json:"number"`
		} `json:"version"`
	}
	if err := json.Unmarshal(a.body, &info); err != nil {
		return version{}, fault.New(fault.Transient, fault.Garbled, "asking for the version: %w: %s", err, a.excerpt())
	}
	major, rest, _ := strings.Cut(info.Version.Number, ".")
	minor, _, _ := strings.Cut(rest, ".")
	var v version
	var errMinor error
	v.major, err = strconv.Atoi(major)
	v.minor, errMinor = strconv.Atoi(minor)
	if err != nil || errMinor != nil {
		return version{}, fault.New(fault.Operator, fault.Misconfigured, "the server says that its version is %q", info.Version.Number).
			WithHint("check that the address is that of Elasticsearch")
	}
	if v.less(8, 18) {
		return v, fault.New(fault.Operator, fault.Misconfigured, "the server is Elasticsearch %s", info.Version.Number).
			WithHint("upgrade it to " + MinVersion + " or later")
	}
	return v, nil
}

// Check asks whether documents could be written now: the cluster answers, is
// recent enough, accepts the credentials, grants the privileges and has the
// templates. It changes nothing. What it may not look at it passes over.
func (s *Sink) Check(ctx context.Context) error {
	if _, err := s.client.version(ctx); err != nil {
		if fault.Of(err).Reason == fault.Unauthorized {
			s.client.refresh()
		}
		return err
	}
	if err := s.checkPrivileges(ctx); err != nil {
		return err
	}
	return s.checkTemplates(ctx)
}

func (s *Sink) checkPrivileges(ctx context.Context) error {
	names := make([]string, 0, len(event.Streams()))
	for _, stream := range event.Streams() {
		names = append(names, DataStream(stream, s.cfg.Namespace))
	}
	body, err := json.Marshal(object{
		"cluster": []string{"monitor"},
		"index": []object{
			{"names": names, "privileges": gatewayPrivileges()},
			{"names": latestIndices(s.cfg.Namespace), "privileges": latestPrivileges()},
		},
	})
	if err != nil {
		return fmt.Errorf("asking for privileges: %w", err)
	}
	a, err := s.client.do(ctx, request{
		method: http.MethodPost, path: "/_security/user/_has_privileges", body: body, contentType: "application/json", plainSize: len(body),
	})
	if err != nil {
		return err
	}
	if a.status != http.StatusOK {
		f := classifyWhole(a, time.Now())
		if f.Reason == fault.Unauthorized {
			s.client.refresh()
			return f
		}
		// Security is switched off: there is nothing to be granted.
		return nil
	}
	var granted struct {
		All     *bool                      `json:"has_all_requested"`
		Cluster map[string]bool            `json:"cluster"`
		Index   map[string]map[string]bool `json:"index"`
	}
	if err := json.Unmarshal(a.body, &granted); err != nil || granted.All == nil {
		return fault.New(fault.Transient, fault.Garbled, "asking for privileges: %s", a.excerpt())
	}
	if *granted.All {
		return nil
	}
	var missing []string
	for privilege, has := range granted.Cluster {
		if !has {
			missing = append(missing, "cluster "+privilege)
		}
	}
	for stream, privileges := range granted.Index {
		for privilege, has := range privileges {
			if !has {
				missing = append(missing, privilege+" on "+stream)
			}
		}
	}
	slices.Sort(missing)
	return fault.New(fault.Operator, fault.Unauthorized, "the credentials lack privileges: %s", strings.Join(missing, ", ")).
		WithHint("grant them, see deploy/elasticsearch/gateway-api-key.json")
}

func (s *Sink) checkTemplates(ctx context.Context) error {
	var names []string
	for _, stream := range event.Streams() {
		names = append(names, "edrwatch-"+stream.String())
		if latestIndex(stream, s.cfg.Namespace) != "" {
			names = append(names, latestTemplate(stream))
		}
	}
	for _, name := range names {
		a, err := s.client.do(ctx, request{method: http.MethodGet, path: "/_index_template/" + name})
		if err != nil {
			return err
		}
		switch a.status {
		case http.StatusNotFound:
			return fault.New(fault.Operator, fault.Misconfigured, "the index template %s is missing", name).WithHint(hintSetup)
		case http.StatusUnauthorized, http.StatusForbidden:
			// The gateway's own key may write, not look at templates; a missing
			// one shows in the first write.
			return nil
		}
	}
	return nil
}
