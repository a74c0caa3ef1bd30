// Package webhook asks over HTTP for responses to alerts: signed webhooks for a
// SOAR or a worker, and Alertmanager's API.
//
// What is sent can make other systems act, so it goes to allow-listed hosts
// only, follows no redirect, and does not reach loopback, private or link-local
// addresses unless told so, whatever a name resolves to.
package webhook
