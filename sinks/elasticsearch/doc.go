// Package elasticsearch writes documents into Elasticsearch data streams and
// sets up the templates that give them their types.
//
// The writer is our own on the bulk API because what matters is what happens
// to each document: every item's status is classified (see items.go), only
// what is pending is sent again, a request that is too large is split until
// the one document that is too large stands alone, and an answer that makes no
// sense counts as no answer. Documents are created with their own id, so that
// sending twice stores once (within one backing index; after a rollover the
// same id would be accepted again, elastic/elasticsearch#44794, which is why
// the id stands in event.id too).
//
// It needs Elasticsearch 8.18 or later ([MinVersion]).
package elasticsearch
