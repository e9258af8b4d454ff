package command

import (
	"bytes"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// A process that is started, forks, calls setsid and loses its parent leaves its process group; but its parent in the end
// is the nearest one above that said PR_SET_CHILD_SUBREAPER. This needs no rights and no cgroup, and works in every
// container, as root and as anybody else.

const ownExecutable = "/proc/self/exe" // of the version that runs, even after an upgrade

func supervisorAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// commandAttributes have the kernel kill the command, though not what it started, if somebody kills its supervisor.
func commandAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}

func becomeSupervisor() {
	// Each of these makes the supervisor better and has no remedy where it fails: on kernels before 3.4 and 5.11.
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	_ = unix.CloseRange(reportFD+1, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) // nothing that shire itself was started with
	_ = os.WriteFile("/proc/self/comm", []byte(supervisorName), 0)
}

// limitSelf sets what the command inherits.
func limitSelf(o order) {
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}) // leaves nothing behind
	if o.FileMax > 0 {
		_ = unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: o.FileMax, Max: o.FileMax})
	}
	if o.Nice > 0 {
		_ = unix.Setpriority(unix.PRIO_PROCESS, 0, o.Nice) // of this thread, from which the command is forked
	}
}

// preferAsVictim has the kernel choose the command before shire and the engines when memory is short.
func preferAsVictim(pid int) {
	_ = os.WriteFile(procFile(pid, "oom_score_adj"), []byte("500"), 0)
}

func procFile(pid int, name string) string {
	return "/proc/" + strconv.Itoa(pid) + "/" + name
}

// tree is every process below this one.
type tree struct{}

func newTree(int) tree { return tree{} }

// alive are the processes that have not ended.
func (tree) alive() []int {
	var alive []int
	walk(os.Getpid(), childrenOf(), func(pid int) {
		if stateOf(pid) != 'Z' {
			alive = append(alive, pid)
		}
	})
	return alive
}

// signal reaches every process as soon as it is seen: one that forks and ends, again and again, is not there for long.
func (tree) signal(signal syscall.Signal) {
	walk(os.Getpid(), childrenOf(), func(pid int) {
		_ = syscall.Kill(pid, signal) // one that has ended needs none
	})
}

func (tree) signalOne(pid int, signal syscall.Signal) {
	_ = syscall.Kill(pid, signal)
}

// orphans are the processes whose own parents have ended, and the command.
func (tree) orphans() []int { return childrenOf()(os.Getpid()) }

func walk(pid int, children func(int) []int, visit func(int)) {
	for _, child := range children(pid) {
		visit(child)
		walk(child, children, visit)
	}
}

// childrenOf is how the children of a process are found: in the kernel's own list, or where it keeps none
// (CONFIG_PROC_CHILDREN) by asking every process for its parent.
func childrenOf() func(int) []int {
	if _, err := os.Stat("/proc/thread-self/children"); err == nil {
		return listedChildren
	}
	children := map[int][]int{}
	for _, pid := range allProcesses() {
		if parent, ok := parentOf(pid); ok {
			children[parent] = append(children[parent], pid)
		}
	}
	return func(pid int) []int { return children[pid] }
}

func listedChildren(pid int) (children []int) {
	lists, _ := filepath.Glob(procFile(pid, "task/*/children")) // the pattern is right
	for _, list := range lists {
		content, _ := os.ReadFile(list) // a process that has ended has no children
		for field := range strings.FieldsSeq(string(content)) {
			if child, err := strconv.Atoi(field); err == nil {
				children = append(children, child)
			}
		}
	}
	return children
}

func allProcesses() (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// statOf are the fields of a process's stat file from its state on: a name may hold spaces and parentheses.
func statOf(pid int) []string {
	content, err := os.ReadFile(procFile(pid, "stat"))
	if err != nil {
		return nil
	}
	return strings.Fields(string(content[bytes.LastIndexByte(content, ')')+1:]))
}

func stateOf(pid int) byte {
	if fields := statOf(pid); len(fields) > 0 {
		return fields[0][0]
	}
	return 'Z'
}

func parentOf(pid int) (int, bool) {
	fields := statOf(pid)
	if len(fields) < 2 {
		return 0, false
	}
	parent, err := strconv.Atoi(fields[1])
	return parent, err == nil
}

// memoryOf is how many bytes the processes use together. Above the bound it is exact: what they share counts once.
func memoryOf(pids []int, bound uint64) uint64 {
	var rough, exact uint64
	for _, pid := range pids {
		content, _ := os.ReadFile(procFile(pid, "statm"))
		if fields := strings.Fields(string(content)); len(fields) > 1 {
			pages, _ := strconv.ParseUint(fields[1], 10, 64)
			rough += pages * uint64(os.Getpagesize())
		}
	}
	if rough <= bound {
		return rough
	}
	for _, pid := range pids {
		content, err := os.ReadFile(procFile(pid, "smaps_rollup"))
		if errors.Is(err, fs.ErrNotExist) && stateOf(pid) != 'Z' {
			return rough // a kernel before 4.14
		}
		exact += kilobytes(content, "Pss:") + kilobytes(content, "SwapPss:")
	}
	return exact
}

// kilobytes reads a line such as "Pss:     1234 kB", in bytes.
func kilobytes(content []byte, key string) uint64 {
	for line := range strings.Lines(string(content)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == key {
			n, _ := strconv.ParseUint(fields[1], 10, 64)
			return n << 10
		}
	}
	return 0
}

// oomKills counts the processes that the kernel has ended for want of memory, on the machine or in a container of it.
func oomKills() uint64 {
	content, _ := os.ReadFile("/proc/vmstat")
	for line := range strings.Lines(string(content)) {
		if fields := strings.Fields(line); len(fields) == 2 && fields[0] == "oom_kill" {
			n, _ := strconv.ParseUint(fields[1], 10, 64)
			return n
		}
	}
	return 0
}

func peakRSS(u *syscall.Rusage) uint64 { return uint64(u.Maxrss) << 10 }

// killMarked kills the processes of this machine whose environment holds the marker, and tells how many there were. It is
// for what a killed supervisor left.
func killMarked(marker string) (killed int) {
	for _, pid := range allProcesses() {
		content, err := os.ReadFile(procFile(pid, "environ"))
		if err == nil && bytes.Contains(append([]byte{0}, content...), []byte("\x00"+marker+"\x00")) && stateOf(pid) != 'Z' {
			killed++
			_ = syscall.Kill(pid, syscall.SIGKILL) // the next look shows whether it has ended
		}
	}
	return killed
}
