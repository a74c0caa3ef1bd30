package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/app"
	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/offline"
	"github.com/edrwatch/edrwatch/pipeline"
	"github.com/edrwatch/edrwatch/pipeline/decode"
)

func rulesDiffCommand() *cobra.Command {
	var in, output string
	cmd := &cobra.Command{
		Use:   "diff --in FILE OLD NEW",
		Short: "Show what a changed rule set would have raised on a capture",
		Long: "diff judges the same records with the rules of two directories (library stands for the shipped rules) and\n" +
			"shows the alerts that only one of them raises. The exit code is 1 when they differ.",
		Example: "  edrwatch rules diff --in yesterday.capture library my-rules",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if in == "" || in == "-" {
				return errors.New("diff needs --in FILE: the records are read twice")
			}
			var sides [2]map[raisedAlert]string
			for i, dir := range args {
				var err error
				if sides[i], err = judgeWith(cmd.Context(), in, dir); err != nil {
					return err
				}
			}
			d := compareAlerts(sides[0], sides[1])
			var err error
			if output == "json" {
				err = writeJSON(cmd.OutOrStdout(), d)
			} else {
				err = d.print(cmd.OutOrStdout())
			}
			if err == nil && len(d.Removed)+len(d.Added) > 0 {
				err = findings()
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&in, "in", "i", "", "judge the records of this `FILE`")
	outputFlag(cmd, &output)
	return cmd
}

// raisedAlert says what an alert is, apart from the version of its rule, which
// its ids depend on.
type raisedAlert struct {
	Time   string `json:"time"`
	RuleID string `json:"rule_id"`
	Rule   string `json:"rule"`
	Key    string `json:"key"`
	Status string `json:"status"`
}

// judgeWith runs a file through the rules of a directory and returns the
// alerts with their reasons.
func judgeWith(ctx context.Context, in, dir string) (map[raisedAlert]string, error) {
	cfg := app.DetectionConfig{RuleDirs: []string{dir}}
	if dir == "library" {
		cfg = app.DetectionConfig{Library: true}
	}
	detection, err := app.LoadDetection(cfg)
	if err != nil {
		return nil, badConfig(err)
	}
	decoder, closeDecoder, err := app.NewDecoder(decode.DefaultConfig(), nil)
	if err != nil {
		return nil, badConfig(err)
	}
	defer func() { _ = closeDecoder() }()
	inputs, closeAll, err := openInputs([]string{in}, nil)
	if err != nil {
		return nil, err
	}
	defer closeAll()
	limits := pipeline.DefaultConfig()
	var alerts bytes.Buffer
	job := offline.Job{
		Inputs: inputs, Shard: limits.Shard(), Decoder: decoder, Judge: detection.NewJudging(limits.Lateness),
		Out: offline.Outputs{Events: io.Discard, Alerts: &alerts, Dead: io.Discard},
	}
	if err := job.Format.UnmarshalText([]byte("auto")); err != nil {
		return nil, err
	}
	if _, err := job.Run(ctx); err != nil {
		return nil, err
	}
	return readAlerts(&alerts)
}

func readAlerts(r io.Reader) (map[raisedAlert]string, error) {
	found := map[raisedAlert]string{}
	for dec := json.NewDecoder(r); dec.More(); {
		var a struct {
			Time string                    `json:"@timestamp"`
			Rule struct{ ID, Name string } `json:"rule"`
			EDR  struct {
				Alert struct{ Key, Status, Reason string } `json:"alert"`
			} `json:"edr"`
		}
		if err := dec.Decode(&a); err != nil {
			return nil, fmt.Errorf("reading alerts: %w", err)
		}
		found[raisedAlert{a.Time, a.Rule.ID, a.Rule.Name, a.EDR.Alert.Key, a.EDR.Alert.Status}] = a.EDR.Alert.Reason
	}
	return found, nil
}

// alertDiff is what two rule sets raise differently.
type alertDiff struct {
	Same    int          `json:"same"`
	Removed []diffedLine `json:"removed"`
	Added   []diffedLine `json:"added"`
}

type diffedLine struct {
	raisedAlert
	Reason string `json:"reason"`
}

func compareAlerts(before, after map[raisedAlert]string) alertDiff {
	d := alertDiff{Removed: []diffedLine{}, Added: []diffedLine{}}
	for _, side := range []struct {
		here, there map[raisedAlert]string
		list        *[]diffedLine
	}{{before, after, &d.Removed}, {after, before, &d.Added}} {
		d.Same = 0
		for _, a := range slices.SortedFunc(maps.Keys(side.here), func(a, b raisedAlert) int {
			return strings.Compare(a.Time+a.RuleID+a.Key+a.Status, b.Time+b.RuleID+b.Key+b.Status)
		}) {
			if _, also := side.there[a]; also {
				d.Same++
			} else {
				*side.list = append(*side.list, diffedLine{a, side.here[a]})
			}
		}
	}
	return d
}

// print shows removed lines with - and added ones with +.
func (d *alertDiff) print(w io.Writer) error {
	for _, side := range []struct {
		sign string
		list []diffedLine
	}{{"-", d.Removed}, {"+", d.Added}} {
		for _, l := range side.list {
			if _, err := fmt.Fprintf(w, "%s %s %s %s: %s\n", side.sign, l.Time, l.Status, l.Rule, l.Reason); err != nil {
				return err
			}
		}
	}
	_, err := fmt.Fprintf(w, "%d alerts the same, %d removed, %d added\n", d.Same, len(d.Removed), len(d.Added))
	return err
}
