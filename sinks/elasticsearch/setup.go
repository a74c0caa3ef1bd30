package elasticsearch

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/fault"
	"github.com/edrwatch/edrwatch/sinks/internal/httpx"
)

// Setup installs the assets in a cluster. It needs more privileges than
// writing (deploy/elasticsearch/setup-api-key.json), so it takes a
// configuration of its own.
type Setup struct {
	cfg    Config
	dict   *ecs.Dictionary
	client *client
}

// NewSetup returns a Setup; it does not connect.
func NewSetup(cfg Config, dict *ecs.Dictionary, log *slog.Logger) (*Setup, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	c, err := newClient(cfg, log, nil)
	if err != nil {
		return nil, err
	}
	return &Setup{cfg: cfg, dict: dict, client: c}, nil
}

// Close closes idle connections.
func (s *Setup) Close() error { return s.client.close() }

// Change is what Apply did with one asset.
type Change string

// The changes.
const (
	Created   Change = "created"
	Updated   Change = "updated"
	Unchanged Change = "unchanged" // this version was installed already and was installed again
)

// Applied is one asset with the outcome of installing it.
type Applied struct {
	Asset
	Change Change
}

// Apply installs all assets and can be repeated. New mappings hold for the
// backing indices that are made from then on: the next rollover, or
// POST /<stream>/_rollover. It stops before the first change when the cluster
// has a newer version of an asset.
func (s *Setup) Apply(ctx context.Context) ([]Applied, error) {
	version, err := s.client.version(ctx)
	if err != nil {
		return nil, err
	}
	cfg := s.cfg.Templates
	cfg.FailureStore = cfg.FailureStore && version.hasFailureStore()
	assets, err := Assets(s.dict, cfg, s.cfg.Namespace)
	if err != nil {
		return nil, err
	}
	plan := make([]Applied, len(assets))
	for i, asset := range assets {
		plan[i] = Applied{Asset: asset}
		installed, found, err := s.installed(ctx, asset)
		switch {
		case err != nil:
			return nil, err
		case !found:
			plan[i].Change = Created
		case installed > AssetsVersion:
			return nil, fault.New(fault.Operator, fault.Misconfigured, "%s %s has version %d, this edrwatch brings version %d",
				asset.Kind, asset.Name, installed, AssetsVersion).WithHint("run the set-up of the newer edrwatch")
		case installed < AssetsVersion:
			plan[i].Change = Updated
		default:
			plan[i].Change = Unchanged
		}
	}
	for i, p := range plan {
		if p.mappings != nil && p.Change != Created {
			p.Path, p.Body = p.Path+"/_mapping", p.mappings
		}
		if err := s.put(ctx, p.Asset); err != nil {
			return plan[:i], err
		}
	}
	return plan, nil
}

// installed returns the version of an asset that the cluster has.
func (s *Setup) installed(ctx context.Context, asset Asset) (version int, found bool, err error) {
	a, err := s.client.do(ctx, request{method: http.MethodGet, path: asset.Path})
	if err != nil {
		return 0, false, err
	}
	if a.status == http.StatusNotFound {
		return 0, false, nil
	}
	if a.status != http.StatusOK {
		return 0, false, s.failure(a, "reading "+asset.Kind+" "+asset.Name)
	}
	type versioned struct {
		Meta struct {
			Version int `json:"version"`
		} `json:"_meta"`
	}
	var body struct {
		Component []struct {
			Template versioned `json:"component_template"`
		} `json:"component_templates"`
		Index []struct {
			Template versioned `json:"index_template"`
		} `json:"index_templates"`
	}
	if asset.Kind == "index" {
		var indices map[string]struct {
			Mappings versioned `json:"mappings"`
		}
		err = json.Unmarshal(a.body, &indices)
		return indices[asset.Name].Mappings.Meta.Version, true, err
	}
	if asset.Kind == "ilm_policy" {
		var policies map[string]struct {
			Policy versioned `json:"policy"`
		}
		err = json.Unmarshal(a.body, &policies)
		return policies[asset.Name].Policy.Meta.Version, true, err
	}
	if err := json.Unmarshal(a.body, &body); err != nil {
		return 0, false, fmt.Errorf("reading %s %s: %w", asset.Kind, asset.Name, err)
	}
	switch {
	case len(body.Component) == 1:
		return body.Component[0].Template.Meta.Version, true, nil
	case len(body.Index) == 1:
		return body.Index[0].Template.Meta.Version, true, nil
	}
	return 0, false, nil
}

func (s *Setup) put(ctx context.Context, asset Asset) error {
	a, err := s.client.do(ctx, request{method: asset.Method, path: asset.Path, body: asset.Body, contentType: "application/json", plainSize: len(asset.Body)})
	if err != nil {
		return err
	}
	if a.status != http.StatusOK {
		return s.failure(a, "installing "+asset.Kind+" "+asset.Name)
	}
	return nil
}

func (s *Setup) failure(a answer, doing string) error {
	f := classifyWhole(a, time.Now())
	if f.Reason == fault.Unauthorized {
		f.Hint = "set-up needs the privileges of deploy/elasticsearch/setup-api-key.json"
	}
	return &fault.Error{Class: f.Class, Reason: f.Reason, Hint: f.Hint, RetryAfter: f.RetryAfter, Err: fmt.Errorf("%s: %w", doing, f.Err)}
}

// APIKeys are the bodies for POST /_security/api_key that give the gateway and
// the set-up what they need and no more, by file name.
func APIKeys() map[string][]byte {
	patterns := []string{"logs-edr.*", "metrics-edr.*"}
	keys := map[string]object{
		"gateway-api-key.json": {
			"name": "edrwatch-gateway",
			"role_descriptors": object{"edrwatch_gateway": object{
				"cluster": []string{"monitor"},
				"indices": []object{
					{"names": patterns, "privileges": gatewayPrivileges()},
					{"names": latestPatterns(), "privileges": latestPrivileges()},
				},
			}},
			"metadata": object{"application": "edrwatch"},
		},
		"setup-api-key.json": {
			"name":       "edrwatch-setup",
			"expiration": "1d",
			"role_descriptors": object{"edrwatch_setup": object{
				"cluster": []string{"monitor", "manage_index_templates", "manage_ilm"},
				"indices": []object{
					{"names": patterns, "privileges": []string{"manage_data_stream_lifecycle", "view_index_metadata"}},
					// To create the indices, with aliases, and to add fields to them.
					{"names": latestPatterns(), "privileges": []string{"manage"}},
				},
			}},
			"metadata": object{"application": "edrwatch"},
		},
	}
	files := make(map[string][]byte, len(keys))
	for name, body := range keys {
		text, err := json.MarshalIndent(body, "", "  ")
		if err != nil {
			panic(err) // the bodies are constants
		}
		files[name] = append(text, '\n')
	}
	return files
}

func gatewayPrivileges() []string { return slices.Clone([]string{"auto_configure", "create_doc"}) }

// excerpt shortens an answer for an error.
func (a answer) excerpt() string { return httpx.Excerpt(a.body) }
