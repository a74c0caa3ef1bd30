package demo

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/edrwatch/edrwatch/sinks/store"
	"github.com/edrwatch/edrwatch/sources/simulator"
)

// screen tells the person in front of it what happens. Alerts are lines; the
// progress below them is one line that is rewritten, on a terminal only.
type screen struct {
	cfg   Config
	truth simulator.Truth
	store *store.Store
	read  int             // alert documents looked at
	shown map[string]bool // episodes that have a line
	acts  map[string]bool // acts that have a line
	width int
}

func newScreen(cfg Config, truth simulator.Truth, s *store.Store) *screen {
	return &screen{cfg: cfg, truth: truth, store: s, shown: map[string]bool{}, acts: map[string]bool{}}
}

// colours of severities, as SGR parameters.
func colour(severity string) string {
	switch severity {
	case "critical":
		return "1;31"
	case "high":
		return "31"
	case "medium":
		return "33"
	}
	return "36"
}

func (s *screen) paint(sgr, text string) string {
	if !s.cfg.Terminal {
		return text
	}
	return "\x1b[" + sgr + "m" + text + "\x1b[0m"
}

func (s *screen) line(format string, args ...any) {
	s.clear()
	fmt.Fprintf(s.cfg.Out, format+"\n", args...)
}

func (s *screen) clear() {
	if s.cfg.Terminal && s.width > 0 {
		fmt.Fprintf(s.cfg.Out, "\r%s\r", strings.Repeat(" ", s.width))
		s.width = 0
	}
}

func (s *screen) printHeader(console, broker string) {
	s.line("%s", s.paint("1", "edrwatch demo: "+s.cfg.Scenario))
	s.line("%d simulated agents, %s of their time in about %s. Everything runs in this process and is removed at the end.",
		s.cfg.Agents, s.truth.End.Sub(s.truth.Start), s.cfg.Pace.Round(time.Second))
	s.line("Console %s   Kafka %s", s.paint("4", console), broker)
	s.line("")
}

// watch shows new alerts and the progress until ctx ends.
func (s *screen) watch(ctx context.Context, now, sent *atomic.Int64) error {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		last := false
		select {
		case <-ctx.Done():
			last = true
		case <-tick.C:
		}
		if err := s.showAlerts(context.WithoutCancel(ctx)); err != nil {
			return err
		}
		if err := s.showActs(context.WithoutCancel(ctx)); err != nil {
			return err
		}
		if last {
			s.clear()
			return nil
		}
		s.showProgress(now.Load(), sent.Load())
	}
}

// mostLines bounds how many alerts are shown one by one; all are in the store.
const mostLines = 25

func (s *screen) showAlerts(ctx context.Context) error {
	alerts, err := alertsOf(ctx, s.store)
	if err != nil {
		return err
	}
	for ; s.read < len(alerts); s.read++ {
		a := alerts[s.read]
		if a.status == "resolved" || s.shown[a.id] {
			continue
		}
		s.shown[a.id] = true
		switch n := len(s.shown); {
		case n == mostLines+1:
			s.line("  … more alerts are in the console")
		case n <= mostLines:
			s.line("  %s UTC  %s  %s", a.Time.UTC().Format("15:04:05"),
				s.paint(colour(a.severity), fmt.Sprintf("%-8s %-20s", a.severity, a.Kind)), printable(a.reason))
		}
	}
	return nil
}

func (s *screen) showProgress(ms, sent int64) {
	if !s.cfg.Terminal || ms == 0 {
		return
	}
	at := time.UnixMilli(ms).UTC()
	const cells = 30
	done := int(cells * at.Sub(s.truth.Start) / max(s.truth.End.Sub(s.truth.Start), 1))
	done = min(max(done, 0), cells)
	text := fmt.Sprintf("%s UTC [%s%s] %d records, %d alerts", at.Format("15:04:05"),
		strings.Repeat("=", done), strings.Repeat(" ", cells-done), sent, len(s.shown))
	s.clear()
	fmt.Fprint(s.cfg.Out, text)
	s.width = len(text)
}

// printable drops what could steer a terminal: texts come from records.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return -1
		}
		return r
	}, text)
}

func (s *screen) close(v Verdict, sent int64) {
	s.line("")
	s.line("%s", s.paint("1", fmt.Sprintf("%d records, %d alert documents, %d dead letters. What happened, and when it was noticed:",
		sent, v.Alerts, v.Dead)))
	for _, c := range v.Caught {
		s.line("  %s  %-18s began %s, %s after %s", s.paint("32", "caught"), c.ID, c.Start.UTC().Format("15:04:05"),
			c.Alert.Kind, c.Alert.Time.Sub(c.Start).Round(time.Second))
		if c.Last != "" {
			s.line("          in the end: %s", printable(c.Last))
		}
	}
	for _, m := range v.Missed {
		s.line("  %s  %-18s began %s, expected one of %s", s.paint("31", "missed"), m.ID, m.Start.UTC().Format("15:04:05"),
			strings.Join(m.Expect, ", "))
	}
	if len(v.Unexpected) > 0 {
		s.line("  %d alerts have no incident behind them:", len(v.Unexpected))
		for i, a := range v.Unexpected {
			if i == 5 {
				s.line("    …")
				break
			}
			s.line("    %s %s %s", a.Time.UTC().Format("15:04:05"), a.Kind, printable(strings.Join(a.Hosts, " ")))
		}
	}
}

func (s *screen) stay(console string) {
	s.line("")
	s.line("The console stays at %s until you press Ctrl-C.", s.paint("4", console))
}
