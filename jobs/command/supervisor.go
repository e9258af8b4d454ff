//go:build unix

package command

import (
	"bufio"
	"encoding/gob"
	"io"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The supervisor is a process of this same binary between shire and a command. What the command starts, and what that
// starts, stays below it, and it ends when nothing is left there.
//
// It, and not the kernel by PR_SET_PDEATHSIG, looks after the death of shire: a killed supervisor could not clean up, and
// that signal also comes when a mere thread of shire ends. It has a pipe from shire whose end it sees when shire has gone,
// by whatever means.

// supervisorMarker is the environment variable by which shire tells its own binary that it is to be a supervisor, and
// whether it is the first process of a PID namespace.
const (
	supervisorMarker = "SHIRE_COMMAND_SUPERVISOR"
	scratchMarker    = "SHIRE_COMMAND_SCRATCH" // the folder to remove when shire dies before it has said what to do
	supervisorAlone  = "isolated"
	supervisorAmong  = "plain"
)

// supervisorName is what ps and killall show: without shire, so that who kills shire by name leaves it its work to do.
const supervisorName = "job-supervisor"

// File descriptors of a supervisor.
const (
	controlFD = 3 // the order, then [orderStop] or the end when shire is gone
	reportFD  = 4 // the report
)

// orderStop asks for the end of the command.
const orderStop = 's'

// order is what a supervisor is to run.
type order struct {
	Program      string // its path
	Args, Env    []string
	Folder       string
	Scratch      string        // the folder to remove when shire is gone
	Grace        time.Duration // between SIGTERM and SIGKILL
	Patience     time.Duration // between SIGKILL and giving up
	MemoryMax    uint64        // bytes; 0 for no bound
	ProcessesMax int
	FileMax      uint64 // bytes; 0 for no bound
	Nice         int
}

// Why a supervisor ended a command.
const (
	byRequest   = "request"
	byMemory    = "memory"
	byProcesses = "processes"
)

// report is how it went.
type report struct {
	Unfit   bool          // the supervisor could not make its namespace one; nothing was started
	Errno   syscall.Errno // why it could not be started; 0 when it was
	Exit    int           // its exit status; -1 when a signal ended it
	Signal  syscall.Signal
	Ended   string   // why the supervisor ended it; empty when it ended by itself
	Memory  uint64   // bytes in use when memory_max was passed
	Left    int      // processes that still ran after the command had ended by itself
	Killed  bool     // SIGTERM was not enough
	Undead  []string // names of processes that did not end though they were killed
	OutOf   bool     // the kernel ended a process for want of memory meanwhile
	CPU     time.Duration
	PeakRSS uint64 // bytes, of its largest process
}

const (
	settleTime = 500 * time.Millisecond // for processes that end by themselves after the command, such as tee
	patience   = 5 * time.Second        // a killed process that is still there then waits for a device
	killEvery  = 10 * time.Millisecond

	watchEvery       = 200 * time.Millisecond
	watchMemoryEvery = 50 * time.Millisecond // a process takes some 100 MB in that time
)

// RunSupervisorIfAsked takes this process over when shire started it as the supervisor of a command, and then never
// returns. In every other process it returns at once. It must stand at the beginning of main, and of TestMain in every
// test binary that runs a [Worker].
func RunSupervisorIfAsked() {
	how, asked := os.LookupEnv(supervisorMarker)
	if !asked {
		return
	}
	// The kernel takes the end of the thread that started the command for the end of its parent. This one stays.
	runtime.LockOSThread()
	syscall.CloseOnExec(controlFD)
	syscall.CloseOnExec(reportFD)
	control, out := os.NewFile(controlFD, "control"), os.NewFile(reportFD, "report")
	fit := becomeSupervisor(how == supervisorAlone)
	haveThreads()
	s := &supervisor{isolated: how == supervisorAlone, asked: make(chan bool, 1), mainEnded: make(chan syscall.WaitStatus, 1), allEnded: make(chan struct{})}
	in := bufio.NewReader(control) // gob would read ahead with a reader of its own
	if gob.NewDecoder(in).Decode(&s.order) != nil {
		removeAll(os.Getenv(scratchMarker)) // shire died before it said what to do
		os.Exit(1)
	}
	if !fit {
		_ = gob.NewEncoder(out).Encode(report{Unfit: true})
		os.Exit(0)
	}
	s.tell = func(r report) { _ = gob.NewEncoder(out).Encode(r) } // shire sees a report that does not come
	r, alone := s.run(in)
	if alone {
		removeAll(s.order.Scratch)
	} else {
		s.tell(r)
	}
	os.Exit(0)
}

// threads are more than a supervisor uses at once.
const threads = 8

// haveThreads has the runtime start its threads now: it ends the program when it cannot start one, as when the command has
// taken all the processes that there may be.
func haveThreads() {
	var sleeping sync.WaitGroup
	for range threads {
		sleeping.Go(func() {
			_, _ = unix.Poll(nil, 2) // for two milliseconds: a system call holds its thread
		})
	}
	sleeping.Wait()
}

type supervisor struct {
	order     order
	tell      func(report)
	isolated  bool
	asked     chan bool // true: end it, false: shire is gone, kill it
	mainEnded chan syscall.WaitStatus
	allEnded  chan struct{} // closed when no process is left
	mainPID   int
	tree      tree
	usage     syscall.Rusage
}

// run runs the command until nothing is left of it. alone tells that nobody waits for the report any more.
func (s *supervisor) run(control io.ByteReader) (r report, alone bool) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	limitSelf(s.order)
	oomBefore := oomKills()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return report{Errno: syscall.ENOENT}, false
	}
	s.mainPID, err = syscall.ForkExec(s.order.Program, s.order.Args, &syscall.ProcAttr{
		Dir: s.order.Folder, Env: s.order.Env, Files: []uintptr{null.Fd(), 1, 2}, Sys: commandAttributes(),
	})
	if err != nil {
		errno, _ := err.(syscall.Errno)
		return report{Errno: errno}, false
	}
	preferAsVictim(s.mainPID)
	s.tree = newTree(s.mainPID, s.isolated)
	var reaping sync.WaitGroup
	reaping.Go(s.reap)
	go s.listen(control)
	alone = s.watch(&r, signals)
	reaping.Wait()
	r.CPU = time.Duration(s.usage.Utime.Nano() + s.usage.Stime.Nano())
	r.PeakRSS = peakRSS(&s.usage)
	r.OutOf = oomKills() > oomBefore
	return r, alone
}

// reap takes the ends of all processes below, which become this one's children when their own parents end.
func (s *supervisor) reap() {
	defer close(s.allEnded)
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil: // ECHILD: there are none
			_ = syscall.Getrusage(syscall.RUSAGE_CHILDREN, &s.usage)
			return
		case pid == s.mainPID:
			s.mainEnded <- status
		}
	}
}

// listen waits for shire's word, or for its end.
func (s *supervisor) listen(control io.ByteReader) {
	for {
		word, err := control.ReadByte()
		if err != nil {
			s.asked <- false
			return
		}
		if word == orderStop {
			s.asked <- true
		}
	}
}

// watch waits for the end of everything, and brings it about where it has to. What does not end when it is killed shire is
// told of, to wait no longer; the supervisor goes on.
func (s *supervisor) watch(r *report, signals <-chan os.Signal) (alone bool) {
	end := &ending{tree: s.tree, commandAlive: true, grace: s.order.Grace, patience: s.order.Patience}
	every := watchEvery
	if s.order.MemoryMax > 0 {
		every = watchMemoryEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	mainAlive := true
	for {
		select {
		case status := <-s.mainEnded:
			mainAlive, end.commandAlive = false, false
			r.Exit, r.Signal = status.ExitStatus(), 0
			if status.Signaled() {
				r.Signal = status.Signal()
			}
			end.settle()
		case <-s.allEnded:
			select { // both may be there
			case status := <-s.mainEnded:
				if r.Exit = status.ExitStatus(); status.Signaled() {
					r.Signal = status.Signal()
				}
			default:
			}
			s.tree.kill(false) // where a process group is all there is, its members are not waited for
			r.Killed = end.killing
			return alone
		case stop := <-s.asked:
			alone = alone || !stop
			s.because(r, byRequest, mainAlive)
			end.begin(!stop)
		case <-signals:
			s.because(r, byRequest, mainAlive)
			end.begin(false)
		case <-tick.C:
			if mainAlive && !end.begun() && s.overBounds(r) {
				end.begin(true)
			}
			if !mainAlive && end.settled() {
				r.Left = len(s.tree.alive())
				end.begin(false)
			}
			end.act()
			if end.hopeless() && !alone {
				r.Killed, r.Undead = true, s.tree.names()
				s.tell(*r)
				alone = true
			}
		}
		if end.killing {
			tick.Reset(killEvery)
		}
	}
}

// because notes the first reason for the end of a command that had not ended by itself.
func (s *supervisor) because(r *report, reason string, mainAlive bool) {
	if mainAlive && r.Ended == "" {
		r.Ended = reason
	}
}

// overBounds tells whether the command has more memory or processes than it may.
func (s *supervisor) overBounds(r *report) bool {
	if n := s.tree.count(s.order.ProcessesMax); n > s.order.ProcessesMax {
		r.Ended = byProcesses
		return true
	}
	if s.order.MemoryMax > 0 {
		if used := memoryOf(s.tree.alive(), s.order.MemoryMax); used > s.order.MemoryMax {
			r.Ended, r.Memory = byMemory, used
			return true
		}
	}
	return false
}

// ending is the way to the end: time to settle, SIGTERM, grace, SIGKILL again and again, and giving up.
type ending struct {
	tree     tree
	grace    time.Duration
	patience time.Duration
	settles  time.Time // zero: not yet
	termed   time.Time
	told     map[int]bool // who got SIGTERM
	killed   time.Time
	killing  bool

	commandAlive bool // it has not been waited for
}

func (e *ending) begun() bool { return !e.termed.IsZero() || e.killing }

func (e *ending) settle() { e.settles = time.Now().Add(settleTime) }

// settled tells, once, that what is left will not end by itself.
func (e *ending) settled() bool {
	return !e.begun() && !e.settles.IsZero() && time.Now().After(e.settles)
}

func (e *ending) begin(kill bool) {
	now := time.Now()
	if kill && !e.killing {
		e.killing, e.killed = true, now
	}
	if !e.begun() {
		e.termed, e.told = now, map[int]bool{}
		e.tell(e.tree.alive())
	}
	e.act()
}

// tell asks processes to end that have not been asked yet.
func (e *ending) tell(pids []int) {
	for _, pid := range pids {
		if !e.told[pid] {
			e.told[pid] = true
			e.tree.signalOne(pid, syscall.SIGTERM)
			e.tree.signalOne(pid, syscall.SIGCONT) // what was stopped hears it, too
		}
	}
}

func (e *ending) act() {
	switch {
	case e.killing:
		e.tree.kill(e.commandAlive)
	case e.termed.IsZero():
	case time.Since(e.termed) > e.grace:
		e.killing, e.killed = true, time.Now()
		e.tree.kill(e.commandAlive)
	default:
		// A process whose parent was told before it was seen. What a living one starts to clean up is left in peace.
		e.tell(e.tree.orphans())
	}
}

func (e *ending) hopeless() bool { return e.killing && time.Since(e.killed) > e.patience }
