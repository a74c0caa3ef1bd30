package store

import (
	"errors"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// diskFault classifies the result codes of SQLite (sqlite.org/rescode.html)
// that do not pass by themselves, or that say to come back later. It returns
// nil for all others.
func diskFault(err error) *fault.Error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return nil
	}
	operator := func(hint string) *fault.Error {
		return fault.New(fault.Operator, fault.Misconfigured, "").WithHint(hint)
	}
	switch e.Code() & 0xff { // The low byte is the primary result code.
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fault.New(fault.Transient, fault.Overloaded, "")
	case sqlite3.SQLITE_FULL:
		return operator("free space on the disk of the store")
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_AUTH:
		return operator("make the store's file and directory writable for this user")
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return operator("the store's file is damaged: stop, move it away and start again")
	}
	return nil
}
