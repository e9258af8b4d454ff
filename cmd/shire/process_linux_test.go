package main

import "syscall"

// processAttributes has the kernel end what a test started, should the test itself be killed.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
