package embedded

import (
	"fmt"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ownExecutable names the running binary itself, even after an upgrade has put another file in its place: a restarted
// child must be of its parent's version.
func ownExecutable() (string, error) { return "/proc/self/exe", nil }

// childAttributes puts the child in a process group of its own, so that Ctrl-C reaches only the parent, which then stops
// the child in order; and has the kernel kill the child should the parent die.
//
// The kernel sends Pdeathsig when the *thread* that forked ends: start the child from a locked goroutine that outlives it.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

func setProcessName(name string) {
	text, err := unix.BytePtrFromString(name)
	if err != nil {
		return
	}
	// Only a name: that it cannot be set is no reason to fail.
	_ = unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(text)), 0, 0, 0)
}

// openTerminal opens a new pseudo-terminal, which does not become the controlling terminal of this process, and returns
// the descriptors of its two ends: what is written to terminal is read from line.
func openTerminal() (terminal, line int, err error) {
	if terminal, err = unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0); err != nil {
		return 0, 0, fmt.Errorf("/dev/ptmx: %w", err)
	}
	if err = unix.IoctlSetPointerInt(terminal, unix.TIOCSPTLCK, 0); err != nil {
		return 0, 0, fmt.Errorf("unlock the pseudo-terminal: %w", err)
	}
	number, err := unix.IoctlGetUint32(terminal, unix.TIOCGPTN)
	if err != nil {
		return 0, 0, fmt.Errorf("ask for the pseudo-terminal's number: %w", err)
	}
	name := "/dev/pts/" + strconv.FormatUint(uint64(number), 10)
	if line, err = unix.Open(name, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0); err != nil {
		return 0, 0, fmt.Errorf("%s: %w", name, err)
	}
	return terminal, line, nil
}
