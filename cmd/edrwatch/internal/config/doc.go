// Package config reads the one file that configures edrwatch into the components' own Config structs.
//
// The file is strict YAML (package strict): everything that is wrong is reported at once, with file, line and column.
// Three things are added to YAML.
//
// References in scalar values are replaced: ${VAR} by an environment variable, ${VAR:-text} by text when the variable is
// unset or empty, ${file:/path} by the content of a file without white space around it (a relative path starts at the
// directory of the configuration file). An undefined variable is an error. $${ stands for ${. A secret (package secret)
// whose whole value is ${file:/path} follows the file when it changes; a secret must not stand in the file itself.
//
// Environment variables set what the file does not say, or override it. The name of a setting's variable is EDRWATCH_ and
// its keys joined by underscores, in upper case, with an underscore for any other character than letters and digits:
// http.listen is EDRWATCH_HTTP_LISTEN. An element of a list is addressed by its name, or by its number from 0 when it has
// none: url of the sink named elastic is EDRWATCH_SINKS_ELASTIC_URL. A list of texts is given separated by commas. An
// entry of a map is addressed by its key. EDRWATCH_SINKS_<NAME>_TYPE adds a sink that the file does not have, and
// EDRWATCH_SOURCES_<NAME>_TYPE a source, so that a sidecar needs no file. A value of the form ${file:/path} reads that
// file; otherwise values are taken as they are. Empty variables count as unset. An unknown variable is an error, except
// EDRWATCH_CONFIG, EDRWATCH_TESTBED_… and those that Kubernetes adds for services named edrwatch….
//
// Every value knows its origin, which Print shows.
package config
