// Package sigma converts Sigma rules and correlations (specification 2.1,
// https://github.com/SigmaHQ/sigma-specification) to rules of this project.
//
// Sigma compares without regard to case and knows only true and false; the
// conversion keeps both: texts become like(…), and a comparison under a not is
// false where its field is missing. What has no counterpart is an error that
// says why, never a rule that means something else.
package sigma
