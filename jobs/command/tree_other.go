//go:build unix && !linux

package command

import (
	"os"
	"syscall"
)

// Without subreapers a command's processes are those of its process group: one that leaves it is not found any more.

var ownExecutable, _ = os.Executable() // a path that cannot be found fails where it is started

func supervisorAttributes(bool) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// commandAttributes make the command the leader of a process group of its own.
func commandAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

func mayIsolate() bool { return false }

func becomeSupervisor(bool) bool { return true }

func limitSelf(o order) {
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
	if o.Nice > 0 {
		_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, o.Nice)
	}
}

func preferAsVictim(int) {}

// tree is the process group that the command leads.
type tree struct{ group int }

func newTree(command int, _ bool) tree { return tree{command} }

func (t tree) alive() []int {
	if syscall.Kill(-t.group, 0) != nil {
		return nil
	}
	return []int{t.group}
}

func (t tree) count(int) int { return len(t.alive()) }

func (t tree) kill(bool) { t.signalOne(0, syscall.SIGKILL) }

func (t tree) names() []string { return []string{"one of its group"} }

func (t tree) signalOne(_ int, signal syscall.Signal) { _ = syscall.Kill(-t.group, signal) }

func (t tree) orphans() []int { return nil }

func memoryOf([]int, uint64) uint64 { return 0 }

func oomKills() uint64 { return 0 }

func peakRSS(*syscall.Rusage) uint64 { return 0 }

func killMarked(string) int { return 0 }
