package command

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hiding starts what should outlive the command: in a session of its own, forked twice, without the environment that
// would tell where it comes from, deaf to signals, stopped.
const hiding = `
mark=$MARK
setsid sh -c 'trap "" TERM HUP INT; (sh -c "trap \"\" TERM; while :; do sleep 1000; done" $MARK) & sleep 1000' $mark </dev/null >/dev/null 2>&1 &
env -i PATH=$PATH setsid setsid sh -c '(trap "" TERM; while :; do sleep 1000; done) & exit' $mark &
nohup sh -c 'kill -STOP $$' $mark >/dev/null 2>&1 &
sleep 0.2
`

// bothWays runs a test with namespaces, where they can be made, and without.
func bothWays(t *testing.T, test func(t *testing.T, plain bool)) {
	if mayIsolate() {
		t.Run("isolated", func(t *testing.T) { test(t, false) })
	}
	t.Run("plain", func(t *testing.T) { test(t, true) })
}

func TestNothingOutlivesTheCommand(t *testing.T) {
	needs(t, "setsid")
	bothWays(t, func(t *testing.T, plain bool) {
		t.Run("that ends", func(t *testing.T) {
			result, out, err := doAs(t, t.Context(), settings(t, "/", hiding+"echo done", map[string]any{"grace": "200ms"}), nil, plain)
			if err != nil || out != "done\n" || !strings.Contains(result.Message, "processes still ran after the command had ended") {
				t.Errorf("got %+v, %q, %v", result, out, err)
			}
		})
		t.Run("that hangs", func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, _, err := doAs(t, ctx, settings(t, "/", "trap '' TERM\n"+hiding+"while :; do sleep 1000; done", map[string]any{"grace": "200ms"}), nil, plain)
			if err == nil || !strings.Contains(err.Error(), "took longer than it may and did not end within 200ms of SIGTERM and was killed") {
				t.Errorf("got %v", err)
			}
		})
		t.Run("what ends by itself is waited for", func(t *testing.T) {
			result, out, err := doAs(t, t.Context(), settings(t, "/", "(sleep 0.1; echo late) & echo early"), nil, plain)
			if err != nil || out != "early\nlate\n" || result.Message != "" {
				t.Errorf("got %+v, %q, %v", result, out, err)
			}
		})
		// The two scripts end by themselves in the end: a supervisor that fails must not take the machine with it.
		t.Run("that is never the same process", func(t *testing.T) {
			chain := script(t, "#!/bin/sh\n[ ${1:-0} -gt 5000 ] && exit\nsetsid $0 $((${1:-0} + 1)) >/dev/null 2>&1 &\nexit 0\n")
			result, _, err := doAs(t, t.Context(), settings(t, "/", "", map[string]any{"run": []any{chain}, "grace": "50ms"}), nil, plain)
			if err != nil || result.Message == "" {
				t.Errorf("got %+v, %v", result, err)
			}
		})
		t.Run("that multiplies", func(t *testing.T) {
			bomb := script(t, "#!/bin/sh\ntrap '' TERM\n[ ${1:-0} -gt 7 ] || { $0 $((${1:-0} + 1)) & $0 $((${1:-0} + 1)) & }\nsleep 600\n")
			_, _, err := doAs(t, t.Context(), settings(t, "/", "", map[string]any{"run": []any{bomb}, "processes_max": 60}), nil, plain)
			if err == nil || !strings.Contains(err.Error(), "had more processes at once than processes_max allows (60), and was killed") {
				t.Errorf("got %v", err)
			}
		})
	})
}

// Where namespaces can be made, a command sees its own processes and no others, and cannot kill its supervisor.
func TestIsolation(t *testing.T) {
	if !mayIsolate() {
		t.Skip("this user may not make namespaces")
	}
	w := New(settings(t, "/", "true"), "")
	o, _, err := w.order(task(nil), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.supervise(t.Context(), o, newRecorder(io.Discard, 1<<10, nil), true); errors.Is(err, errUnfit) {
		t.Skip(err)
	}
	_, out, err := do(t, t.Context(), settings(t, "/", "cat /proc/1/comm; test $(cat /proc/1/comm) = job-supervisor || exit 0; kill -KILL 1; test $(cat /proc/$$/comm) = sh && echo own"), nil)
	if err != nil || out != "job-supervisor\nown\n" {
		t.Errorf("got %q, %v", out, err)
	}
}

// The same as a user who is not root.
func TestNothingOutlivesAnOrdinaryUsersCommand(t *testing.T) {
	needs(t, "setsid")
	if os.Getuid() != 0 {
		t.Skip("the other tests run as an ordinary user already")
	}
	folder := t.TempDir()
	for dir := folder; dir != "/" && dir != "."; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err != nil || info.Mode()&0o001 == 0 {
			if err := os.Chmod(dir, info.Mode().Perm()|0o011); err != nil {
				t.Skip(err)
			}
		}
	}
	if err := os.Chmod(folder, 0o777); err != nil {
		t.Fatal(err)
	}
	mark := "mark-ordinary-" + filepath.Base(folder)
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + folder, "MARK=" + mark,
		helperMarker + "=run id -u; MARK=" + mark + "; export MARK\n" + hiding + "echo done"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "65534\ndone\n<nil>\n" {
		t.Errorf("got %q, %v", out, err)
	}
	if left := marked(mark); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if left, _ := os.ReadDir(folder); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestMemory(t *testing.T) {
	eat := func(n int) map[string]any {
		return map[string]any{"memory_max": "96MiB", "environment": map[string]any{helperMarker: fmt.Sprint("eat ", n)}}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Run("one process", func(t *testing.T) {
		more := eat(400)
		more["run"] = []any{self}
		_, _, err := do(t, t.Context(), settings(t, "/", "", more), nil)
		if err == nil || !strings.Contains(err.Error(), "of memory where memory_max allows 96 MiB, and was killed") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("several together", func(t *testing.T) {
		more := eat(40)
		more["run"] = []any{"sh", "-c", `"$0" & "$0" & "$0" & wait`, self}
		_, _, err := do(t, t.Context(), settings(t, "/", "", more), nil)
		if err == nil || !strings.Contains(err.Error(), "of memory where memory_max allows 96 MiB, and was killed") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("what is shared counts once", func(t *testing.T) {
		// Twenty shells share their program: far above 12 MiB added up, well below in truth.
		s := settings(t, "/", `i=0; while [ $i -lt 20 ]; do (sleep 0.5; :) & i=$((i+1)); done; wait`, map[string]any{"memory_max": "24MiB"})
		if _, _, err := do(t, t.Context(), s, nil); err != nil {
			t.Errorf("got %v", err)
		}
	})
}

// A gigabyte of output takes neither memory nor disk.
func TestGigabyte(t *testing.T) {
	for how, want := range map[string]string{cut: "", stop: "printed more than output_max allows (64 KiB), and was stopped as output_full says"} {
		t.Run(how, func(t *testing.T) {
			s := settings(t, "/", "yes 0123456789012345678901234567890 | head -c 1G; echo the end", map[string]any{"output_max": "64KiB", "output_full": how})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			result, out, err := do(t, t.Context(), s, nil)
			runtime.ReadMemStats(&after)
			if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("got %v", err)
			}
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 8<<20 {
				t.Errorf("%d bytes were allocated", grown)
			}
			if len(out) > 64<<10+tailMax+lineMax {
				t.Errorf("%d bytes were kept", len(out))
			}
			if how == stop {
				if result.Counts["output_bytes"] >= 1<<30 {
					t.Errorf("it printed %d bytes before it was stopped", result.Counts["output_bytes"])
				}
				return
			}
			if result.Counts["output_bytes"] != 1<<30+8 || !strings.HasSuffix(out, "\nthe end\n") {
				t.Errorf("got %v, and at the end %q", result.Counts, out[max(0, len(out)-100):])
			}
			// What was kept and what is said to be left out make up the whole.
			left := 0
			for line := range strings.Lines(out) {
				if rest, found := strings.CutPrefix(line, "… ("); found {
					fmt.Sscan(rest, &left)
					out = strings.Replace(out, line, "", 1)
				}
			}
			if left+len(out) != 1<<30+8 {
				t.Errorf("%d bytes kept, %d said to be left out, of %d", len(out), left, 1<<30+8)
			}
		})
	}
}

// When shire is killed, the command and all it started die, and the scratch folder goes.
func TestShireIsKilled(t *testing.T) {
	needs(t, "setsid")
	bothWays(t, func(t *testing.T, plain bool) {
		scratch := t.TempDir()
		mark := fmt.Sprintf("mark-killed-%d-%t", os.Getpid(), plain)
		cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + scratch, "MARK=" + mark,
			helperMarker + "=run MARK=" + mark + "; export MARK; trap '' TERM; echo x > $HOME/file\n" + hiding + "echo ready; while :; do sleep 1000; done"}
		if plain {
			cmd.Env = append(cmd.Env, "PLAIN=1")
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
			t.Fatalf("got %q, %v", line, err)
		}
		if n := len(marked(mark)); n < 5 {
			t.Fatalf("only %d processes run", n)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		eventually(t, "no process is left", func() bool { return len(marked(mark)) == 0 })
		eventually(t, "no file is left", func() bool {
			left, _ := os.ReadDir(scratch)
			return len(left) == 0
		})
	})
}

// When somebody kills the supervisor, the run fails, and still nothing is left.
func TestSupervisorIsKilled(t *testing.T) {
	needs(t, "setsid")
	bothWays(t, func(t *testing.T, plain bool) {
		for signal, want := range map[syscall.Signal]string{syscall.SIGKILL: "the supervisor of the command sh was killed from outside", syscall.SIGTERM: "somebody sent its supervisor a signal"} {
			t.Run(signal.String(), func(t *testing.T) {
				s := settings(t, "/", "setsid sh -c 'sleep 1000' >/dev/null 2>&1 & sleep 0.1; echo ready; sleep 1000")
				mark := fmt.Sprintf("mark-supervisor-%d-%t-%d", os.Getpid(), plain, signal)
				s.Environment["MARK"] = mark
				w := New(s, t.TempDir())
				w.plain = plain
				out := &signalling{on: "ready\n", do: func() {
					for _, child := range listedChildren(os.Getpid()) {
						if name, _ := os.ReadFile(procFile(child, "comm")); string(name) == supervisorName+"\n" {
							_ = syscall.Kill(child, signal)
						}
					}
				}}
				if _, err := w.Do(t.Context(), task(nil), out); err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v", err)
				}
				if left := marked(mark); len(left) > 0 {
					t.Errorf("left: %v", left)
				}
			})
		}
	})
}

// A process that no signal ends, as one that waits for a dead file server, does not hold up the run for ever.
func TestUndead(t *testing.T) {
	const freezer = "/sys/fs/cgroup/freezer"
	cage := fmt.Sprintf("%s/shire-test-%d", freezer, os.Getpid())
	if os.Mkdir(cage, 0o755) != nil {
		t.Skip("there is no freezer")
	}
	thaw := func() {
		if err := os.WriteFile(cage+"/freezer.state", []byte("THAWED"), 0); err != nil {
			t.Error(err)
		}
	}
	defer os.Remove(cage)
	bothWays(t, func(t *testing.T, plain bool) {
		if _, err := os.Stat(cage + "/freezer.state"); err != nil {
			t.Skip("there is no freezer")
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		s := settings(t, "/", "echo 0 > "+cage+"/tasks; echo ready; sleep 1000", map[string]any{"grace": "100ms"})
		w := New(s, t.TempDir())
		w.plain, w.patience = plain, 300*time.Millisecond
		out := &signalling{on: "ready\n", do: func() {
			if err := os.WriteFile(cage+"/freezer.state", []byte("FROZEN"), 0); err != nil {
				t.Error(err)
			}
			cancel(nil)
		}}
		_, err := w.Do(ctx, task(nil), out)
		thaw()
		if err == nil || !strings.Contains(err.Error(), "processes of the command sh (sh) have not ended though they were killed") {
			t.Errorf("got %v", err)
		}
		eventually(t, "it has ended", func() bool {
			left, _ := os.ReadFile(cage + "/tasks")
			return len(left) == 0
		})
	})
}

// What shire has open, and its name, are not the command's.
func TestSupervisorKeepsItsOwn(t *testing.T) {
	leak, err := os.Open("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	defer leak.Close()
	if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, leak.Fd(), syscall.F_SETFD, 0); errno != 0 {
		t.Fatal(errno)
	}
	_, out, err := do(t, t.Context(), settings(t, "/", "ls -l /proc/self/fd | grep -c passwd; cat /proc/$(cut -d' ' -f4 /proc/$$/stat)/comm; cat /proc/$$/oom_score_adj; tr '\\0' ' ' < /proc/$(cut -d' ' -f4 /proc/$$/stat)/cmdline"), nil)
	if err != nil || !bytes.HasPrefix([]byte(out), []byte("0\njob-supervisor\n500\njob-supervisor sh")) {
		t.Errorf("got %q, %v", out, err)
	}
}
