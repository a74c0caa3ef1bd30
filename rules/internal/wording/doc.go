// Package wording writes numbers, spans and lists as alerts and reports say them.
package wording
