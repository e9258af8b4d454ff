package main

import (
	"testing"

	"golang.org/x/sys/unix"
)

// limitFiles has a process's files grow no further, as on a disk that is full.
func limitFiles(t *testing.T, p *process, bytes uint64) {
	t.Helper()
	if err := unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: bytes, Max: bytes}, nil); err != nil {
		t.Fatal(err)
	}
}
