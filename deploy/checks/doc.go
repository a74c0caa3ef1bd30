// Package checks holds the files under deploy against the formats that they
// are in: the compose specification, the types of the Kubernetes API, PromQL
// and systemd units. It is a module of its own so that the gateway does not
// depend on any of them.
package checks
