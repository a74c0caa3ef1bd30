package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/config"
	"github.com/edrwatch/edrwatch/pipeline/decode"
	"github.com/edrwatch/edrwatch/pipeline/secret"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/pipeline/tlsconf"
	"github.com/edrwatch/edrwatch/sinks/elasticsearch"
	kafkasource "github.com/edrwatch/edrwatch/sources/kafka"
)

// TestShippedConfigurations loads every configuration under deploy, as the
// gateway would, with files in place of the secrets that it refers to.
func TestShippedConfigurations(t *testing.T) {
	const deploy = "../../../../deploy/"
	read := func(file string) string {
		t.Helper()
		src, err := os.ReadFile(deploy + file)
		if err != nil {
			t.Fatal(err)
		}
		return string(src)
	}
	manifest, err := strict.ParseOne("configmap.yaml", []byte(read("kubernetes/configmap.yaml")))
	if err != nil {
		t.Fatal(err)
	}
	inPod, _ := manifest.Get("data").Get("edrwatch.yaml").Scalar()
	secrets := t.TempDir()
	for _, name := range []string{"edrwatch_password", "edrwatch/api-key", "edrwatch/kafka-password", "edrwatch/elastic-api-key", "edrwatch/splunk-token"} {
		path := filepath.Join(secrets, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("canary"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, src := range map[string]string{
		"config/edrwatch.yaml": read("config/edrwatch.yaml"), "compose/edrwatch.yaml": read("compose/edrwatch.yaml"), "kubernetes/configmap.yaml": inPod,
	} {
		src = strings.ReplaceAll(src, "/run/secrets/", secrets+"/")
		loaded, err := config.Parse(name, []byte(src), nil)
		if err != nil {
			t.Errorf("%s:\n%v", name, err)
		} else if name == "config/edrwatch.yaml" {
			statesDefaults(t, loaded.Config)
		}
	}
}

// statesDefaults checks that the explained configuration shows the defaults
// of whatever has one.
func statesDefaults(t *testing.T, c config.Config) {
	same := func(what string, found, want any) {
		t.Helper()
		if !reflect.DeepEqual(found, want) {
			t.Errorf("%s: the file states %+v, the defaults are %+v", what, found, want)
		}
	}
	same("log", c.Log, config.Default().Log)
	same("http", c.HTTP, config.Default().HTTP)
	same("pipeline", c.Pipeline, config.Default().Pipeline)
	same("gateway", c.Gateway, config.Default().Gateway)
	c.Canary.Feeds = nil
	same("canary", c.Canary, config.Default().Canary)
	source, kafka := *c.Sources[0].Settings.(*kafkasource.Config), kafkasource.DefaultConfig()
	source.Brokers, source.TLS, source.SASL = kafka.Brokers, kafka.TLS, kafka.SASL
	same("sources.kafka", source, kafka)
	same("sources.kafka decoders", c.Sources[0].Decode, decode.DefaultConfig())
	sink, elastic := *c.Sinks[0].Settings.(*elasticsearch.Config), elasticsearch.DefaultConfig()
	sink.URLs, sink.APIKey, sink.TLS = elastic.URLs, secret.String{}, tlsconf.Config{}
	same("sinks.elastic", sink, elastic)
}
