package mappings

import (
	"embed"
	"io/fs"
)

//go:embed */*.yml */*.csv *.csv
var library embed.FS

// Library returns the mapping files and lookup tables that ship with edrwatch.
// A file of the same path in a file system that follows it in [Parse] replaces
// a mapping file; rows of a table of the same path are added to the table.
func Library() fs.FS { return library }
