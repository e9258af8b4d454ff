//go:build unix

package embedded

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// holderVariable makes the test binary a process that runs the engines on the directory it names.
const holderVariable = "SHIRE_TEST_HOLDER"

type holderReport struct {
	Child    int // pid of the ClickHouse child
	Native   string
	NATSPort string
}

func runHolderIfAsked() {
	dir := os.Getenv(holderVariable)
	if dir == "" {
		return
	}
	e, err := Start(context.Background(), Options{
		Dir: dir, Version: "1.0.0", ClickHouse: ClickHouseOptions{MaxMemoryBytes: 1 << 30, Users: []User{admin}},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	_, port, _ := strings.Cut(e.NATS().URL, loopback+":")
	report := holderReport{Child: childPID(e), Native: e.ClickHouse().Native, NATSPort: port}
	if err := json.NewEncoder(os.Stdout).Encode(report); err != nil {
		os.Exit(1)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

func childPID(e *Engines) int {
	e.clickHouse.mu.Lock()
	defer e.clickHouse.mu.Unlock()
	if e.clickHouse.process == nil {
		return 0
	}
	return e.clickHouse.process.Pid
}

// startHolder starts a process that runs the engines on dir and returns it with what it told.
func startHolder(t *testing.T, dir string) (*exec.Cmd, holderReport) {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	holder := exec.Command(executable)
	holder.Env = append(os.Environ(), holderVariable+"="+dir)
	holder.Stderr = t.Output()
	stdin, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close(); holder.Process.Kill(); _ = holder.Wait() })
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		t.Fatalf("the holder said nothing: %v", err)
	}
	var report holderReport
	if err := json.Unmarshal(line, &report); err != nil {
		t.Fatal(err)
	}
	return holder, report
}

// running tells whether a process runs; a zombie, which nobody has waited for yet, does not.
func running(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return !errors.Is(err, os.ErrNotExist)
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z")
}

// eventually polls what cannot be signalled to this process.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("it never came about that %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestParentKilled(t *testing.T) {
	needLibrary(t)
	dir := t.TempDir()
	holder, at := startHolder(t, dir)
	if found, err := ReadRuntime(dir); err != nil || found.PID != holder.Process.Pid || found.ClickHouseNative != at.Native {
		t.Fatalf("runtime file of the other process: %+v, %v", found, err)
	}
	_, err := Start(t.Context(), testOptions(t, dir))
	wantEnvError(t, err, ErrLocked, fmt.Sprintf("process %d", holder.Process.Pid))

	conn := connect(t, at.Native, admin.Name, admin.Password)
	mustExec(t, conn,
		"CREATE DATABASE d",
		"CREATE TABLE d.t (a UInt64) ENGINE = MergeTree ORDER BY a",
		"INSERT INTO d.t SELECT number FROM numbers(1000)")

	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = holder.Wait()
	eventually(t, "the child of a killed parent ends", func() bool { return !running(at.Child) })
	// A killed process's last threads may outlive its entry in the process table by a moment.
	eventually(t, "nothing listens on the killed node's port", func() bool {
		c, err := net.Dial("tcp", at.Native)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	if _, err := ReadRuntime(dir); !errors.Is(err, ErrNotRunning) {
		t.Errorf("the file of a killed process was believed: %v", err)
	}

	e := start(t, testOptions(t, dir))
	conn = connect(t, e.ClickHouse().Native, admin.Name, admin.Password)
	if got := queryOne[uint64](t, conn, "SELECT sum(a) FROM d.t"); got != 499500 {
		t.Errorf("sum after the kill: %d", got)
	}
}
