// Command hec runs OpenTelemetry's Splunk HTTP Event Collector receiver, a HEC
// implementation that edrwatch did not write, and appends every event that it
// accepts to a file as one JSON line. Integration tests send to it with the real
// sink and read the file back.
//
// It prints "listening ADDRESS" on standard output once it accepts connections
// and stops on SIGTERM or interrupt.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/ackextension"
	"github.com/open-telemetry/opentelemetry-collector-contrib/receiver/splunkhecreceiver"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configtls"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/receiver"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"
)

type options struct {
	addr, out, cert, key string
	ack                  bool
}

func main() {
	var o options
	flag.StringVar(&o.addr, "addr", "127.0.0.1:8088", "`address` to listen on")
	flag.StringVar(&o.out, "out", "", "`file` that received events are appended to, one JSON object a line")
	flag.BoolVar(&o.ack, "ack", false, "answer indexer acknowledgements on /services/collector/ack")
	flag.StringVar(&o.cert, "cert", "", "PEM certificate `file`; serves TLS together with -key")
	flag.StringVar(&o.key, "key", "", "PEM private key `file`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "hec:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	if o.out == "" {
		return errors.New("-out is missing: name the file that events are appended to")
	}
	out, err := os.OpenFile(o.out, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("opening event file: %w", err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	sink := &lineWriter{out: out}
	logs, err := consumer.NewLogs(sink.consume)
	if err != nil {
		return fmt.Errorf("creating consumer: %w", err)
	}

	log, err := zap.NewDevelopment()
	if err != nil {
		return fmt.Errorf("creating logger: %w", err)
	}
	telemetry := component.TelemetrySettings{
		Logger:         log,
		TracerProvider: tracenoop.NewTracerProvider(),
		MeterProvider:  metricnoop.NewMeterProvider(),
	}
	host := host{}
	factory := splunkhecreceiver.NewFactory()
	cfg := factory.CreateDefaultConfig().(*splunkhecreceiver.Config)
	cfg.Endpoint = o.addr
	cfg.AccessTokenPassthrough = true
	if o.cert != "" || o.key != "" {
		cfg.TLS = configoptional.Some(configtls.ServerConfig{Config: configtls.Config{CertFile: o.cert, KeyFile: o.key, MinVersion: "1.2"}})
	}
	if o.ack {
		ackFactory := ackextension.NewFactory()
		id := component.NewID(ackFactory.Type())
		ext, err := ackFactory.Create(ctx, extension.Settings{ID: id, TelemetrySettings: telemetry}, ackFactory.CreateDefaultConfig())
		if err != nil {
			return fmt.Errorf("creating acknowledgement extension: %w", err)
		}
		host[id] = ext
		cfg.Ack.Extension = &id
	}
	rcv, err := factory.CreateLogs(ctx, receiver.Settings{ID: component.NewID(factory.Type()), TelemetrySettings: telemetry}, cfg, logs)
	if err != nil {
		return fmt.Errorf("creating receiver: %w", err)
	}
	for id, ext := range host {
		if err := ext.Start(ctx, host); err != nil {
			return fmt.Errorf("starting %s: %w", id, err)
		}
		defer ext.Shutdown(context.WithoutCancel(ctx))
	}
	if err := rcv.Start(ctx, host); err != nil {
		return fmt.Errorf("starting receiver: %w", err)
	}
	if err := awaitListener(ctx, o.addr); err != nil {
		return errors.Join(err, rcv.Shutdown(ctx))
	}
	fmt.Println("listening", o.addr)
	<-ctx.Done()
	return rcv.Shutdown(context.WithoutCancel(ctx))
}

// host gives the receiver its extensions, as a collector would.
type host map[component.ID]component.Component

// GetExtensions implements component.Host.
func (h host) GetExtensions() map[component.ID]component.Component { return h }

func awaitListener(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("connecting to own listener %s: %w", addr, err)
	}
	return conn.Close()
}
