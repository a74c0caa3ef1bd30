// Package fleetsync brings the steps of several gateways' fleets together over a
// Kafka topic of one partition. Every gateway publishes its steps and hears
// those of all, so that each knows the whole fleet; the one that owns the
// partition in the consumer group raises the alerts.
//
// A record is a step of one gateway (package fleet): its key names the gateway,
// its value holds the step, or one zero byte when the gateway
// leaves.
package fleetsync
