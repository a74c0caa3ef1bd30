package file

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// appender appends whole lines to one file. It is safe for concurrent use.
type appender struct {
	cfg    Config
	stdout io.Writer

	mu   sync.Mutex
	file *os.File // nil until the first write, and for standard output
	size int64    // of complete lines
	disk bool     // whether file is one that can be synchronised, not a pipe
}

func newAppender(cfg Config, set Settings) *appender {
	a := &appender{cfg: cfg, stdout: set.Stdout}
	if a.stdout == nil {
		a.stdout = os.Stdout
	}
	return a
}

// append writes lines, which end with a newline, and makes them durable. After
// an error the file is as before, so that the same lines can be written again.
func (a *appender) append(lines []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cfg.Path == Stdout {
		if _, err := a.stdout.Write(lines); err != nil {
			return failure("writing to standard output", err)
		}
		return nil
	}
	if err := a.reopen(); err != nil {
		return err
	}
	_, err := a.file.Write(lines)
	if err == nil && a.cfg.Sync && a.disk {
		err = a.file.Sync()
	}
	if err != nil {
		// Take back half a line. Should that fail as well, opening the file
		// again finds it.
		if a.disk {
			_ = a.file.Truncate(a.size)
		}
		_ = a.file.Close()
		a.file = nil
		return failure("writing "+a.cfg.Path, err)
	}
	a.size += int64(len(lines))
	return nil
}

// reopen opens the file when it is not open, or is not the one called Path any
// more.
func (a *appender) reopen() error {
	if a.file != nil {
		open, err := a.file.Stat()
		if err == nil {
			var named fs.FileInfo
			if named, err = os.Stat(a.cfg.Path); err == nil && os.SameFile(open, named) {
				// Somebody may have emptied it (copytruncate).
				a.size = named.Size()
				return nil
			}
		}
		_ = a.file.Close()
		a.file = nil
	}
	file, err := os.OpenFile(a.cfg.Path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return failure("opening the file", err)
	}
	info, err := file.Stat()
	if err == nil && info.Mode().IsRegular() {
		a.size, err = endOfLines(file, info.Size())
	}
	if err != nil {
		_ = file.Close()
		return failure("opening "+a.cfg.Path, err)
	}
	a.file, a.disk = file, info.Mode().IsRegular()
	return nil
}

// endOfLines ends a last line that a crash left half-written, so that the next
// line does not become part of it, and returns the size then.
func endOfLines(file *os.File, size int64) (int64, error) {
	if size == 0 {
		return 0, nil
	}
	var last [1]byte
	if _, err := file.ReadAt(last[:], size-1); err != nil {
		return 0, err
	}
	if last[0] == '\n' {
		return size, nil
	}
	if _, err := file.Write([]byte{'\n'}); err != nil {
		return 0, err
	}
	return size + 1, nil
}

func (a *appender) close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.file == nil {
		return nil
	}
	err := a.file.Close()
	a.file = nil
	return err
}

// failure classifies what the operating system says.
func failure(doing string, err error) error {
	f := fault.New(fault.Transient, fault.Unavailable, "%s: %w", doing, err)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		f.Class, f.Reason = fault.Operator, fault.Misconfigured
		return f.WithHint("create the directory, or let the user that runs edrwatch write there")
	}
	return f
}
