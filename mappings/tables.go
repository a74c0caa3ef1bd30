package mappings

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// table is a lookup table. Keys do not distinguish case; the parts of a
// composite key are joined by keySeparator.
type table struct {
	columns []string
	rows    map[string][]string
	keys    []int // columns that make the key
}

const keySeparator = "\x00"

// maxTable bounds a lookup table, so that a wrong path cannot take all memory.
// One in YAML has the smaller limits of package strict.
const maxTable = 16 << 20 // Bytes.

func (t *table) column(name string) int { return slices.Index(t.columns, name) }

// readTable reads a table from every file system that has it, the rows of
// later ones over those of earlier ones.
func readTable(file string, spec tableSpec, fsys []fs.FS) (*table, error) {
	t := &table{rows: map[string][]string{}}
	found := false
	for _, fsys := range fsys {
		src, err := readLimited(fsys, file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found = true
		if path.Ext(file) == ".csv" {
			err = t.readCSV(file, src, spec)
		} else {
			err = t.readYAML(file, src, spec)
		}
		if err != nil {
			return nil, err
		}
	}
	if !found {
		return nil, fs.ErrNotExist
	}
	return t, nil
}

// readLimited reads a file of at most maxTable bytes.
func readLimited(fsys fs.FS, file string) ([]byte, error) {
	f, err := fsys.Open(file)
	if err != nil {
		return nil, fmt.Errorf("reading lookup table: %w", err)
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, maxTable+1))
	if err != nil {
		return nil, fmt.Errorf("reading lookup table: %w", err)
	}
	if len(src) > maxTable {
		return nil, strict.NewError(strict.Problem{File: file, Message: fmt.Sprintf("table has more than the %d bytes that are allowed", maxTable), Hint: "leave out the rows that no record names"})
	}
	return src, nil
}

// header takes the columns of a file; files of one table must agree.
func (t *table) header(columns []string, spec tableSpec) error {
	if t.columns == nil {
		t.columns = slices.Clone(columns)
		for _, key := range spec.Key {
			i := t.column(key.Value)
			if i < 0 {
				return strict.NewError(key.Problem(0, fmt.Sprintf("the table has no column %q", key.Value), "it has "+strings.Join(columns, ", ")))
			}
			t.keys = append(t.keys, i)
		}
		return nil
	}
	if !slices.Equal(t.columns, columns) {
		return fmt.Errorf("expected the columns %s, found %s", strings.Join(t.columns, ","), strings.Join(columns, ","))
	}
	return nil
}

func (t *table) add(row []string) {
	parts := make([]string, 0, len(t.keys))
	for _, i := range t.keys {
		parts = append(parts, strings.ToLower(row[i]))
	}
	t.rows[strings.Join(parts, keySeparator)] = row
}

func (t *table) readCSV(file string, src []byte, spec tableSpec) error {
	r := csv.NewReader(bytes.NewReader(src))
	r.Comment = '#'
	r.TrimLeadingSpace = true
	columns, err := r.Read()
	if err == nil {
		err = t.header(columns, spec)
	}
	for err == nil {
		var row []string
		if row, err = r.Read(); err == nil {
			t.add(row)
		}
	}
	var known *strict.Error
	var syntax *csv.ParseError
	switch {
	case errors.Is(err, io.EOF) && t.columns != nil:
		return nil
	case errors.As(err, &known):
		return err
	case errors.As(err, &syntax):
		return strict.NewError(strict.Problem{File: file, Line: syntax.Line, Column: syntax.Column, Message: syntax.Err.Error()})
	case errors.Is(err, io.EOF):
		err = errors.New("expected a header with the names of the columns, found an empty file")
	}
	return strict.NewError(strict.Problem{File: file, Line: 1, Column: 1, Message: err.Error()})
}

func (t *table) readYAML(file string, src []byte, spec tableSpec) error {
	node, err := strict.ParseOne(file, src)
	if err != nil {
		return err
	}
	var problems []strict.Problem
	for _, item := range node.Items() {
		var row map[string]string
		if err := item.Decode(&row); err != nil {
			return err
		}
		columns := sortedKeys(row)
		if err := t.header(columns, spec); err != nil {
			return strict.Merge(err, item.Errorf("in this row"))
		}
		values := make([]string, len(columns))
		for i, name := range columns {
			values[i] = row[name]
		}
		t.add(values)
	}
	if t.columns == nil {
		problems = append(problems, node.Problem("expected a list of rows, found %s", node.Describe()))
	}
	return strict.NewError(problems...)
}
