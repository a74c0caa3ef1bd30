//go:build unix

package testbed

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// Ports are taken below the range from which Linux gives ports to outgoing
// connections (net.ipv4.ip_local_port_range, 32768 by default), so that nobody's
// connection sits on a server's port while the server is down for a restart.
const (
	firstPort = 20000
	lastPort  = 32767
)

// freePorts returns n different loopback ports on which nothing listens.
func freePorts(n int) ([]int, error) {
	var ports []int
	var held []net.Listener
	defer func() {
		for _, l := range held {
			_ = l.Close()
		}
	}()
	for range 1000 {
		if len(ports) == n {
			return ports, nil
		}
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		l, err := net.Listen("tcp", loopback(port))
		if err != nil {
			continue
		}
		held = append(held, l)
		ports = append(ports, port)
	}
	return nil, errors.New("finding a free port on 127.0.0.1: 1000 tries failed")
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
