// Package mappings compiles declarative mapping files and turns raw records of
// EDR agents into events in the names of the dictionary.
//
// A mapping file (YAML, see README.md) says which records it takes by their
// shape, and for each kind of record which event.action it is and where each
// field comes from. [Parse] reads the files, [Files.Compile] checks them
// against the dictionary and makes a [Plan], and every worker asks the plan
// for a [Mapper] of its own.
//
// All files together become one table of key paths. A record is scanned once;
// one look-up a key notes where each path that some file asks for stands.
// Recognising the record and filling the event then only read those notes. A
// warm Mapper allocates nothing.
//
// What a record says and no file asks for is kept under the vendor's root, so
// nothing is lost.
package mappings
