//go:build !linux

package servers

import (
	"os/exec"
)

func asUser(_, program string, args ...string) *exec.Cmd {
	return exec.Command(program, args...)
}

func killGroup(c *exec.Cmd) { c.Process.Kill() }
