// Package redact takes secrets and, where configured, the names of people out of
// events before rules judge them and before any sink gets them.
//
// Secrets are the values of settings such as password=… and "token": "…", of
// options such as --password …, bearer tokens, and tokens that are known by
// their form. In command lines they are also what -p … is to the program that
// the option belongs to, and the plain words of net user, net use, setx and
// ConvertTo-SecureString. User names become a keyed hash, so that
// what one person did can still be counted, or go. Both hold for the fields of
// the dictionary and for the vendors' own, texts in JSON included.
//
// Alerts are made of redacted events. The dead letter is not redacted: it holds
// the bytes of records that nobody could read, so that they can be read again;
// protect it like the source.
package redact
