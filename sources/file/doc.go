// Package file reads records from files and standard input, one a line, in two
// formats: raw NDJSON, where a line is a record's value, and the capture
// format, where a line holds a record as it stood in Kafka (see [AppendCapture]).
//
// [Reader] is the iterator that gives an account of every line; [Source] feeds
// the same records to a pipeline.
package file
