package conformance

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"strings"
	"testing"
	"time"
)

func missing(t testing.TB, what string) {
	t.Helper()
	const do = "is not installed; run deploy/testing/install.sh"
	if os.Getenv("CI") == "true" {
		t.Fatal(what, do)
	}
	t.Skip(what, do)
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

// serverDir is a folder that the server's user owns: neither server runs as root.
func serverDir(t testing.TB, prefix, owner string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", prefix)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if uid, gid, ok := idsOf(owner); ok {
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// idsOf is the user that a server of this name runs as when the test runs as root.
func idsOf(name string) (uid, gid int, ok bool) {
	if os.Getuid() != 0 {
		return 0, 0, false
	}
	u, err := user.Lookup(name)
	if err != nil {
		return 0, 0, false
	}
	fmt.Sscan(u.Uid, &uid)
	fmt.Sscan(u.Gid, &gid)
	return uid, gid, true
}

func runAs(t testing.TB, owner, program string, args ...string) {
	t.Helper()
	if out, err := asUser(t, owner, program, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", program, err, out)
	}
}

// serve starts a server that writes its log to a file, and waits for a line of it.
func serve(t testing.TB, command *exec.Cmd, log, ready string) {
	t.Helper()
	out, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	command.Stdout, command.Stderr = out, out
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(command) })
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		text, _ := os.ReadFile(log)
		if strings.Contains(string(text), ready) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s did not become ready:\n%s", command.Path, text)
		}
	}
}

func kill(command *exec.Cmd) {
	if command.ProcessState != nil {
		return
	}
	killGroup(command)
	command.Wait()
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
