//go:build unix

package testbed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Fetch fetches and builds every server. It tries all of them and returns all errors.
func (c *Cache) Fetch(ctx context.Context) error {
	_, kafka := c.Kafka(ctx)
	_, elasticsearch := c.Elasticsearch(ctx)
	_, hec := c.HEC(ctx)
	return errors.Join(kafka, elasticsearch, hec)
}

// Up starts servers (kafka, elasticsearch, hec), writes their addresses to out and
// keeps them until ctx ends.
func Up(ctx context.Context, cache *Cache, names []string, out io.Writer) error {
	if len(names) == 0 {
		return errors.New("naming servers: expected at least one of kafka, elasticsearch, hec")
	}
	dir, err := os.MkdirTemp("", "edrwatch-testbed-")
	if err != nil {
		return fmt.Errorf("creating server directory: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		return fmt.Errorf("opening server directory: %w", err)
	}
	for _, name := range names {
		own := filepath.Join(dir, name)
		if err := os.Mkdir(own, 0o755); err != nil {
			return fmt.Errorf("creating server directory: %w", err)
		}
		var address string
		switch name {
		case "kafka":
			s, err := startKafka(ctx, cache, own)
			if err != nil {
				return err
			}
			defer s.killAll()
			address = s.Brokers()[0]
		case "elasticsearch":
			s, err := startElasticsearch(ctx, cache, own)
			if err != nil {
				return err
			}
			defer s.kill()
			address = s.URL()
		case "hec":
			s, err := startHEC(ctx, cache, own)
			if err != nil {
				return err
			}
			defer s.kill()
			address = s.URL() + " events in " + s.events
		default:
			return fmt.Errorf("unknown server %q: expected kafka, elasticsearch or hec", name)
		}
		fmt.Fprintln(out, name, address)
	}
	<-ctx.Done()
	return nil
}
