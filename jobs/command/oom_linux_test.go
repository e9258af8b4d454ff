package command

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// When shire is killed before it has said what is to be run, the supervisor removes the scratch folder, too.
func TestShireIsKilledBeforeItsOrder(t *testing.T) {
	pipes, err := openPipes()
	if err != nil {
		t.Fatal(err)
	}
	defer pipes.close()
	scratch := filepath.Join(t.TempDir(), "scratch")
	if err := os.Mkdir(scratch, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), ownExecutable)
	cmd.Env = []string{supervisorMarker + "=" + supervisorAmong, scratchMarker + "=" + scratch}
	cmd.ExtraFiles = []*os.File{pipes.control.read, pipes.report.write}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pipes.control.write.Close()
	if err := cmd.Wait(); err == nil {
		t.Error("a supervisor without an order ended well")
	}
	if _, err := os.Stat(scratch); !os.IsNotExist(err) {
		t.Errorf("the folder is left: %v", err)
	}
}

// memoryCage makes a control group that bounds the memory of what enters it to 64 MiB, and returns its folder. The machine's
// own memory is in no danger: what the kernel ends is what is in the cage. Where no such group can be made, the test is
// skipped.
func memoryCage(t *testing.T) string {
	t.Helper()
	const bound = "67108864"
	name := fmt.Sprintf("shire-test-%d", os.Getpid())
	for _, kind := range []struct{ folder, limit, swap, none string }{
		{"/sys/fs/cgroup", "memory.max", "memory.swap.max", "0"}, // version 2
		{"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", bound},
	} {
		if _, err := os.Stat(filepath.Join(kind.folder, "cgroup.procs")); err != nil {
			continue // no control groups are there
		}
		cage := filepath.Join(kind.folder, name)
		if os.Mkdir(cage, 0o755) != nil {
			continue
		}
		t.Cleanup(func() {
			eventually(t, "the control group is empty", func() bool { return syscall.Rmdir(cage) == nil })
		})
		if err := os.WriteFile(filepath.Join(cage, kind.limit), []byte(bound), 0); err == nil { // version 2 may be without the controller of memory
			_ = os.WriteFile(filepath.Join(cage, kind.swap), []byte(kind.none), 0) // there may be no swap to bound
			return cage
		}
	}
	t.Skip("this user may make no control group that bounds memory, or the kernel has none")
	return ""
}

// What the kernel ends for want of memory fails with that reason, and leaves nothing behind: the command itself, or a part of
// it whose end the command survives.
func TestKilledForMemory(t *testing.T) {
	cage := memoryCage(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// A namespace numbers its processes itself; 0 is whoever writes it.
	enter := "echo 0 > " + cage + "/cgroup.procs && "
	bothWays(t, func(t *testing.T, plain bool) {
		for name, c := range map[string]struct{ script, want string }{
			"the command":          {enter + "exec " + self, "the command sh was killed for memory: the machine, or its container, had none left"},
			"a part, in a shell":   {"(" + enter + "exec " + self + "); exit $?", "the command sh ended with exit status 137, which a shell gives when a program was killed, here for memory: the machine, or its container, had none left"},
			"a part, in silence":   {"(" + enter + "exec " + self + ") || exit 3", "the command sh ended with exit status 3; meanwhile a process of this machine was killed for memory"},
			"with what it began":   {"setsid sleep 1000 & " + enter + "exec " + self, "the command sh was killed for memory"},
			"within its own bound": {enter + "exec " + self, "was killed for memory"},
		} {
			t.Run(name, func(t *testing.T) {
				more := map[string]any{"environment": map[string]any{helperMarker: "eat 192"}}
				if name == "within its own bound" { // which is higher than what there is
					more["memory_max"] = "1GiB"
				}
				_, out, err := doAs(t, t.Context(), settings(t, "/", c.script, more), nil, plain)
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, %q", err, out)
				}
			})
		}
	})
}
