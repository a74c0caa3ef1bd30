//go:build unix && !linux

package testbed

import "syscall"

// sysProcAttr puts a server into a process group of its own.
func sysProcAttr(credential *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: credential}
}
