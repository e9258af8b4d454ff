//go:build unix && !linux

package embedded

import (
	"errors"
	"os"
	"syscall"

	"github.com/ebitengine/purego"
)

func ownExecutable() (string, error) { return os.Executable() }

// childAttributes puts the child in a process group of its own, so that Ctrl-C reaches only the parent, which then stops
// the child in order. That the parent has died is told by the end of standard input alone here.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func setProcessName(string) {}

// openTerminal opens a new pseudo-terminal by openpty(3) and returns the descriptors of its two ends: what is written to
// terminal is read from line.
func openTerminal() (terminal, line int, err error) {
	symbol, err := purego.Dlsym(purego.RTLD_DEFAULT, "openpty")
	if err != nil {
		return 0, 0, err
	}
	var openpty func(terminal, line *int32, name, termios, window uintptr) int32
	purego.RegisterFunc(&openpty, symbol)
	var ends [2]int32
	if openpty(&ends[0], &ends[1], 0, 0, 0) != 0 {
		return 0, 0, errors.New("openpty failed")
	}
	return int(ends[0]), int(ends[1]), nil
}
