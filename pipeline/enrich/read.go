package enrich

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// Limits on one set of files, so that a wrong path cannot take all memory.
const (
	maxFileSize = 64 << 20
	maxRows     = 1 << 20
)

// The columns of a file: what names hosts, and what is said of them.
var (
	selectors  = []string{"agent", "host", "tag", "network"}
	attributes = []string{"site", "ring", "owner", "criticality"}
)

// row is one line of a file.
type row struct {
	file     string
	line     int
	selector string // of selectors
	key      string
	values   [attributeCount]string
}

func (r *row) fail(format string, args ...any) error {
	return strict.NewError(strict.Problem{File: r.file, Line: r.line, Column: 1, Message: fmt.Sprintf(format, args...)})
}

// readFile reads the rows of a CSV file with a header or of a YAML list.
func readFile(path string) ([]row, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading enrichment file: %w", err)
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("reading enrichment file: %w", err)
	}
	if len(src) > maxFileSize {
		return nil, fmt.Errorf("reading enrichment file: %s has more than %d bytes", path, maxFileSize)
	}
	switch ext := filepath.Ext(path); ext {
	case ".csv":
		return readCSV(path, src)
	case ".yml", ".yaml":
		return readYAML(path, src)
	default:
		return nil, fmt.Errorf("reading enrichment file: %s: expected a name that ends in .csv, .yml or .yaml", path)
	}
}

func readCSV(path string, src []byte) ([]row, error) {
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(src, []byte("\ufeff"))))
	r.Comment, r.TrimLeadingSpace, r.ReuseRecord = '#', true, true
	header, err := r.Read()
	if errors.Is(err, io.EOF) {
		return nil, strict.NewError(strict.Problem{File: path, Line: 1, Column: 1, Message: "expected a header with columns such as host,site,ring, found an empty file"})
	}
	if err != nil {
		return nil, syntaxError(path, err)
	}
	columns := slices.Clone(header)
	if err := checkColumns(path, 1, columns); err != nil {
		return nil, err
	}
	var rows []row
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, syntaxError(path, err)
		}
		line, _ := r.FieldPos(0)
		one := row{file: path, line: line}
		for i, text := range record {
			if err := one.set(columns[i], strings.Clone(strings.TrimSpace(text))); err != nil {
				return nil, err
			}
		}
		if rows, err = appendRow(rows, one); err != nil {
			return nil, err
		}
	}
}

func syntaxError(path string, err error) error {
	var syntax *csv.ParseError
	if errors.As(err, &syntax) {
		return strict.NewError(strict.Problem{File: path, Line: syntax.Line, Column: syntax.Column, Message: syntax.Err.Error()})
	}
	return fmt.Errorf("reading enrichment file: %s: %w", path, err)
}

func checkColumns(path string, line int, columns []string) error {
	known := slices.Concat(selectors, attributes)
	for _, name := range columns {
		if slices.Contains(known, name) {
			continue
		}
		p := strict.Problem{File: path, Line: line, Column: 1, Message: fmt.Sprintf("unknown column %q: expected some of %s", name, strings.Join(known, ", "))}
		if nearest, ok := strict.Nearest(name, known); ok {
			p.Hint = fmt.Sprintf("did you mean %q?", nearest)
		}
		return strict.NewError(p)
	}
	return nil
}

func readYAML(path string, src []byte) ([]row, error) {
	node, err := strict.ParseOne(path, src)
	if err != nil {
		return nil, err
	}
	if node.Kind() != strict.List {
		return nil, node.Errorf("expected a list of rows such as {host: \"*-fin-*\", site: paris}, found %s", node.Describe())
	}
	var rows []row
	for _, item := range node.Items() {
		var texts map[string]string
		if err := item.Decode(&texts); err != nil {
			return nil, err
		}
		line, _ := item.Position()
		one := row{file: path, line: line}
		for name, text := range texts {
			if err := checkColumns(path, line, []string{name}); err != nil {
				return nil, err
			}
			if err := one.set(name, text); err != nil {
				return nil, err
			}
		}
		if rows, err = appendRow(rows, one); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// set stores the text of a column.
func (r *row) set(column, text string) error {
	if i := slices.Index(attributes, column); i >= 0 {
		r.values[i] = text
		return nil
	}
	if text == "" {
		return nil
	}
	if r.selector != "" {
		return r.fail("expected one of %s in a row, found %s and %s", strings.Join(selectors, ", "), min(r.selector, column), max(r.selector, column))
	}
	r.selector, r.key = column, text
	return nil
}

func appendRow(rows []row, one row) ([]row, error) {
	switch {
	case one.selector == "":
		return nil, one.fail("expected one of %s in every row", strings.Join(selectors, ", "))
	case one.values == [attributeCount]string{}:
		return nil, one.fail("expected one of %s in every row", strings.Join(attributes, ", "))
	case len(rows) >= maxRows:
		return nil, one.fail("expected at most %d rows", maxRows)
	}
	return append(rows, one), nil
}
