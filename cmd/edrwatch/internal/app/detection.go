package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/edrwatch/edrwatch/cmd/edrwatch/internal/config"
	"github.com/edrwatch/edrwatch/mappings"
	"github.com/edrwatch/edrwatch/pipeline"
	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/rules"
	"github.com/edrwatch/edrwatch/rules/fleet"
)

// Detection is what judges records: the dictionary, the mapping plan and the
// rules. It is immutable and shared by all shards.
type Detection struct {
	Dictionary *ecs.Dictionary
	Mappings   *mappings.Plan
	Rules      *rules.Ruleset
	files      *rules.Files
	fields     []ecs.Field // that mapping files add to the dictionary
}

// DetectionConfig says where mapping and rule files come from.
type DetectionConfig struct {
	// MappingDirs are read in addition to the shipped mappings.
	MappingDirs []string
	// RuleDirs replace the shipped library, unless Library is set.
	RuleDirs []string
	Library  bool
}

// DetectionOf returns the part of a configuration that concerns detection.
func DetectionOf(cfg *config.Config) DetectionConfig {
	return DetectionConfig{
		MappingDirs: cfg.Mappings.Directories, RuleDirs: cfg.Rules.Directories, Library: cfg.Rules.Library,
	}
}

// LoadDetection reads and compiles mapping and rule files. The error lists
// every problem of every file.
func LoadDetection(cfg DetectionConfig) (*Detection, error) {
	mapped, dict, err := dictionaryOf(cfg.MappingDirs)
	if err != nil {
		return nil, err
	}
	plan, planErr := mapped.Compile(dict)

	files, err := parseRules(cfg)
	if err := errors.Join(planErr, err); err != nil {
		return nil, err
	}
	set, err := files.Compile(dict)
	if err != nil {
		return nil, err
	}
	return &Detection{Dictionary: dict, Mappings: plan, Rules: set, files: files, fields: mapped.Fields()}, nil
}

// dictionaryOf reads the mapping files and returns them with the dictionary that they extend.
func dictionaryOf(mappingDirs []string) (*mappings.Files, *ecs.Dictionary, error) {
	mappingTrees, err := trees(mappings.Library(), true, mappingDirs)
	if err != nil {
		return nil, nil, err
	}
	mapped, err := mappings.Parse(mappingTrees...)
	if err != nil {
		return nil, nil, err
	}
	dict, err := ecs.New(mapped.Fields()...)
	if err != nil {
		return nil, nil, fmt.Errorf("extending the dictionary: %w", err)
	}
	return mapped, dict, nil
}

// LintRules looks for everything that is wrong with the rule files of the
// directories, or of the shipped library without any. Files are named with
// their directory, those of the library as in the repository. It returns the
// number of rules as well.
func LintRules(dirs []string, now time.Time) ([]rules.Finding, int, error) {
	_, dict, err := dictionaryOf(nil)
	if err != nil {
		return nil, 0, err
	}
	if len(dirs) == 0 {
		list, n := rules.Lint(dict, now, rules.Tree{FS: rules.Library(), Path: "rules/library"})
		return list, n, nil
	}
	named, err := ruleTrees(DetectionConfig{RuleDirs: dirs})
	if err != nil {
		return nil, 0, err
	}
	findings, n := rules.Lint(dict, now, named...)
	return findings, n, nil
}

// parseRules reads the rule files of a configuration.
func parseRules(cfg DetectionConfig) (*rules.Files, error) {
	list, err := ruleTrees(cfg)
	if err != nil {
		return nil, err
	}
	return rules.ParseTrees(list...)
}

// ruleTrees lists the rules' directories. Files of the shipped library are
// named as in it, others with the directory, so that an editor finds them.
func ruleTrees(cfg DetectionConfig) ([]rules.Tree, error) {
	dirs, err := trees(nil, false, cfg.RuleDirs)
	if err != nil {
		return nil, err
	}
	var list []rules.Tree
	if cfg.Library || len(dirs) == 0 {
		list = append(list, rules.Tree{FS: rules.Library()})
	}
	for i, dir := range dirs {
		list = append(list, rules.Tree{FS: dir, Path: cfg.RuleDirs[i]})
	}
	return list, nil
}

// trees lists the shipped files, where wanted, and the given directories.
func trees(shipped fs.FS, wanted bool, dirs []string) ([]fs.FS, error) {
	var all []fs.FS
	if wanted {
		all = append(all, shipped)
	}
	for _, dir := range dirs {
		info, err := os.Stat(dir)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("opening directory: %s does not exist: name the one that holds the files (edrwatch rules new NAME -o %s writes a rule into a new one)",
				dir, filepath.Join(dir, "rule.yml"))
		}
		if err != nil {
			return nil, fmt.Errorf("opening directory: %w", err)
		}
		if !info.IsDir() {
			return nil, fmt.Errorf("opening directory: %s is a file: name the directory that holds it", dir)
		}
		all = append(all, os.DirFS(dir))
	}
	return all, nil
}

// NewMapper returns a mapper for one shard.
func (d *Detection) NewMapper() pipeline.Mapper { return d.Mappings.NewMapper() }

// NewDetector returns the rule state of one shard, which judges the fleet
// together with the others; with a nil fleet by itself.
func (d *Detection) NewDetector(lateness time.Duration, f *fleet.Fleet) pipeline.Detector {
	return d.Rules.NewSession(rules.SessionOptions{Lateness: lateness, Fleet: f})
}

// TestRules runs the tests that stand in the rule files.
func (d *Detection) TestRules(o rules.TestOptions) (rules.Report, error) {
	return rules.RunTests(d.files, d.Dictionary, o)
}
