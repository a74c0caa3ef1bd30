package config

import (
	"fmt"
	"net"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/edrwatch/edrwatch/pipeline/strict"
)

var (
	// elementName is what sources and sinks may be called.
	elementName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)
	// userinfo matches a URL with user name or password, which would show in logs and metrics.
	userinfo = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9+.-]*://[^/?#]*@`)
	// messagePath matches the path of keys with which components begin their messages.
	messagePath = regexp.MustCompile(`^([a-z][a-z0-9_]*(\.[a-z0-9_]+|\[[0-9]+\])*): `)
)

// validator is implemented by the components' Configs. Their messages begin with the key that they are about.
type validator interface{ Validate() error }

// validate returns what is wrong with values that have the right types. A part in which something was found already is
// left alone, so that no message follows from another.
func (l *Loaded) validate(known []strict.Problem) []strict.Problem {
	c, root := &l.Config, l.root
	var found []strict.Problem
	check := func(n strict.Node, settings any) {
		if v, ok := settings.(validator); ok && !n.IsZero() && slices.ContainsFunc(known, within(n)) {
			return
		} else if ok {
			found = append(found, locate(n, root, v.Validate())...)
		}
	}
	report := func(n strict.Node, hint, format string, args ...any) {
		p := orRoot(n, root).Problem(format, args...)
		p.Hint = hint
		found = append(found, p)
	}

	l.secretsAndURLs(report)
	known = append(slices.Clone(known), found...)
	if c.Version != Version {
		report(root.Get("version"), "this edrwatch reads version 1", "unknown version %d", c.Version)
	}
	oneOf(root.Get("log"), "level", c.Log.Level, []string{"debug", "info", "warn", "error"}, report)
	oneOf(root.Get("log"), "format", c.Log.Format, []string{"auto", "json", "text"}, report)
	l.listeners(report)
	check(root.Get("pipeline"), &c.Pipeline)
	check(root.Get("enrich"), &c.Enrich)
	check(root.Get("identity"), &c.Identity)
	check(root.Get("redact"), &c.Redact)
	check(root.Get("rules"), &c.Rules)
	check(root.Get("fleet"), &c.Fleet)
	check(placeIn(root.Get("fleet"), "exchange"), &c.Fleet.Exchange)
	check(root.Get("state"), &c.State)
	if c.State.Enabled() && !c.Fleet.Exchange.Enabled() {
		report(placeIn(root.Get("state"), "topic"), "set fleet.exchange.topic, for one gateway too", "topic: expected an exchange beside it, over which the fleet's judge knows what was before a restart")
	}
	check(root.Get("gateway"), &c.Gateway)
	check(root.Get("canary"), &c.Canary)
	l.canaries(report)
	check(root.Get("rollout_policy"), &c.RolloutPolicy)

	sources := make([]string, len(c.Sources))
	for i, s := range c.Sources {
		sources[i] = s.Name
		check(item(root.Get("sources"), i), s.Settings)
		check(item(root.Get("sources"), i), &c.Sources[i].Decode)
	}
	l.names("sources", sources, report)
	sinks := make([]string, len(c.Sinks))
	for i, s := range c.Sinks {
		sinks[i] = s.Name
		n := item(root.Get("sinks"), i)
		check(n, s.Settings)
		for _, problem := range s.Route.Problems() {
			report(placeIn(n, "route"), "", "route: %s", problem)
		}
	}
	l.names("sinks", sinks, report)
	check(root.Get("responses"), &c.Responses)
	responders := make([]string, len(c.Responders))
	for i := range c.Responders {
		responders[i] = c.Responders[i].Name
		check(item(root.Get("responders"), i), &c.Responders[i])
	}
	l.names("responders", responders, report)
	check(root.Get("dead_letter"), c.DeadLetter.Settings)
	l.loops(report)
	return found
}

type reporter func(n strict.Node, hint, format string, args ...any)

func oneOf(parent strict.Node, key, value string, allowed []string, report reporter) {
	if slices.Contains(allowed, value) {
		return
	}
	n := placeIn(parent, key)
	hint := ""
	if nearest, ok := strict.Nearest(value, allowed); ok {
		hint = fmt.Sprintf("did you mean %q?", nearest)
	}
	report(n, hint, "%s: expected %s or %s, found %s", key, strings.Join(allowed[:len(allowed)-1], ", "), allowed[len(allowed)-1], n.Describe())
}

func (l *Loaded) listeners(report reporter) {
	n := l.root.Get("http")
	ok := true
	for key, address := range map[string]string{"listen": l.Config.HTTP.Listen, "health_listen": l.Config.HTTP.HealthListen} {
		host, port, err := net.SplitHostPort(address)
		number, notNumber := strconv.ParseUint(port, 10, 16)
		if err != nil || notNumber != nil {
			ok = false
			report(placeIn(n, key), "for all interfaces write 0.0.0.0:8686", "%s: expected host:port such as 127.0.0.1:8686, found %s", key, n.Get(key).Describe())
		} else if host == "" {
			ok = false
			report(placeIn(n, key), "for all interfaces write 0.0.0.0:"+port, "%s: expected a host in front of the port", key)
		} else if number == 0 {
			// Port 0 takes any free port; two of them never collide.
			ok = false
		}
	}
	if ok && l.Config.HTTP.Listen == l.Config.HTTP.HealthListen {
		report(placeIn(n, "health_listen"), "", "health_listen: expected another address than listen, because health and data never share a listener")
	}
}

// names checks the names of sources, sinks or responders: there must be some of the first two, and their environment variables must differ.
func (l *Loaded) names(list string, names []string, report reporter) {
	n := l.root.Get(list)
	if len(names) == 0 && n.Kind() != strict.Mapping && list != "responders" {
		report(n, fmt.Sprintf("add an entry with name and type below %s", list), "%s: expected at least one, found none", list)
	}
	seen := map[string]string{}
	for i, name := range names {
		at := item(n, i).Get("name")
		if text, ok := at.Scalar(); !ok || name != text {
			continue // The name is missing or was not decoded, which has been reported.
		}
		other, taken := seen[envName(name)]
		switch {
		case !elementName.MatchString(name):
			report(at, "", "name: expected lower-case letters, digits, - and _, beginning with a letter, found %s", at.Describe())
		case taken && other == name:
			report(at, "", "name: %q is taken by another of the %s", name, list)
		case taken:
			report(at, "they share environment variables", "name: %q is too near to %q", name, other)
		}
		if !taken {
			seen[envName(name)] = name
		}
	}
}

// secretsAndURLs finds secrets that stand in the file, and user names and passwords in URLs.
func (l *Loaded) secretsAndURLs(report reporter) {
	for _, v := range l.values() {
		_, replaced := v.node.Written()
		line, _ := v.node.Position()
		if text, _ := v.node.Scalar(); isSecret(v.value.Type()) && line > 0 && !replaced && text != "" {
			report(v.node, "write ${VAR} or ${file:/path}", "%s: a secret must not stand in the file", lastKey(v.path))
		}
		texts, nodes := []reflect.Value{v.value}, []strict.Node{v.node}
		if v.value.Kind() == reflect.Slice {
			texts, nodes = nil, nil
			for i := range v.value.Len() {
				texts, nodes = append(texts, v.value.Index(i)), append(nodes, item(v.node, i))
			}
		}
		for i, text := range texts {
			if text.Kind() == reflect.String && userinfo.MatchString(text.String()) {
				report(nodes[i], "use the keys for user name and password", "%s: user name and password do not belong into a URL", lastKey(v.path))
			}
		}
	}
}

func lastKey(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

// locate gives the messages of a component's Validate their places in the file.
func locate(n, root strict.Node, err error) []strict.Problem {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var found []strict.Problem
		for _, e := range joined.Unwrap() {
			found = append(found, locate(n, root, e)...)
		}
		return found
	}
	at := n
	if m := messagePath.FindStringSubmatch(err.Error()); m != nil {
		for _, key := range strings.FieldsFunc(m[1], func(r rune) bool { return strings.ContainsRune(".[]", r) }) {
			at = placeIn(at, key)
		}
	}
	return []strict.Problem{orRoot(at, root).Problem("%s", err)}
}

// placeIn returns the value of a key, or the element of a number, or the parent when there is none.
func placeIn(parent strict.Node, key string) strict.Node {
	if n := parent.Get(key); !n.IsZero() {
		return n
	}
	if i, err := strconv.Atoi(key); err == nil && i < len(parent.Items()) {
		return parent.Items()[i]
	}
	return parent
}

// orRoot returns the node, or the root when the file says nothing about it.
func orRoot(n, root strict.Node) strict.Node {
	if n.IsZero() {
		return root
	}
	return n
}

// within returns a test whether a problem is about a node or something in it.
func within(n strict.Node) func(strict.Problem) bool {
	return func(p strict.Problem) bool {
		line, column := n.Position()
		if p.File == n.File() && p.Line == line && p.Column == column {
			return true
		}
		for _, i := range n.Items() {
			if within(i)(p) {
				return true
			}
		}
		for _, e := range n.Entries() {
			if within(e.Key)(p) || within(e.Value)(p) {
				return true
			}
		}
		return false
	}
}
