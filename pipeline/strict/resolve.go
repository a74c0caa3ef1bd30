package strict

import (
	"math"
	"regexp"
	"strconv"
	"strings"
)

// The patterns of the YAML 1.2 core schema, https://yaml.org/spec/1.2.2/#1032-tag-resolution.
var (
	integerPattern = regexp.MustCompile(`^([-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$`)
	floatPattern   = regexp.MustCompile(`^([-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$`)
)

// resolve returns the kind of an unquoted scalar.
func resolve(text string) Kind {
	switch text {
	case "", "~", "null", "Null", "NULL":
		return Null
	case "true", "True", "TRUE", "false", "False", "FALSE":
		return Bool
	}
	switch {
	case integerPattern.MatchString(text):
		return Int
	case floatPattern.MatchString(text):
		return Float
	}
	return String
}

// splitInteger returns the digits of a core schema integer and their base.
func splitInteger(text string) (digits string, base int) {
	switch {
	case strings.HasPrefix(text, "0o"):
		return text[2:], 8
	case strings.HasPrefix(text, "0x"):
		return text[2:], 16
	}
	return text, 10
}

// parseInteger reads an integer that fits into bits; ok is false when it does not.
func parseInteger(text string, bits int) (value int64, ok bool) {
	digits, base := splitInteger(text)
	value, err := strconv.ParseInt(digits, base, bits)
	return value, err == nil
}

func parseUnsigned(text string, bits int) (value uint64, ok bool) {
	digits, base := splitInteger(text)
	value, err := strconv.ParseUint(strings.TrimPrefix(digits, "+"), base, bits)
	return value, err == nil
}

// parseFloat reads a core schema float or decimal integer.
func parseFloat(text string, bits int) (value float64, ok bool) {
	switch strings.ToLower(strings.TrimLeft(text, "+-")) {
	case ".inf":
		if strings.HasPrefix(text, "-") {
			return math.Inf(-1), true
		}
		return math.Inf(1), true
	case ".nan":
		return math.NaN(), true
	}
	value, err := strconv.ParseFloat(text, bits)
	return value, err == nil
}

func parseBool(text string) bool { return strings.EqualFold(text, "true") }
