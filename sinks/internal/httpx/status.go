package httpx

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// maxRetryAfter bounds what a server may ask for: a wrong header must not stop
// a sink for a day.
const maxRetryAfter = 5 * time.Minute

// Classify tells what a request's status means when nothing in the answer says
// more; text describes the answer and becomes the error. 2xx and 413, which a
// sink treats by itself, are not for this function: 2xx would be [fault.Garbled].
func Classify(status int, header http.Header, now time.Time, text string) *fault.Error {
	f := fault.New(fault.Transient, fault.Unavailable, "HTTP %d %s: %s", status, http.StatusText(status), text)
	switch {
	case status == http.StatusTooManyRequests:
		f.Reason = fault.Overloaded
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusProxyAuthRequired:
		f.Class, f.Reason = fault.Operator, fault.Unauthorized
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status >= 500 && status != http.StatusNotImplemented && status != http.StatusHTTPVersionNotSupported:
	case status >= 200 && status < 300:
		f.Reason = fault.Garbled
	case status == http.StatusBadRequest, status == http.StatusRequestEntityTooLarge, status == http.StatusUnprocessableEntity:
		f.Class, f.Reason = fault.Permanent, fault.Rejected
	default:
		// 404, 405, redirects and their like speak of the address, not of the documents.
		f.Class, f.Reason = fault.Operator, fault.Misconfigured
		f.Hint = "check that the address is that of the server itself and not of a proxy or of another product"
	}
	f.RetryAfter = RetryAfter(header, now)
	return f
}

// RetryAfter reads the header of that name (RFC 9110, 10.2.3), which is a
// number of seconds or a date; 0 when it is absent, malformed or past.
func RetryAfter(header http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(header.Get("Retry-After"))
	if value == "" {
		return 0
	}
	wait := time.Duration(0)
	if seconds, err := strconv.ParseInt(value, 10, 32); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), maxRetryAfter)
}
