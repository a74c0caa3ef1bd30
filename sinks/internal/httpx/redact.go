package httpx

import (
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ParseURLs reads the addresses of a destination's servers. Credentials in an
// address are refused: addresses are logged, secrets have settings of their own.
func ParseURLs(addresses []string) ([]*url.URL, error) {
	if len(addresses) == 0 {
		return nil, fmt.Errorf("no address is given: expected at least one such as https://localhost:9200")
	}
	urls := make([]*url.URL, 0, len(addresses))
	for _, address := range addresses {
		u, err := url.Parse(strings.TrimRight(address, "/"))
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, fmt.Errorf("expected an address such as https://localhost:9200, found %q", hideUserinfo(address))
		}
		if u.User != nil {
			return nil, fmt.Errorf("the address %s carries credentials: give them as settings of their own", u.Redacted())
		}
		if u.RawQuery != "" || u.Fragment != "" {
			return nil, fmt.Errorf("the address %s://%s%s carries a query or fragment: remove it", u.Scheme, u.Host, u.Path)
		}
		urls = append(urls, u)
	}
	return urls, nil
}

// hideUserinfo removes what may be credentials from text that is not a URL.
func hideUserinfo(address string) string {
	if at := strings.LastIndexByte(address, '@'); at >= 0 {
		return "…" + address[at:]
	}
	return address
}

// maxExcerpt bounds how much of an answer goes into errors and logs.
const maxExcerpt = 300

// Excerpt returns the beginning of an answer in a form that is safe in logs and
// on terminals: one line, without control and formatting characters.
func Excerpt(body []byte) string {
	if len(body) == 0 {
		return "(empty answer)"
	}
	cut := len(body) > maxExcerpt
	if cut {
		body = body[:maxExcerpt]
	}
	var b strings.Builder
	for len(body) > 0 {
		r, size := utf8.DecodeRune(body)
		body = body[size:]
		switch {
		case r == utf8.RuneError && size == 1, unicode.In(r, unicode.Cf, unicode.Co, unicode.Cs):
			b.WriteByte('.')
		case unicode.IsSpace(r), unicode.IsControl(r):
			b.WriteByte(' ')
		default:
			b.WriteRune(r)
		}
	}
	if cut {
		b.WriteString("…")
	}
	return strings.TrimSpace(b.String())
}
