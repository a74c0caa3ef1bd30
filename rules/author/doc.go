// Package author helps whoever writes rules: what is wrong with a file (lint), how
// one begins (scaffold), and its JSON Schema.
package author
