package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// JetStream's files take no more writes in the middle of a load: the load ends with a sentence, and the next one, when
// they take writes again, completes it. Nothing that was acknowledged is lost, nothing is there twice.
func TestJetStreamCannotWrite(t *testing.T) {
	t.Parallel()
	needEngine(t)
	u := loadUndisturbed(t, 2000, 180, small)

	t.Run("file size limit", func(t *testing.T) {
		limit := func(p *process, bytes uint64) {
			if err := unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: bytes, Max: unix.RLIM_INFINITY}, nil); err != nil {
				t.Fatal(err)
			}
		}
		data := filepath.Join(t.TempDir(), "data")
		chokeMidLoad(t, u, data, func(p *process) {
			limit(p, uint64(streamBytes(t, data, "CHANGES")))
		}, func() {})
	})

	t.Run("full file system", func(t *testing.T) {
		data := filepath.Join(t.TempDir(), "data")
		store := filepath.Join(data, "nats")
		if err := os.MkdirAll(store, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("tmpfs", store, "tmpfs", 0, "size=32m"); err != nil {
			t.Skipf("file systems cannot be mounted here (the other half of this test has run): %v", err)
		}
		t.Cleanup(func() {
			if err := unix.Unmount(store, unix.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
		filler := filepath.Join(store, "filler")
		chokeMidLoad(t, u, data, func(*process) { fill(t, filler) }, func() {
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
		})
	})
}

// chokeMidLoad starts a load, has choke take JetStream's disk away when the load is under way, expects the load to end
// with the environment's exit code, has release give the disk back, and loads again.
func chokeMidLoad(t *testing.T, u *undisturbed, data string, choke func(*process), release func()) {
	t.Helper()
	p := start(t, "load", "-c", u.file, "--data", data)
	p.waitUntil("the load is under way", func() bool {
		return streamBytes(t, data, "CHANGES") > 64<<10 && streamBytes(t, data, "LEDGER") > 0
	})
	choke(p)
	r := p.Wait()
	if r.Code != exitEnvironment || !strings.Contains(r.Stderr, "NATS cannot store messages") || !strings.Contains(r.Stderr, filepath.Join(data, "nats")) {
		t.Fatalf("a load whose bus cannot be written ended otherwise than with a sentence and exit code %d: %v", exitEnvironment, r)
	}
	t.Logf("what the user sees: %s", r.Stderr)
	release()
	left := counts(t, shire(t, "load", "-c", u.file, "--data", data))
	t.Logf("the load after it had %d of %d changes and %d of %d rows left", left.changes, u.load.changes, left.rows, u.load.rows)
	if left.changes == 0 || left.changes == u.load.changes {
		t.Errorf("the disk was not taken away in the middle of the load: %d of %d changes were left", left.changes, u.load.changes)
	}
	sameMarts(t, u.marts, u.data, data)
}

// fill writes a file until the file system has no room left.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 1<<20); len(block) > 0; {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			block = block[:len(block)/2] // the last corners too
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
