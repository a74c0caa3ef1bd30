// Package api serves HTTP on two listeners that share nothing but this code.
//
// The operations listener answers the kubelet and Prometheus: /livez, /readyz,
// /metrics, /buildinfo. The data listener answers people: the console and the
// JSON API below /api/v1/ that the console itself uses.
//
// Both only read. There is no route that changes state, so there is nothing to
// forge; still the data listener answers only to names it knows (DNS
// rebinding), refuses requests of other sites, sends a content security policy
// without inline code, and bounds connections, headers, time and streams.
package api
