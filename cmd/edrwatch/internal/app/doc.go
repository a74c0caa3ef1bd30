// Package app is the composition root: the only package that knows every
// component, makes them from the configuration, starts them and stops them in
// the reverse order.
package app
