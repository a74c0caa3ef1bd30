// Package testbed brings the real servers that integration tests run against:
// Apache Kafka, Elasticsearch and OpenTelemetry's Splunk HEC receiver. It fetches
// them at test time from Maven Central and the Go module proxy, pinned and checked
// against SHA-256 sums, and starts them on loopback without root or docker.
//
//	func TestDelivery(t *testing.T) {
//		kafka := testbed.Kafka(t)
//		es := testbed.Elasticsearch(t)
//		kafka.CreateTopic(t, "edr", 4)
//		run(kafka.Brokers(), es.URL())
//	}
//
// A server belongs to the test that started it and is killed when that test ends,
// and also when the test process dies. [Shared] gives several tests one server.
// When a server cannot start the test fails and says what to install or to run;
// it is never skipped.
//
// Servers are started in the background of a Unix system; on any other the package
// is empty.
package testbed
