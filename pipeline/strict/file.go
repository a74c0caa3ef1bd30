package strict

import (
	"io"
	"io/fs"
	"os"
)

// ReadFile reads a file for Parse. Of one that is too large, or a device that has no end, it reads no more than Parse
// needs to say so.
func ReadFile(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	return read(f)
}

// ReadPath is ReadFile for a path of the operating system.
func ReadPath(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return read(f)
}

func read(f fs.File) ([]byte, error) {
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, MaxSize+1))
}
