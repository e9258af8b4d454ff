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
//
// What it does not do is win a race: processes that multiply without end take the whole machine, and the supervisor with
// it. Where Shire may make namespaces (root, and not in an ordinary container), the supervisor is the first process of a PID
// namespace: all in it die by one call, and when the supervisor dies. Elsewhere the kernel bounds the processes of a user
// who is not root (RLIMIT_NPROC); root in an ordinary container is left to the container's own bound.

const ownExecutable = "/proc/self/exe" // of the version that runs, even after an upgrade

func supervisorAttributes(isolated bool) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setsid: true}
	if isolated {
		a.Cloneflags = syscall.CLONE_NEWPID | syscall.CLONE_NEWNS
	}
	return a
}

// mayIsolate tells whether it is worth trying to make namespaces.
func mayIsolate() bool { return os.Geteuid() == 0 }

// commandAttributes have the kernel kill the command, though not what it started, if somebody kills its supervisor.
func commandAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}

// becomeSupervisor makes this process one; false when its namespace cannot be made fit to live in.
func becomeSupervisor(isolated bool) bool {
	if isolated {
		// The numbers in /proc must be those that the processes know each other by. Mounts of the machine still come in.
		if unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, "") != nil ||
			unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "") != nil {
			return false
		}
	}
	// Each of these makes the supervisor better and has no remedy where it fails: on kernels before 3.4 and 5.11.
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	_ = unix.CloseRange(reportFD+1, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) // nothing that shire itself was started with
	_ = os.WriteFile("/proc/self/comm", []byte(supervisorName), 0)
	return true
}

// spareProcesses are those that a user may start elsewhere while a command runs.
const spareProcesses = 2048

// limitSelf sets what the command inherits.
func limitSelf(o order) {
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}) // leaves nothing behind
	if o.FileMax > 0 {
		_ = unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: o.FileMax, Max: o.FileMax})
	}
	if os.Geteuid() != 0 { // the kernel lets root have more
		most := uint64(ownTasks() + o.ProcessesMax + spareProcesses)
		_ = unix.Setrlimit(unix.RLIMIT_NPROC, &unix.Rlimit{Cur: most, Max: most}) // fails where there is a lower one
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

// ownTasks counts the threads of this user's processes, as RLIMIT_NPROC does.
func ownTasks() (n int) {
	for _, pid := range allProcesses() {
		var stat unix.Stat_t
		if unix.Stat(procFile(pid, ""), &stat) == nil && int(stat.Uid) == os.Geteuid() {
			tasks, _ := os.ReadDir(procFile(pid, "task"))
			n += len(tasks)
		}
	}
	return n
}

// tree is every process below this one.
type tree struct {
	command  int // the process that was started
	isolated bool
}

func newTree(command int, isolated bool) tree { return tree{command, isolated} }

// count counts the processes, and stops soon after most: of many, counting takes longer than they take to be more.
func (t tree) count(most int) (n int) {
	if t.isolated {
		return len(allProcesses()) - 1
	}
	walk(os.Getpid(), childrenOf(), func(int) bool {
		n++
		return n <= most
	})
	return n
}

// alive are the processes that have not ended.
func (tree) alive() []int {
	var alive []int
	walk(os.Getpid(), childrenOf(), func(pid int) bool {
		if stateOf(pid) != 'Z' {
			alive = append(alive, pid)
		}
		return true
	})
	return alive
}

// kill reaches every process as soon as it is seen: one that forks and ends, again and again, is not there for long.
func (t tree) kill(commandAlive bool) {
	if t.isolated {
		_ = syscall.Kill(-1, syscall.SIGKILL) // all in the namespace but this one, and no fork comes between
		return
	}
	if commandAlive { // else the number of its group may be another's
		_ = syscall.Kill(-t.command, syscall.SIGKILL) // here no fork comes between either
	}
	// One that is stopped does not fork, and takes its place until all are.
	for _, signal := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGKILL} {
		walk(os.Getpid(), childrenOf(), func(pid int) bool {
			_ = syscall.Kill(pid, signal) // one that has ended needs none
			return true
		})
	}
}

// names are those of the processes that have not ended.
func (t tree) names() (names []string) {
	for _, pid := range t.alive() {
		name, _ := os.ReadFile(procFile(pid, "comm"))
		names = append(names, strings.TrimSpace(string(name)))
	}
	return names
}

func (tree) signalOne(pid int, signal syscall.Signal) {
	_ = syscall.Kill(pid, signal)
}

// orphans are the processes whose own parents have ended, and the command.
func (tree) orphans() []int { return childrenOf()(os.Getpid()) }

// walk visits the processes below one until visit is false.
func walk(pid int, children func(int) []int, visit func(int) bool) bool {
	for _, child := range children(pid) {
		if !visit(child) || !walk(child, children, visit) {
			return false
		}
	}
	return true
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
func killMarked(marker string) int {
	var marked []int
	for _, pid := range allProcesses() {
		content, err := os.ReadFile(procFile(pid, "environ"))
		if err == nil && bytes.Contains(append([]byte{0}, content...), []byte("\x00"+marker+"\x00")) && stateOf(pid) != 'Z' {
			marked = append(marked, pid)
			_ = syscall.Kill(pid, syscall.SIGSTOP) // it does not fork while the others are looked for
		}
	}
	for _, pid := range marked {
		_ = syscall.Kill(pid, syscall.SIGKILL) // the next look shows whether it has ended
	}
	return len(marked)
}
