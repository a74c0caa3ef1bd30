// Package webhook asks over HTTP for responses to alerts: signed webhooks for a
// SOAR or a worker, and Alertmanager's API.
//
// What is sent can make other systems act, so it goes to allow-listed hosts
// only and follows no redirect. Whatever a name resolves to, it does not reach
// loopback and private addresses unless allow_private is set, and never those of metadata
// services.
package webhook
