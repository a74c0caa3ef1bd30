package testbed

import "syscall"

// sysProcAttr puts a server into a process group of its own and has the kernel
// kill it when the thread that started it dies, which is when the test process does.
func sysProcAttr(credential *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Credential: credential}
}
