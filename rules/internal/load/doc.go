// Package load reads rule files and compiles them to a set, for the kinds of
// rules that it is given.
package load
