package mappings

import (
	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// fileSpec is a mapping file as it is written. README.md explains the keys.
type fileSpec struct {
	Vendor    strict.Text          `yaml:"vendor,required"`
	Product   string               `yaml:"product"`
	Dataset   strict.Text          `yaml:"dataset,required"`
	Root      strict.Text          `yaml:"root"`
	Agent     string               `yaml:"agent"`
	Fallback  bool                 `yaml:"fallback"`
	Last      bool                 `yaml:"last"`
	Before    paths                `yaml:"before"`
	Match     []strict.Node        `yaml:"match"`
	Topics    []string             `yaml:"topics"`
	Headers   map[string]string    `yaml:"headers"`
	Split     strict.Text          `yaml:"split"`
	Each      paths                `yaml:"each"`
	Alone     bool                 `yaml:"alone"`
	Unfold    []unfoldSpec         `yaml:"unfold"`
	Under     []string             `yaml:"under"`
	Strip     []string             `yaml:"strip"`
	Aliases   map[string]aliases   `yaml:"aliases"`
	RecordID  []paths              `yaml:"record_id"`
	Timestamp []timeSpec           `yaml:"timestamp"`
	Zone      strict.Text          `yaml:"zone"`
	Absent    []string             `yaml:"absent"`
	Drop      paths                `yaml:"drop"`
	Pass      paths                `yaml:"pass"`
	Names     map[string]string    `yaml:"names"`
	Lookups   map[string]tableSpec `yaml:"lookups"`
	By        []paths              `yaml:"by"`
	Block     blockSpec            `yaml:",inline"`
	Events    strict.Node          `yaml:"events"`
	node      strict.Node          // the document
}

// blockSpec is what can be said of all records of a file, of one kind of
// record, and of one case of it.
type blockSpec struct {
	Action strict.Node  `yaml:"action"`
	Voice  strict.Node  `yaml:"voice"`
	Set    strict.Node  `yaml:"set"`
	Fields strict.Node  `yaml:"fields"`
	Enrich []enrichSpec `yaml:"enrich"`
	Expr   strict.Node  `yaml:"expr"`
	Cases  []caseSpec   `yaml:"cases"`
}

type caseSpec struct {
	When   strict.Node `yaml:"when"`
	Unless strict.Node `yaml:"unless"`
	Having strict.Node `yaml:"having"`
	Block  blockSpec   `yaml:",inline"`
}

// enrichSpec fills several fields from one row of a lookup table.
type enrichSpec struct {
	Lookup strict.Text `yaml:"lookup,required"`
	Kind   string      `yaml:"kind"`
	From   paths       `yaml:"from"`
	By     paths       `yaml:"by"`
	Fields strict.Node `yaml:"fields,required"`
}

// valueSpec says where a field's value comes from and how it is converted.
type valueSpec struct {
	From      paths       `yaml:"from"`
	Field     strict.Text `yaml:"field"`
	As        strict.Text `yaml:"as"`
	Part      partList    `yaml:"part"`
	Split     string      `yaml:"split"`
	Join      string      `yaml:"join"`
	Scale     float64     `yaml:"scale"`
	Map       strict.Node `yaml:"map"`
	Bits      strict.Node `yaml:"bits"`
	Lookup    strict.Text `yaml:"lookup"`
	Column    string      `yaml:"column"`
	Kind      string      `yaml:"kind"`
	Default   strict.Node `yaml:"default"`
	Otherwise strict.Node `yaml:"otherwise"`
	IfAbsent  bool        `yaml:"if_absent"`
	Keep      *bool       `yaml:"keep"`
	node      strict.Node
}

// aliases are the places where what a file calls by one name may stand.
type aliases []string

// partSpec takes one part of a text: the index-th (from the end if negative)
// of those that by separates.
type partSpec struct {
	By    string `yaml:"by,required"`
	Index int    `yaml:"index"`
}

// unfoldSpec says what of a record holds more than it shows.
type unfoldSpec struct {
	From  paths       `yaml:"from,required"`
	As    strict.Text `yaml:"as,required"`
	To    string      `yaml:"to"`
	Key   string      `yaml:"key"`
	Value string      `yaml:"value"`
}

type timeSpec struct {
	From     paths       `yaml:"from,required"`
	Part     partList    `yaml:"part"`
	Format   strict.Text `yaml:"format"`
	Zone     strict.Text `yaml:"zone"`
	NotAfter paths       `yaml:"not_after"`
	Received paths       `yaml:"received"`
}

// tableSpec names a lookup table: a CSV file with a header, or a YAML list of
// rows. Key names the columns that together identify a row.
type tableSpec struct {
	File strict.Text `yaml:"file,required"`
	Key  paths       `yaml:"key,required"`
}

// paths is one text or a list of them; the first that is present counts.
type paths []strict.Text

// DecodeYAML reads one text or a list.
func (p *paths) DecodeYAML(n strict.Node) error {
	if n.Kind() == strict.List {
		var list []strict.Text
		if err := n.Decode(&list); err != nil {
			return err
		}
		*p = list
		return nil
	}
	var one strict.Text
	if err := n.Decode(&one); err != nil {
		return err
	}
	*p = paths{one}
	return nil
}

// DecodeYAML reads the short form (a path or a list of paths) or the long one.
func (v *valueSpec) DecodeYAML(n strict.Node) error {
	v.node = n
	if n.Kind() != strict.Mapping {
		return n.Decode(&v.From)
	}
	type long valueSpec
	out := long{node: n, Scale: 1}
	if err := n.Decode(&out); err != nil {
		return err
	}
	*v = valueSpec(out)
	return nil
}

// partList is one part or a list of them, taken one of the other.
type partList []partSpec

// DecodeYAML reads one part or a list.
func (p *partList) DecodeYAML(n strict.Node) error {
	if n.Kind() == strict.List {
		return n.Decode((*[]partSpec)(p))
	}
	var one partSpec
	if err := n.Decode(&one); err != nil {
		return err
	}
	*p = partList{one}
	return nil
}
