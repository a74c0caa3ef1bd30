// Package registry asks a schema registry, Confluent's or one that speaks its
// REST protocol (Karapace, Redpanda, Apicurio's ccompat), for the schemas that
// records name by their id.
//
// Only the configured addresses are asked, redirects are not followed, and
// answers are bounded. What an answer means is classified once, here: a registry
// that says that it has no such schema condemns the record; one that does not
// answer, refuses the credentials, or answers what makes no sense condemns
// nothing, and is asked again later.
package registry
