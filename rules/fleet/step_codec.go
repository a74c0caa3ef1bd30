package fleet

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"slices"
	"strings"
)

// The bytes of a step:
//
//	format (6), At
//	texts: number, and each as the length shared with the one before, the
//	  length of the rest and the rest; sorted
//	strata: number, four texts each; sorted
//	sums of strata, sites, feeds, versions and models: number and entries, sorted
//	  by key
//	what happened to hosts: number, and each as host, action, time and clock, and
//	  the agent that is new on it
//	matches of rules about the whole fleet (match_codec.go); format 5 had none
//
// Numbers are uvarints, texts and strata are named by their place in the
// tables. The same step gives the same bytes.
const stepFormat = 6

// Bounds of a step that is read, which a hostile record could make up.
const (
	maxStepText  = 1 << 10 // bytes of one text
	maxStepTexts = 16 << 20
	maxCount     = math.MaxInt32
	maxDue       = 1 << 60 // millionths of beats
)

// AppendStep appends the bytes of a step, for other processes. Counts below
// zero, which no step has, count as zero; texts of more than 1 KiB end in
// their sum.
func AppendStep(to []byte, s *Step) []byte {
	if len(s.Matches) > 0 {
		s.settleMatches()
	}
	w := stepWriter{b: to, texts: map[string]int{}, strata: map[Stratum]int{}}
	w.collect(s)
	w.b = append(w.b, stepFormat)
	w.b = binary.AppendUvarint(w.b, uint64(max(s.At, 0)))
	w.tables()
	w.sums(s)
	return w.b
}

type stepWriter struct {
	b      []byte
	texts  map[string]int // their places
	strata map[Stratum]int
}

// collect finds all texts and strata of the step.
func (w *stepWriter) collect(s *Step) {
	for key, v := range s.Strata {
		w.strata[key] = 0
		w.collectCasualties(v.Casualties)
	}
	for key, v := range s.Sites {
		w.texts[cutText(key)] = 0
		for _, host := range v.Hosts {
			w.texts[cutText(host)] = 0
		}
	}
	for key := range s.Feeds {
		w.texts[cutText(key)] = 0
	}
	for key, v := range s.Versions {
		for _, text := range []string{key.Product, key.Kind, key.Channel, key.Version} {
			w.texts[cutText(text)] = 0
		}
		for model := range v.Models {
			w.texts[cutText(model)] = 0
		}
		for stratum, arm := range v.Strata {
			w.strata[stratum] = 0
			w.collectCasualties(arm.Casualties)
		}
		for _, counts := range []map[string]int{v.Rings, v.Sites} {
			for text := range counts {
				w.texts[cutText(text)] = 0
			}
		}
	}
	for _, h := range s.Hosts {
		w.texts[cutText(h.Host)], w.texts[cutText(h.Product)], w.texts[cutText(h.Agent)] = 0, 0, 0
	}
	w.collectMatches(s)
	for key := range s.Models {
		w.texts[cutText(key.Product)], w.texts[cutText(key.Model)] = 0, 0
	}
	for key := range w.strata {
		for _, text := range []string{key.Product, key.OS, key.HostType, key.Ring} {
			w.texts[cutText(text)] = 0
		}
	}
}

func (w *stepWriter) collectCasualties(list []Casualty) {
	for i := range list {
		w.texts[cutText(list[i].Host)], w.texts[cutText(list[i].Site)], w.texts[cutText(list[i].Model)] = 0, 0, 0
	}
}

// cutText keeps two long texts apart by their sums.
func cutText(text string) string {
	if len(text) <= maxStepText {
		return text
	}
	sum := fnv.New64a()
	sum.Write([]byte(text))
	return fmt.Sprintf("%s%016x", text[:maxStepText-16], sum.Sum64())
}

func (w *stepWriter) tables() {
	texts := slices.Sorted(maps.Keys(w.texts))
	w.count(len(texts))
	before := ""
	for i, text := range texts {
		w.texts[text] = i
		shared := 0
		for shared < min(len(before), len(text)) && before[shared] == text[shared] {
			shared++
		}
		w.count(shared)
		w.count(len(text) - shared)
		w.b = append(w.b, text[shared:]...)
		before = text
	}
	strata := sortedKeys(w.strata, compareStrata)
	w.count(len(strata))
	for i, key := range strata {
		w.strata[key] = i
		for _, text := range []string{key.Product, key.OS, key.HostType, key.Ring} {
			w.text(text)
		}
	}
}

func (w *stepWriter) count(n int)      { w.b = binary.AppendUvarint(w.b, uint64(max(n, 0))) }
func (w *stepWriter) text(text string) { w.count(w.texts[cutText(text)]) }

func (w *stepWriter) sums(s *Step) {
	w.count(len(s.Strata))
	for _, key := range sortedKeys(s.Strata, compareStrata) {
		v := s.Strata[key]
		w.count(w.strata[key])
		for _, n := range []int{v.Alive, v.Silent, v.Returned, v.NewlySilent, v.Fell} {
			w.count(n)
		}
		w.failures(&v.Failures)
		w.casualties(v.Casualties)
	}
	w.count(len(s.Sites))
	for _, key := range sortedKeys(s.Sites, strings.Compare) {
		v := s.Sites[key]
		w.text(key)
		for _, n := range []int{v.Alive, v.Silent, v.NewlySilent, v.Returned, len(v.Hosts)} {
			w.count(n)
		}
		for _, host := range v.Hosts {
			w.text(host)
		}
	}
	w.count(len(s.Feeds))
	for _, key := range sortedKeys(s.Feeds, strings.Compare) {
		v := s.Feeds[key]
		w.text(key)
		for _, n := range []int{v.Records, v.Beats, v.Late, v.Alive, int(v.Due), int(v.Least)} {
			w.count(n)
		}
		w.b = binary.AppendVarint(w.b, v.First)
		w.b = binary.AppendVarint(w.b, v.Last)
	}
	w.count(len(s.Versions))
	for _, key := range sortedKeys(s.Versions, compareVersions) {
		v := s.Versions[key]
		for _, text := range []string{key.Product, key.Kind, key.Channel, key.Version} {
			w.text(text)
		}
		w.count(v.Exposed)
		w.count(len(v.Strata))
		for _, stratum := range sortedKeys(v.Strata, compareStrata) {
			arm := v.Strata[stratum]
			w.count(w.strata[stratum])
			w.count(arm.Alive)
			w.count(arm.Exposed)
			w.count(arm.Fell)
			w.failures(&arm.Failures)
			w.failures(&arm.Early)
			w.casualties(arm.Casualties)
		}
		w.counts(v.Rings)
		w.counts(v.Sites)
		w.models(v.Models)
	}
	w.count(len(s.Models))
	for _, key := range sortedKeys(s.Models, compareModels) {
		w.text(key.Product)
		w.text(key.Model)
		w.count(s.Models[key].Alive)
		w.failures(&s.Models[key].Failures)
	}
	w.count(len(s.Hosts))
	for _, h := range s.Hosts {
		w.text(h.Host)
		w.b = append(w.b, byte(h.Action))
		w.b = binary.AppendVarint(w.b, h.At)
		w.b = binary.AppendVarint(w.b, h.Seen)
		if h.Action == hostTaken {
			w.text(h.Product)
			w.text(h.Agent)
		}
	}
	w.matches(s)
}

func (w *stepWriter) models(m map[string]*ModelArm) {
	w.count(len(m))
	for _, name := range sortedKeys(m, strings.Compare) {
		arm := m[name]
		w.text(name)
		w.count(arm.Alive)
		w.count(arm.Exposed)
		w.failures(&arm.Failures)
		w.failures(&arm.Early)
	}
}

// failures are a bit for each class that is not zero, and those.
func (w *stepWriter) failures(f *[classes + 1]int) {
	mask := byte(0)
	for c, n := range f {
		if n > 0 {
			mask |= 1 << c
		}
	}
	w.b = append(w.b, mask)
	for _, n := range f {
		if n > 0 {
			w.count(n)
		}
	}
}

func (w *stepWriter) casualties(list []Casualty) {
	w.count(len(list))
	for i := range list {
		w.text(list[i].Host)
		w.text(list[i].Site)
		w.text(list[i].Model)
		w.b = append(w.b, byte(list[i].Class))
		w.b = binary.AppendVarint(w.b, list[i].Heard)
	}
}

func (w *stepWriter) counts(m map[string]int) {
	w.count(len(m))
	for _, key := range sortedKeys(m, strings.Compare) {
		w.text(key)
		w.count(m[key])
	}
}
