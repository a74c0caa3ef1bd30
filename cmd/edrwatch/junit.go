package main

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/edrwatch/edrwatch/rules"
)

// The part of JUnit's XML that continuous integration reads, as written down at
// https://github.com/testmoapp/junitxml.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Time     string       `xml:"time,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		File     string      `xml:"file,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Time     string      `xml:"time,attr"`
		Cases    []junitCase `xml:"testcase"`

		seconds float64
	}
	junitCase struct {
		Name      string        `xml:"name,attr"`
		ClassName string        `xml:"classname,attr"`
		File      string        `xml:"file,attr"`
		Line      int           `xml:"line,attr"`
		Time      string        `xml:"time,attr"`
		Failure   *junitFailure `xml:"failure"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// writeJUnit writes one suite a rule.
func writeJUnit(w io.Writer, report rules.Report) error {
	out := junitSuites{Tests: report.Passed + report.Failed, Failures: report.Failed}
	total := 0.0
	for _, r := range report.Results {
		if n := len(out.Suites); n == 0 || out.Suites[n-1].Name != r.Rule {
			out.Suites = append(out.Suites, junitSuite{Name: r.Rule, File: r.File})
		}
		suite := &out.Suites[len(out.Suites)-1]
		c := junitCase{Name: r.Test, ClassName: r.Rule, File: r.File, Line: r.Line, Time: seconds(r.Duration.Seconds())}
		suite.Tests++
		suite.seconds += r.Duration.Seconds()
		total += r.Duration.Seconds()
		if !r.Passed() {
			suite.Failures++
			c.Failure = &junitFailure{Message: r.Failures[0], Text: strings.Join(append(r.Failures, r.Alerts...), "\n")}
		}
		suite.Time = seconds(suite.seconds)
		suite.Cases = append(suite.Cases, c)
	}
	out.Time = seconds(total)
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(out); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func seconds(s float64) string { return fmt.Sprintf("%.3f", s) }
