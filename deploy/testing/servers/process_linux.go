package servers

import (
	"os/exec"
	"syscall"
)

// asUser is a command that runs as the server's user when this process is root's, and ends with this process.
func asUser(name, program string, args ...string) *exec.Cmd {
	c := exec.Command(program, args...)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if uid, gid, ok := idsOf(name); ok {
		c.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	return c
}

// killGroup ends the server and the processes it started.
func killGroup(c *exec.Cmd) { syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
