//go:build integration && unix

package testbed_test

import (
	"os"
	"testing"

	"github.com/edrwatch/edrwatch/deploy/testbed"
)

var shared testbed.Shared

func TestMain(m *testing.M) { os.Exit(shared.Run(m)) }
