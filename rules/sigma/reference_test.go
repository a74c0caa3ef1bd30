package sigma_test

import (
	"encoding/base64"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/strict"
	"github.com/edrwatch/edrwatch/rules"
	"github.com/edrwatch/edrwatch/rules/sigma"
)

var sigmaHQ = flag.String("sigmahq", "", "compare also the rules of this `DIR`, such as a clone of SigmaHQ/sigma")

// flat is a record as Sigma sees it: names of its taxonomy and texts.
type flat map[string]string

// oracle evaluates a detection as the specification says, on a flat record and
// without any of the converter's code: a missing field is no match, texts are
// compared without regard to case.
type oracle struct{ detection strict.Node }

func (o oracle) condition(words []string, r flat) bool {
	// or < and < not, by looking for the lowest operator outside of parentheses.
	for _, op := range []string{"or", "and"} {
		depth := 0
		for i := len(words) - 1; i >= 0; i-- {
			switch {
			case words[i] == ")":
				depth++
			case words[i] == "(":
				depth--
			case depth == 0 && strings.EqualFold(words[i], op):
				left, right := o.condition(words[:i], r), o.condition(words[i+1:], r)
				if op == "or" {
					return left || right
				}
				return left && right
			}
		}
	}
	switch {
	case strings.EqualFold(words[0], "not"):
		return !o.condition(words[1:], r)
	case words[0] == "(":
		return o.condition(words[1:len(words)-1], r)
	case len(words) == 3 && strings.EqualFold(words[1], "of"):
		all := strings.EqualFold(words[0], "all")
		for _, e := range o.detection.Entries() {
			name, _ := e.Key.Scalar()
			if name == "condition" || name == "timeframe" || words[2] == "them" && strings.HasPrefix(name, "_") || words[2] != "them" && !glob(words[2], name, true) {
				continue
			}
			if o.search(e.Value, r) != all {
				return !all
			}
		}
		return all
	}
	return o.search(o.detection.Get(words[0]), r)
}

func (o oracle) search(n strict.Node, r flat) bool {
	switch n.Kind() {
	case strict.List:
		return slices.ContainsFunc(n.Items(), func(i strict.Node) bool { return o.search(i, r) })
	case strict.Mapping:
		return !slices.ContainsFunc(n.Entries(), func(e strict.Entry) bool { return !o.item(e, r) })
	}
	word, _ := n.Scalar()
	return glob("*"+word+"*", r["Message"], false)
}

func (o oracle) item(e strict.Entry, r flat) bool {
	key, _ := e.Key.Scalar()
	parts := strings.Split(key, "|")
	if parts[0] == "" {
		parts[0] = "Message"
	}
	have, ok := r[parts[0]]
	mods := parts[1:]
	values := []strict.Node{e.Value}
	if e.Value.Kind() == strict.List {
		values = e.Value.Items()
	}
	has := func(name string) bool { return slices.Contains(mods, name) }
	one := func(v strict.Node) bool {
		text, _ := v.Scalar()
		switch {
		case has("exists"):
			return (text == "true") == ok
		case v.Kind() == strict.Null:
			return !ok
		case !ok:
			return false
		case has("fieldref"):
			other, there := r[text]
			text = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`).Replace(other)
			if !there {
				return false
			}
		case has("re"):
			flags := ""
			for _, f := range []string{"i", "m", "s"} {
				if has(f) {
					flags += f
				}
			}
			if flags != "" {
				text = "(?" + flags + ")" + text
			}
			return regexp.MustCompile(text).MatchString(have)
		case has("cidr"):
			ip, err := netip.ParseAddr(have)
			return err == nil && netip.MustParsePrefix(text).Contains(ip)
		case has("lt"), has("lte"), has("gt"), has("gte"):
			a, _ := strconv.ParseFloat(have, 64)
			b, _ := strconv.ParseFloat(text, 64)
			return has("lt") && a < b || has("lte") && a <= b || has("gt") && a > b || has("gte") && a >= b
		}
		for _, v := range variants(text, mods) {
			if has("contains") || has("endswith") {
				v = "*" + v
			}
			if has("contains") || has("startswith") {
				if trailing := len(v) - len(strings.TrimRight(v, `\`)); trailing%2 == 1 {
					v += `\`
				}
				v += "*"
			}
			if glob(v, have, has("cased")) {
				return true
			}
		}
		return false
	}
	all := has("all")
	result := all
	for _, v := range values {
		if one(v) != all {
			result = !all
			break
		}
	}
	return result != has("neq")
}

// variants applies the modifiers that change a value.
func variants(text string, mods []string) []string {
	list := []string{text}
	plain := func(v string) string { return strings.NewReplacer(`\\`, `\`, `\*`, `*`, `\?`, `?`).Replace(v) }
	for _, m := range mods {
		var next []string
		for _, v := range list {
			switch m {
			case "windash":
				at := regexp.MustCompile(`\B[-/]\b`).FindStringIndex(v)
				if at == nil {
					next = append(next, v)
					continue
				}
				for _, dash := range []string{"-", "/", "–", "—", "―"} {
					for _, rest := range variants(v[at[1]:], []string{"windash"}) {
						next = append(next, v[:at[0]]+dash+rest)
					}
				}
			case "base64":
				next = append(next, base64.StdEncoding.EncodeToString([]byte(plain(v))))
			case "base64offset":
				for i := range 3 { // What stands in the middle whatever is around it.
					full := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("\x00", i) + plain(v) + "\x00\x00\x00"))
					from, to := (8*i+5)/6, (8*(i+len(plain(v))))/6
					next = append(next, full[from:to])
				}
			case "wide", "utf16le", "utf16be", "utf16":
				var b []byte
				if m == "utf16" {
					b = []byte{0xff, 0xfe}
				}
				for _, u := range utf16.Encode([]rune(plain(v))) {
					if m == "utf16be" {
						b = append(b, byte(u>>8), byte(u))
					} else {
						b = append(b, byte(u), byte(u>>8))
					}
				}
				next = append(next, string(b))
			default:
				next = append(next, v)
			}
		}
		list = next
	}
	return list
}

// glob compares a text with a pattern character by character.
func glob(pattern, s string, cased bool) bool {
	if !cased {
		pattern, s = strings.ToLower(pattern), strings.ToLower(s)
	}
	var match func(p, t []rune) bool
	match = func(p, t []rune) bool {
		switch {
		case len(p) == 0:
			return len(t) == 0
		case p[0] == '\\' && len(p) > 1 && strings.ContainsRune(`*?\`, p[1]):
			return len(t) > 0 && t[0] == p[1] && match(p[2:], t[1:])
		case p[0] == '*':
			return match(p[1:], t) || len(t) > 0 && match(p, t[1:])
		case len(t) == 0:
			return false
		}
		return (p[0] == '?' || p[0] == t[0]) && match(p[1:], t[1:])
	}
	return match([]rune(pattern), []rune(s))
}

// samples draws records that the detection is nearly about: of each field one of
// the values that it names, changed a little or not.
func samples(r *rand.Rand, detection strict.Node, n int) []flat {
	values := map[string][]string{"Message": nil}
	var collect func(n strict.Node)
	collect = func(n strict.Node) {
		for _, i := range n.Items() {
			collect(i)
		}
		if text, ok := n.Scalar(); ok {
			values["Message"] = append(values["Message"], text)
		}
		for _, e := range n.Entries() {
			key, _ := e.Key.Scalar()
			parts := strings.Split(key, "|")
			if parts[0] == "" {
				parts[0] = "Message"
			}
			list := []strict.Node{e.Value}
			if e.Value.Kind() == strict.List {
				list = e.Value.Items()
			}
			var texts []string
			for _, v := range list {
				if text, ok := v.Scalar(); ok && v.Kind() != strict.Null {
					if !slices.Contains(parts, "fieldref") {
						texts = append(texts, variants(text, parts[1:])...)
					}
				}
			}
			if slices.Contains(parts, "all") && len(texts) > 1 {
				texts = append(texts, strings.Join(texts, " "), strings.Join(texts, ""))
			}
			values[parts[0]] = append(values[parts[0]], texts...)
		}
	}
	for _, e := range detection.Entries() {
		if name, _ := e.Key.Scalar(); name != "condition" {
			collect(e.Value)
		}
	}
	var list []flat
	for range n {
		record := flat{}
		for _, name := range sorted(values) {
			if len(values[name]) == 0 || r.IntN(6) == 0 {
				continue
			}
			v := values[name][r.IntN(len(values[name]))]
			v = strings.NewReplacer(`\*`, "*", `\?`, "?", `\\`, `\`, "*", "abc", "?", "x").Replace(v)
			switch r.IntN(6) {
			case 0:
				v = strings.ToUpper(v)
			case 1:
				v = "x" + v
			case 2:
				v += "x"
			case 3:
				v = `C:\dir` + v + " tail"
			}
			if v != "" {
				record[name] = v
			}
		}
		list = append(list, record)
	}
	return list
}

func sorted[T any](m map[string]T) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// sourced is what an event of every log source has, so that the log source
// never decides.
func sourced(category, service string) map[string]any {
	types := map[string][]string{
		"process_creation": {"process", "start"}, "process_access": {"process", "access"}, "image_load": {"library", "start"}, "driver_load": {"driver", "start"},
		"file_event": {"file", "creation"}, "file_delete": {"file", "deletion"}, "registry_set": {"registry", "change"}, "registry_add": {"registry", "creation"},
		"registry_event": {"registry", "change"}, "registry_delete": {"registry", "deletion"}, "network_connection": {"network", "start"}, "dns_query": {"network", "protocol"},
	}
	e := map[string]any{"host.os.type": "windows"}
	if t := types[category]; t != nil {
		e["event.category"], e["event.type"] = t[0], t[1]
	}
	if category != "" && types[category] == nil {
		return nil
	}
	switch service {
	case "":
	case "windefend":
		e["event.provider"] = "Microsoft-Windows-Windows Defender"
	case "security":
		e["event.provider"] = "Microsoft-Windows-Security-Auditing"
	case "sysmon":
		e["event.provider"] = "Microsoft-Windows-Sysmon"
	case "system", "application":
	default:
		return nil
	}
	return e
}

// agree converts a rule and compares its verdicts with the oracle's, the record
// being in the event log's own fields and, where it has names in ECS, in those.
func agree(t *testing.T, dict *ecs.Dictionary, file string, src []byte, n int) (records, matches int) {
	t.Helper()
	node, err := strict.ParseOne(file, src)
	if err != nil {
		return 0, 0
	}
	source, detection := node.Get("logsource"), node.Get("detection")
	category, _ := source.Get("category").Scalar()
	service, _ := source.Get("service").Scalar()
	product, _ := source.Get("product").Scalar()
	base := sourced(category, service)
	text, ok := detection.Get("condition").Scalar()
	if base == nil || !ok || product != "windows" {
		return 0, 0
	}
	words := strings.Fields(strings.NewReplacer("(", " ( ", ")", " ) ").Replace(text))
	out, err := sigma.Convert(file, src, sigma.Options{Dictionary: dict})
	if err != nil {
		return 0, 0
	}
	files, err := rules.ParseFile("converted.yml", out)
	if err != nil {
		t.Fatalf("%s: %v\n%s", file, err, out)
	}
	set, err := files.Compile(dict)
	if err != nil {
		return 0, 0
	}
	if len(set.Rules()) == 0 {
		return 0, 0 // Deprecated.
	}
	random := rand.New(rand.NewPCG(1, uint64(len(src))))
	e := event.New(dict)
	for _, record := range samples(random, detection, n) {
		want := oracle{detection}.condition(words, record)
		for _, form := range []string{"event_data.", ""} {
			e.Reset()
			fill(t, e, base)
			for _, name := range sorted(record) {
				switch name {
				case "EventID":
					e.SetString(ecs.EventCode, record[name])
				case "Message":
					e.SetString(ecs.Message, record[name])
				case "Provider_Name", "Computer", "Channel", "Keywords", "OpCode", "Task":
					return 0, 0 // They stand in the record's head.
				default:
					e.SetVendor("winlog")
					e.Extra(form+name, string(event.AppendString(nil, record[name])))
				}
			}
			if got := set.Explain(e)[0].Result == "true"; got != want {
				t.Fatalf("%s on %q as %q: %v, the specification says %v\n%s\n%s", file, record, form, got, want, src, out)
			}
		}
		records++
		if want {
			matches++
		}
	}
	return records, matches
}

// TestAgainstOracle compares conversions with the specification over small
// rules of the shapes that rules about tampering with agents have.
func TestAgainstOracle(t *testing.T) {
	dict := dictionary(t)
	matches := 0
	for i, detection := range []string{
		"{s: {EventID: 5001}, condition: s}",
		"{s: {CommandLine|contains|all: [' stop ', sense]}, f: {Image|endswith: '\\sc.exe'}, condition: s and f}",
		"{s_a: {Image|endswith: ['\\sc.exe', '\\net.exe']}, s_b: {CommandLine|contains: ['stop', 'DELETE']}, f: {ParentImage|startswith: 'C:\\Program Files\\'}, condition: all of s_* and not f}",
		"{s_a: {Image: '*\\fltMC.exe'}, s_b: {OriginalFileName: 'fltMC.exe'}, x: {CommandLine|contains: unload}, condition: 1 of s_* and x}",
		"{s: {TargetObject|contains: '\\Windows Defender\\'}, v: {Details: 'DWORD (0x00000001)'}, condition: s and v}",
		"{s: {CommandLine|windash|contains: [' -disable', ' /uninstall -q']}, condition: s}",
		"{s: {CommandLine|base64offset|contains: 'Set-MpPreference'}, condition: s}",
		"{s: {CommandLine|wide|base64offset|contains: 'amsi'}, condition: s}",
		"{s: {CommandLine|utf16be|base64offset|contains: ['x', 'ab', 'abc']}, condition: s}",
		"{s: {CommandLine|base64|contains: 'stop service'}, condition: s}",
		"{s: {Image|cased|endswith: '\\Sense.exe'}, condition: s}",
		"{s: {CommandLine|re: '(stop|delete)\\s+[a-z]{3,}'}, condition: s}",
		"{s: {CommandLine|re|i: 'STOP.x'}, condition: s}",
		"{s: {SourceAddress|cidr: ['10.0.0.0/8', 'fe80::/10']}, condition: s}",
		"{s: {User: null, Image|contains: a}, condition: s}",
		"{s: {User|exists: false}, t: {Image|contains: a}, condition: s or not t}",
		"{s: {CurrentDirectory|fieldref: Image}, t: {User: a}, condition: s or t}",
		"{s: {Image|fieldref|startswith: CurrentDirectory}, f: {Image: a, CurrentDirectory: a}, condition: s or f}",
		"{s: {User|neq: SYSTEM}, condition: s}",
		"{s: [{Image|endswith: a, User: b}, {CommandLine|contains: c}], condition: s}",
		"{s: ['stop?service', 'a\\*b'], condition: s}",
		"{s: {'|contains': [freeze, 'c\\\\']}, condition: s}",
		"{s: {NewValue|startswith: 'HKLM\\SOFTWARE\\'}, f: {OldValue|contains: ['\\Exclusions', 'b']}, condition: s and not f}",
		"{a: {User: a}, b: {Image: b}, c: {Company: c}, condition: not a and (b or not c)}",
		"{a: {User: a}, b: {Image: b}, condition: 1 of them}",
		"{a: {User: a}, b: {Image: b}, condition: not (all of them)}",
		"{s: {Image|startswith: 'C:\\', CommandLine: ''}, condition: s}",
		"{s: {CommandLine|contains: '\\'}, condition: s}",
		"{s: {Level|exists: true}, condition: s}",
	} {
		source := header
		n, m := agree(t, dict, fmt.Sprintf("rule %d", i), []byte(source+"detection: "+detection+"\n"), 300)
		if n == 0 {
			t.Errorf("not compared: %s", detection)
		}
		matches += m
	}
	t.Logf("%d matches", matches)
}

// TestSigmaHQ compares conversions of rules that are not in this repository.
func TestSigmaHQ(t *testing.T) {
	if *sigmaHQ == "" {
		return
	}
	dict, err := ecs.New(ecs.Field{Name: "winlog", Type: "flattened"})
	if err != nil {
		t.Fatal(err)
	}
	total, compared, converted, matched := 0, 0, 0, 0
	reasons := map[string]int{}
	err = filepath.WalkDir(*sigmaHQ, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".yml" {
			return err
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		total++
		out, err := sigma.Convert(path, src, sigma.Options{Dictionary: dict})
		if err == nil {
			var files *rules.Files
			if files, err = rules.ParseFile("converted.yml", out); err == nil {
				_, err = files.Compile(dict)
			}
		}
		if err != nil {
			reason, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), path), "\n")
			reasons[regexp.MustCompile(`^[^ ]*:\d+:\d+: `).ReplaceAllString(reason, "")]++
			return nil
		}
		converted++
		n, m := agree(t, dict, path, src, 60)
		if n > 0 {
			compared++
		}
		if m > 0 {
			matched++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("of %d rules %d convert, %d were compared, %d of them with records that match", total, converted, compared, matched)
	for _, reason := range sorted(reasons) {
		t.Logf("%4d %s", reasons[reason], reason)
	}
}
