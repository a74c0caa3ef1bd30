package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// SignatureHeader carries the time of signing and the signature:
//
//	Edrwatch-Signature: t=1721361600,v1=5257a869e7…
//
// v1 is the hexadecimal HMAC-SHA256, under the shared secret, of the time as it
// is written, a dot, and the body. The scheme is that of Stripe's webhooks.
const SignatureHeader = "Edrwatch-Signature"

// Sign returns the value of SignatureHeader.
func Sign(secret string, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac(secret, t, body))
}

func mac(secret, t string, body []byte) []byte {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(t + "."))
	h.Write(body)
	return h.Sum(nil)
}

// maxHeader bounds a header that is worth a look.
const maxHeader = 1 << 10

// Verify checks a header as a receiver does: one of its signatures is right and
// its time is within tolerance of now, which keeps old requests from being
// played again.
func Verify(secret, header string, body []byte, now time.Time, tolerance time.Duration) error {
	if len(header) > maxHeader {
		return fmt.Errorf("signature: expected at most %d characters, found %d", maxHeader, len(header))
	}
	t, given := "", []string(nil)
	for part := range strings.SplitSeq(header, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		switch {
		case !ok:
			return fmt.Errorf("signature: expected name=value, found %q", part)
		case name == "t" && t == "":
			t = value
		case name == "t":
			return errors.New("signature: the time stands twice")
		case name == "v1":
			given = append(given, value)
		}
	}
	seconds, err := strconv.ParseInt(t, 10, 64)
	if err != nil {
		return fmt.Errorf("signature: expected t= with seconds since 1970, found %q", t)
	}
	if off := now.Sub(time.Unix(seconds, 0)).Abs(); off > tolerance {
		return fmt.Errorf("signature: it is %s off the clock, more than %s", off.Round(time.Second), tolerance)
	}
	want := mac(secret, t, body)
	for _, g := range given {
		if have, err := hex.DecodeString(g); err == nil && hmac.Equal(have, want) {
			return nil
		}
	}
	return errors.New("signature: none is right: is the secret the same, and the body as it came?")
}
