// Package evaluate measures how well the gateway detects: it takes a simulated
// fleet through mapping and rules as `replay` does, and compares the alerts
// with what really happened. Found, how soon, which hosts, which verdict, and
// how many alerts were false.
package evaluate
