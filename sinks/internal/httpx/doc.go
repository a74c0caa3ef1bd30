// Package httpx holds what sinks that speak HTTP share: the classification of
// status codes, the transport, addresses and answers that are safe to log, a
// limit on concurrent requests that gives way to a busy server, and the
// metrics of requests.
package httpx
