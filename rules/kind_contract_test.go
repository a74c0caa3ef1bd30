package rules

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/goldentest"
	"github.com/edrwatch/edrwatch/rules/fleet"
	"github.com/edrwatch/edrwatch/rules/ruletest"
)

// TestEveryKindKeepsTheContract walks over the registry, and demands of every
// kind what the engine, editors and readers rely on.
func TestEveryKindKeepsTheContract(t *testing.T) {
	for _, kind := range Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			c := newContract(t, kind)
			for name, demand := range map[string]func(*testing.T){
				"schema":       c.schema,
				"row and text": c.readme,
				"scaffold":     c.scaffold,
				"near miss":    c.nearMiss,
				"clock":        c.clock,
				"snapshot":     c.snapshot,
				"reload":       c.reload,
				"removal":      c.removal,
			} {
				t.Run(name, demand)
			}
		})
	}
}

// contract is a kind with the events of the first test of its scaffold, which
// raises an alert.
type contract struct {
	kind     Kind
	source   string
	set      *Ruleset
	arrivals []ruletest.Arrival
	end      int64
	plain    []string // The documents of an undisturbed session.
}

const contractRule = "11111111-1111-4111-8111-111111111111"

func newContract(t *testing.T, kind Kind) *contract {
	t.Helper()
	src, err := Scaffold(kind.Name, "contract", contractRule)
	if err != nil {
		t.Fatal(err)
	}
	c := &contract{kind: kind, source: string(src)}
	c.set = c.compile(t, c.source)
	files, err := ParseFile("new.yml", src)
	if err != nil {
		t.Fatal(err)
	}
	test := &files.Sources()[0].Decl.Shared().Tests[0]
	begin, err := test.Start()
	if err != nil {
		t.Fatal(err)
	}
	c.arrivals = ruletest.Arrivals(test, begin)
	for _, x := range test.Expect {
		c.end = max(c.end, begin+int64(x.When()))
	}
	c.arrivals = slices.DeleteFunc(c.arrivals, func(a ruletest.Arrival) bool { return a.At > c.end })
	c.end += int64(c.set.Rules()[0].Lag()) // Where steps are closed an alert comes later.
	c.plain = c.play(t, func(_ int, s *Session) *Session { return s })
	if len(c.plain) == 0 {
		t.Fatal("the first test of the scaffold raises nothing")
	}
	return c
}

func (c *contract) compile(t *testing.T, source string) *Ruleset {
	t.Helper()
	files, err := ParseFile("new.yml", []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	set, err := files.Compile(dictionary(t))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// play judges the events; between two of them it goes on with what next returns.
func (c *contract) play(t *testing.T, next func(i int, s *Session) *Session) (documents []string) {
	t.Helper()
	s := c.set.NewSession(SessionOptions{Fleet: fleet.New(fleet.DefaultConfig(), nil)})
	defer func() { s.Close() }()
	emit := func(a *event.Event) { documents = append(documents, string(a.AppendJSON(nil))) }
	e := event.New(dictionary(t))
	for i := range c.arrivals {
		s = next(i, s)
		c.arrivals[i].Fill(e)
		s.Detect(c.arrivals[i].At, e, emit)
	}
	s = next(len(c.arrivals), s)
	s.Detect(c.end, nil, emit)
	return documents
}

// same compares documents with those of the undisturbed session.
func (c *contract) same(t *testing.T, got []string, what string) {
	t.Helper()
	if !slices.Equal(got, c.plain) {
		t.Errorf("%s: %d documents, expected %d:\n%s\nwant\n%s", what, len(got), len(c.plain), strings.Join(got, "\n"), strings.Join(c.plain, "\n"))
	}
}

// schema: an editor has a text for every key that a rule of the kind may have.
func (c *contract) schema(t *testing.T) {
	src, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		OneOf []struct {
			Title      string
			Properties map[string]struct{ Description string }
		}
	}
	if err := json.Unmarshal(src, &document); err != nil {
		t.Fatal(err)
	}
	for _, of := range document.OneOf {
		if of.Title != c.kind.Name {
			continue
		}
		for key, p := range of.Properties {
			if p.Description == "" && !slices.Contains([]string{"author", "license", "created", "updated", "tags", "false_positives"}, key) {
				t.Errorf("key %s has no text", key)
			}
		}
		return
	}
	t.Error("the schema does not know the kind")
}

// readme: the table of the author's guide has a row, which links to a section.
func (c *contract) readme(t *testing.T) {
	src, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\n### " + c.kind.Name + "\n", fmt.Sprintf("\n| [`%s`](#%s) |", c.kind.Name, c.kind.Name)} {
		if !strings.Contains(string(src), want) {
			t.Errorf("README.md has no %q", strings.TrimSpace(want))
		}
	}
	if c.kind.Meaning == "" {
		t.Error("the kind does not say when it alerts")
	}
}

// scaffold: a new rule passes its tests in all variants that its semantics
// promise.
func (c *contract) scaffold(t *testing.T) {
	files, err := ParseFile("new.yml", []byte(c.source))
	if err != nil {
		t.Fatal(err)
	}
	report, err := RunTests(files, dictionary(t), TestOptions{Metamorphic: true})
	if err != nil || report.Passed != 2 || report.Failed != 0 {
		t.Errorf("%d tests passed, %v: %+v", report.Passed, err, report.Results)
	}
}

// nearMiss: who wants an alert that does not come learns how near it was.
func (c *contract) nearMiss(t *testing.T) {
	i := strings.LastIndex(c.source, "alerts: 0")
	if i < 0 {
		t.Fatal("no test of the scaffold expects nothing")
	}
	source := c.source[:i] + "alerts: 1" + c.source[i+len("alerts: 0"):]
	files, err := ParseFile("new.yml", []byte(strings.Replace(source, "version: 1\n", "version: 1\nmaturity: development\n", 1)))
	if err != nil {
		t.Fatal(err)
	}
	report, err := RunTests(files, dictionary(t), TestOptions{})
	if err != nil {
		t.Fatal(err)
	}
	last := report.Results[len(report.Results)-1]
	if last.Passed() || len(last.Misses) == 0 || last.Misses[0].Reason == "" {
		t.Errorf("nothing is said about an alert that does not come: %v", last.Failures)
	}
}

// clock: timers run when they are due however the clock moves, and a jump of it
// leaves a session that judges on.
func (c *contract) clock(t *testing.T) {
	var stepped []string
	emit := func(a *event.Event) { stepped = append(stepped, string(a.AppendJSON(nil))) }
	var before int64
	got := c.play(t, func(i int, s *Session) *Session {
		to := c.end
		if i < len(c.arrivals) {
			to = c.arrivals[i].At
		}
		for at := before; before != 0 && at < to; at += (to - before + 2) / 3 {
			s.Detect(at, nil, emit)
		}
		before = to
		return s
	})
	all := append(stepped, got...)
	slices.Sort(all)
	want := slices.Sorted(slices.Values(c.plain))
	if !slices.Equal(all, want) {
		t.Errorf("a clock that moves in smaller steps gives %d documents, expected %d", len(all), len(want))
	}
	s := c.set.NewSession(SessionOptions{})
	defer s.Close()
	e := event.New(dictionary(t))
	for _, jump := range []time.Duration{0, 90 * 24 * time.Hour} {
		for i := range c.arrivals {
			c.arrivals[i].Fill(e)
			at := c.arrivals[i].At + int64(jump)
			e.Set(ecs.Timestamp, event.Time(at))
			s.Detect(at, e, nil)
		}
	}
	s.Publish()
	if n := c.set.Counters()[0]; n.Keys < 0 || (n.Keys > 0) != (n.Bytes > 0) {
		t.Errorf("%d keys take %d bytes", n.Keys, n.Bytes)
	}
}

// snapshot: a session goes on from a snapshot as if nothing had been, and one
// that an earlier release wrote is read.
func (c *contract) snapshot(t *testing.T) {
	resume := func(t *testing.T, s *Session, data []byte) *Session {
		t.Helper()
		next := c.set.NewSession(s.Options())
		if err := next.Restore(data); err != nil {
			t.Fatal(err)
		}
		want := 1
		if c.set.Rules()[0].FleetWide() {
			want = 0 // What it knows stands with the fleet.
		}
		if r := next.Restored(); r.Restored != want || len(r.Anew) > 0 {
			t.Errorf("the state was not restored: %+v", r)
		}
		s.Close()
		return next
	}
	half := len(c.arrivals) / 2
	var written []byte
	held := false // Without keys it is the fleet's judge that remembers, in a format of its own.
	c.same(t, c.play(t, func(i int, s *Session) *Session {
		if i%max(len(c.arrivals)/20, 1) != 0 {
			return s
		}
		data, complete := s.AppendSnapshot(nil)
		if !complete {
			t.Error("the snapshot is not complete")
		}
		if i >= half && written == nil {
			written = data
			s.Publish()
			held = c.set.Counters()[0].Keys > 0
		}
		next := resume(t, s, data)
		if again, _ := next.AppendSnapshot(nil); !bytes.Equal(data, again) {
			t.Errorf("after %d events: a state of %d bytes is another one of %d when it is written again", i, len(data), len(again))
		}
		return next
	}), "restored from snapshots")
	path := filepath.Join("testdata", "kinds", c.kind.Name+".snapshot")
	if goldentest.Update() {
		if err := os.WriteFile(path, written, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	golden, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: write it with EDRWATCH_UPDATE=1", err)
	}
	if held && !bytes.Equal(golden, written) {
		t.Errorf("the snapshot has another format than %s; where that is meant, count stateVersion up and read the old one", path)
	}
	resume(t, c.set.NewSession(SessionOptions{}), golden).Close()
}

// reload: a rule whose words change goes on with its state.
func (c *contract) reload(t *testing.T) {
	reworded := strings.Replace(c.source, "severity: low", "severity: low\nauthor: [someone]\ntags: [reworded]", 1)
	n := 0
	got := c.play(t, func(i int, s *Session) *Session {
		if i%max(len(c.arrivals)/5, 1) == 0 {
			n++
			next := c.compile(t, strings.Replace(reworded, "tags: [reworded]", fmt.Sprintf("tags: [reworded-%d]", n), 1))
			s.Reload(next.Inherit(s.Ruleset()), func(a *event.Event) { t.Errorf("the reload says %s", a.AppendJSON(nil)) })
		}
		return s
	})
	if len(got) != len(c.plain) {
		t.Fatalf("%d documents, expected %d", len(got), len(c.plain))
	}
	for i := range got {
		if got[i] == c.plain[i] || alertID(t, got[i]) != alertID(t, c.plain[i]) {
			t.Errorf("got %s\nwant the id of %s, and the new words", got[i], c.plain[i])
		}
	}
}

// alertID is edr.alert.id of a document.
func alertID(t *testing.T, body string) string {
	t.Helper()
	var d struct {
		EDR struct{ Alert struct{ ID string } }
	}
	if err := json.Unmarshal([]byte(body), &d); err != nil {
		t.Fatal(err)
	}
	return d.EDR.Alert.ID
}

// removal: the open alerts of a rule that is taken away end.
func (c *contract) removal(t *testing.T) {
	for _, extra := range []string{"", "suppress: 10d\n"} {
		files, err := ParseFile("new.yml", []byte(strings.Replace(c.source, "type: "+c.kind.Name+"\n", "type: "+c.kind.Name+"\n"+extra, 1)))
		if err != nil {
			continue // The kind knows no suppress.
		}
		set, err := files.Compile(dictionary(t))
		if err != nil {
			t.Fatal(err)
		}
		s := set.NewSession(SessionOptions{})
		open := map[string]bool{}
		note := func(a *event.Event) {
			id := strings.Clone(a.Str(ecs.EDRAlertID))
			if open[id] = a.Str(ecs.EDRAlertStatus) == "firing"; !open[id] {
				delete(open, id)
			}
		}
		e := event.New(dictionary(t))
		for i := range c.arrivals {
			c.arrivals[i].Fill(e)
			s.Detect(c.arrivals[i].At, e, note)
		}
		s.Detect(c.end, nil, note)
		s.Publish()
		held, endless := set.Counters()[0].Keys, set.Rules()[0].Traits().Endless && extra == ""
		before := len(open)
		s.Reload(compileRules(t, dictionary(t), ruleYAML(1, "match", "condition: event.action == \"error\"")).Inherit(set), note)
		s.Detect(c.end+int64(time.Minute), nil, note) // What is judged where steps are closed ends at the next.
		s.Close()
		switch {
		case held == 0, endless: // The fleet's judge remembers, or nothing has to end.
			if len(open) != before {
				t.Errorf("%d alerts were ended that have no end", before-len(open))
			}
		case before == 0:
			t.Error("no alert was open")
		case len(open) > 0:
			t.Errorf("%d of %d alerts stay open for ever", len(open), before)
		}
	}
}
