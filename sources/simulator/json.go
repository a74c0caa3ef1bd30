package simulator

import (
	"strconv"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

// text appends ,"key":"value".
func text(dst []byte, key, value string) []byte {
	dst = append(dst, ',', '"')
	dst = append(dst, key...)
	dst = append(dst, '"', ':')
	return event.AppendString(dst, value)
}

// digits appends ,"key":"value": CrowdStrike sends numbers as strings.
func digits(dst []byte, key string, value int64) []byte {
	dst = append(dst, ',', '"')
	dst = append(dst, key...)
	dst = append(dst, `":"`...)
	dst = strconv.AppendInt(dst, value, 10)
	return append(dst, '"')
}

// number appends ,"key":value.
func number(dst []byte, key string, value int64) []byte {
	dst = append(dst, ',', '"')
	dst = append(dst, key...)
	dst = append(dst, '"', ':')
	return strconv.AppendInt(dst, value, 10)
}

// share appends "key":value with four decimals, as beats round percentages.
func share(dst []byte, key string, value float64) []byte {
	dst = append(dst, '"')
	dst = append(dst, key...)
	dst = append(dst, '"', ':')
	return strconv.AppendFloat(dst, value, 'f', 4, 64)
}

// stamp appends a time in UTC with the given number of fractional digits.
func stamp(dst []byte, ms int64, fraction int) []byte {
	layout := "2006-01-02T15:04:05.000Z"
	if fraction == 7 {
		layout = "2006-01-02T15:04:05.0000000Z"
	}
	return time.UnixMilli(ms).UTC().AppendFormat(dst, layout)
}

// seconds appends ms as seconds with three decimals in quotes: "1721361600.123".
func seconds(dst []byte, key string, ms int64) []byte {
	dst = append(dst, ',', '"')
	dst = append(dst, key...)
	dst = append(dst, `":"`...)
	dst = strconv.AppendInt(dst, ms/1000, 10)
	dst = append(dst, '.', byte('0'+ms/100%10), byte('0'+ms/10%10), byte('0'+ms%10))
	return append(dst, '"')
}
