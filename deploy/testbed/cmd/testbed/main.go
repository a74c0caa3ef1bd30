//go:build unix

// Command testbed fetches the servers of the integration tests and starts them by hand:
//
//	testbed fetch                            fetch everything, start nothing
//	testbed up kafka elasticsearch hec       start servers until interrupt
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/edrwatch/edrwatch/deploy/testbed"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "testbed:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New(`expected "fetch" or "up kafka|elasticsearch|hec ..."`)
	}
	cache, err := testbed.DefaultCache()
	if err != nil {
		return err
	}
	switch args[0] {
	case "fetch":
		return cache.Fetch(ctx)
	case "up":
		return testbed.Up(ctx, cache, args[1:], os.Stdout)
	}
	return fmt.Errorf("unknown command %q: expected fetch or up", args[0])
}
