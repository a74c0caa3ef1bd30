// Package simulator is a deterministic fleet of EDR agents that emits records
// as the vendors send them: CrowdStrike Falcon Data Replicator lines,
// Microsoft Defender DeviceInfo rows, Windows events as winlogbeat ships them
// and process metrics as metricbeat ships them.
//
// The fleet lives in virtual time: a queue of due tasks, ordered by the moment
// at which their record reaches the broker. The same configuration gives the
// same bytes. Memory grows with the number of agents only.
//
// A scenario says what happens to the fleet, Truth says what a monitor has to
// find. Laptops sleep, hosts reboot, batches come late, some records come
// twice or broken in every scenario: a detector must live with them.
package simulator
