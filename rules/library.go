package rules

import (
	"embed"
	"io/fs"
)

//go:embed library
var shipped embed.FS

// Library returns the rules that are shipped, a tree of .yml files.
func Library() fs.FS {
	tree, err := fs.Sub(shipped, "library")
	if err != nil {
		panic(err) // The directory is embedded above.
	}
	return tree
}
