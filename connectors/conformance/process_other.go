//go:build !linux

package conformance

import (
	"os/exec"
	"testing"
)

func asUser(t testing.TB, _, program string, args ...string) *exec.Cmd {
	t.Helper()
	return exec.Command(program, args...)
}

func killGroup(c *exec.Cmd) { c.Process.Kill() }
