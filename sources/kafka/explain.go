package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/edrwatch/edrwatch/pipeline/fault"
)

// explain classifies a failure to talk to a broker and says what to do.
func (c *Config) explain(err error) error {
	var classified *fault.Error
	if err == nil || errors.As(err, &classified) {
		return err
	}
	operator := func(reason fault.Reason, hint string) error {
		return (&fault.Error{Class: fault.Operator, Reason: reason, Err: err}).WithHint(hint)
	}
	transient := func(hint string) error {
		return (&fault.Error{Class: fault.Transient, Reason: fault.Unavailable, Err: err}).WithHint(hint)
	}
	var (
		file      *fileError
		dns       *net.DNSError
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
		alert     tls.AlertError
		kafka     kafkago.Error
		handshake *tlsError
	)
	switch {
	case errors.As(err, &file):
		return operator(fault.Misconfigured, "check the file that the setting names")
	case errors.As(err, &dns) && dns.IsNotFound:
		return operator(fault.Misconfigured, "check the host names in brokers, and those that the brokers advertise")
	case errors.As(err, &authority):
		return operator(fault.Misconfigured, "set tls.ca_file to the authority that signed the broker's certificate")
	case errors.As(err, &host):
		return operator(fault.Misconfigured, "use the name in the broker's certificate in brokers, or set tls.server_name")
	case errors.As(err, &invalid):
		return operator(fault.Misconfigured, "the broker's certificate is not usable: renew it, or check this machine's clock")
	case errors.As(err, &record):
		return operator(fault.Misconfigured, "the broker does not speak TLS on this port: use its TLS port, or set tls.enabled to false")
	case errors.Is(err, errExpectsTLS):
		return operator(fault.Misconfigured, "the broker expects TLS on this port: set tls.enabled to true")
	case errors.As(err, &alert), strings.Contains(err.Error(), "remote error: tls:"):
		return operator(fault.Unauthorized, "the broker refused this client's certificate: set tls.cert_file and tls.key_file to one that it trusts")
	case errors.As(err, &kafka):
		return c.explainCode(kafka, operator, transient)
	case errors.As(err, &handshake) && errors.Is(err, io.EOF):
		return operator(fault.Misconfigured, "the broker hung up on TLS: use its TLS port, or set tls.enabled to false")
	case errors.As(err, &handshake) && errors.Is(err, context.DeadlineExceeded):
		return transient("the broker does not answer TLS: use its TLS port, or set tls.enabled to false")
	case errors.Is(err, syscall.ECONNREFUSED):
		return transient("nothing listens there: check host and port in brokers, and that the broker runs")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return transient("the broker does not answer: check host, port and firewalls")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		if c.SASL.Mechanism == "" || !c.TLS.Enabled {
			return transient("the broker hung up: it may expect tls or sasl settings that are not given")
		}
		return transient("the broker hung up")
	}
	return transient("")
}

func (c *Config) explainCode(code kafkago.Error, operator func(fault.Reason, string) error, transient func(string) error) error {
	switch code {
	case kafkago.SASLAuthenticationFailed, kafkago.IllegalSASLState:
		return operator(fault.Unauthorized, fmt.Sprintf("the broker refused user %q: check sasl.username, sasl.password and sasl.mechanism", c.SASL.Username))
	case kafkago.UnsupportedSASLMechanism:
		return operator(fault.Misconfigured, fmt.Sprintf("the broker does not offer %s: check sasl.mechanism", c.SASL.Mechanism))
	case kafkago.TopicAuthorizationFailed:
		return operator(fault.Unauthorized, "give this user the ACLs Read and Describe on the topics")
	case kafkago.GroupAuthorizationFailed:
		return operator(fault.Unauthorized, fmt.Sprintf("give this user the ACL Read on the group %q", c.Group))
	case kafkago.ClusterAuthorizationFailed:
		return operator(fault.Unauthorized, "this user lacks a privilege on the cluster")
	case kafkago.UnknownTopicOrPartition:
		return operator(fault.Misconfigured, "make the topic, or correct its name in topics")
	case kafkago.InconsistentGroupProtocol:
		return operator(fault.Misconfigured, fmt.Sprintf("another kind of consumer uses the group %q: choose another group", c.Group))
	case kafkago.InvalidSessionTimeout:
		return operator(fault.Misconfigured, "the broker does not accept session_timeout: see its group.min.session.timeout.ms and group.max.session.timeout.ms")
	}
	return transient("")
}
