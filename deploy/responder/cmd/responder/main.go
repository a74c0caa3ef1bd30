// Command responder takes acts from edrwatch's response topic to a vendor's
// console; with --mock it serves a mock of one to try it against.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/edrwatch/edrwatch/deploy/responder/console"
	"github.com/edrwatch/edrwatch/deploy/responder/worker"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "responder:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("responder", flag.ContinueOnError)
	brokers := flags.String("brokers", "127.0.0.1:9092", "Kafka `BROKERS`, joined by commas")
	topic := flags.String("topic", "edr.responses", "response `TOPIC`")
	group := flags.String("group", "edr-responder", "consumer `GROUP`")
	server := flags.String("console", "http://127.0.0.1:8090", "`URL` of the vendor's console; its token comes from CONSOLE_TOKEN")
	mock := flags.String("mock", "", "serve a mock console at this `ADDRESS` as well, such as 127.0.0.1:8090")
	if err := flags.Parse(args); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	token := os.Getenv("CONSOLE_TOKEN")
	if token == "" {
		return errors.New("CONSOLE_TOKEN is empty: set the token of the console")
	}
	if *mock != "" {
		m := &http.Server{Addr: *mock, Handler: console.New(token), ReadHeaderTimeout: 5 * time.Second}
		go func() {
			if err := m.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
				log.Error("the mock console ended", "error", err)
			}
		}()
		defer m.Close()
	}
	reader := kafka.NewReader(kafka.ReaderConfig{Brokers: strings.Split(*brokers, ","), Topic: *topic, GroupID: *group, StartOffset: kafka.FirstOffset})
	defer reader.Close()
	log.Info("waiting for acts", "topic", *topic, "console", *server)
	w := worker.Worker{Reader: reader, Console: worker.Console{URL: *server, Token: token, HTTP: &http.Client{Timeout: 30 * time.Second}}, Logger: log, Retry: 5 * time.Second}
	return w.Run(ctx)
}
