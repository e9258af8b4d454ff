//go:build unix

package command

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/shirecounty/shire/jobs"
)

// helperMarker has this binary play a part in a test, after which it ends.
const helperMarker = "COMMAND_TEST_HELPER"

func TestMain(m *testing.M) {
	RunSupervisorIfAsked()
	if part := os.Getenv(helperMarker); part != "" {
		helper(part)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func helper(part string) {
	name, argument, _ := strings.Cut(part, " ")
	switch name {
	case "eat": // takes so many MiB and holds them
		n := 0
		fmt.Sscan(argument, &n)
		eaten := make([]byte, n<<20)
		for i := range eaten {
			eaten[i] = byte(i >> 12)
		}
		time.Sleep(time.Minute)
		runtime.KeepAlive(eaten)
	case "run": // is the process that runs the worker
		w := New(settings(nil, "/", argument, map[string]any{"grace": "200ms"}), "")
		w.plain = os.Getenv("PLAIN") != ""
		_, err := w.Do(context.Background(), task(nil), os.Stdout)
		fmt.Println(err)
	}
}

// settings are those of a script for sh; t may be nil.
func settings(t *testing.T, folder, script string, more ...map[string]any) *Settings {
	m := map[string]any{"run": []any{"sh", "-c", script}, "folder": folder}
	for _, one := range more {
		for k, v := range one {
			m[k] = v
		}
	}
	s, problems := Read("do.command", m, []string{"district"}, func(p string) string { return p })
	if len(problems) > 0 {
		if t == nil {
			panic(problems)
		}
		t.Helper()
		t.Fatal(problems)
	}
	return s
}

var shanghai = func() *time.Location {
	zone, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		panic(err)
	}
	return zone
}()

func task(parameters map[string]string) jobs.Task {
	due := time.Date(2026, 11, 24, 2, 30, 0, 0, shanghai)
	return jobs.Task{Run: "export@2026-11-24T02:30:00+08:00", Job: "export", Attempt: 1, Due: due,
		From: due.AddDate(0, 0, -1), To: due, Parameters: parameters}
}

// do runs a worker and proves that it leaves nothing: no process with the mark, no file, no descriptor, no goroutine.
func do(t *testing.T, ctx context.Context, s *Settings, parameters map[string]string) (jobs.Result, string, error) {
	t.Helper()
	return doAs(t, ctx, s, parameters, false)
}

func doAs(t *testing.T, ctx context.Context, s *Settings, parameters map[string]string, plain bool) (jobs.Result, string, error) {
	t.Helper()
	scratch, mark := t.TempDir(), "mark-"+strings.ReplaceAll(filepath.Base(t.TempDir())+t.Name(), "/", "-")
	s.Environment["MARK"] = mark
	goroutines, files := runtime.NumGoroutine(), descriptors()
	var out bytes.Buffer
	w := New(s, scratch)
	w.plain = plain
	result, err := w.Do(ctx, task(parameters), &out)
	if left := marked(mark); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
	if left, _ := os.ReadDir(scratch); len(left) > 0 {
		t.Errorf("files are left: %v", left)
	}
	eventually(t, "goroutines and descriptors are given back", func() bool {
		return runtime.NumGoroutine() <= goroutines && descriptors() <= files
	})
	return result, out.String(), err
}

func descriptors() int {
	entries, _ := os.ReadDir("/dev/fd")
	return len(entries)
}

// marked are the processes that have the mark in their environment or their arguments.
func marked(mark string) (found []string) {
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range processes {
		environment, _ := os.ReadFile(p + "/environ")
		arguments, _ := os.ReadFile(p + "/cmdline")
		if p != fmt.Sprintf("/proc/%d", os.Getpid()) && bytes.Contains(append(environment, arguments...), []byte(mark)) {
			found = append(found, p+" "+string(bytes.ReplaceAll(arguments, []byte{0}, []byte{' '})))
		}
	}
	return found
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it did not come about that %s", what)
		}
	}
}

// script writes an executable file.
func script(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

func needs(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skip(err)
	}
}
