// Package respond acts on alerts: it asks a SOAR, a worker before a vendor's
// console or an Alertmanager to pause a rollout, roll content back, or tell
// people. A Dispatcher is a sink of the pipeline, so that what was asked for is
// acknowledged, retried, counted and dead-lettered as documents are.
//
// Nothing is sent unless responses are enabled: until then every act is only
// written as an event (dry run). An act has an id that is the same for every repetition,
// so that receivers recognise it; within one process it is sent once.
package respond
