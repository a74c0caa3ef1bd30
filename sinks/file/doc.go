// Package file writes documents as NDJSON to a file or to standard output, and
// keeps dead letters in a file.
//
// A write is durable when it returns: the file is synchronised. A file that is
// renamed or removed meanwhile (by logrotate) is opened again before the next
// write, so it can be rotated without a signal.
package file
