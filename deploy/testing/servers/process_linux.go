package servers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
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

// killGroup ends the server and the processes it started, and waits, not for ever, until these have ended: PostgreSQL does not
// start again while one of them holds its shared memory. They are found by their parent, as each has a group of its own.
func killGroup(c *exec.Cmd) {
	server := c.Process.Pid
	syscall.Kill(server, syscall.SIGSTOP) // no more are started
	started := children(server)
	syscall.Kill(-server, syscall.SIGKILL)
	for _, pid := range started {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	for range 300 {
		if !slices.ContainsFunc(started, lives) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func children(parent int) (pids []int) {
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if f := stat(pid); len(f) > 1 && f[1] == strconv.Itoa(parent) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// lives tells whether a process runs; one that has ended and that its parent took no note of does not.
func lives(pid int) bool {
	f := stat(pid)
	return len(f) > 0 && f[0] != "Z"
}

// stat is what the system says of a process: its state, its parent and so on; nothing when it is gone.
func stat(pid int) []string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(text), ") ")
	return strings.Fields(rest)
}
