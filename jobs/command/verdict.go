//go:build unix

package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/shirecounty/shire/jobs"
)

// byOutput is why a command ended that printed more than it may.
const byOutput = "output"

// verdict says in a sentence how a command ended; nil when it did what it should. Nothing of the arguments or the output
// is in it (I7).
func (w *Worker) verdict(ctx context.Context, r *report) error {
	s, name := w.settings, w.settings.Run[0]
	if r.Errno != 0 {
		return fmt.Errorf("the command %s cannot be started: %s (%w)", name, startProblem(r.Errno), jobs.ErrPermanent)
	}
	if len(r.Undead) > 0 {
		return fmt.Errorf("%d processes of the command %s (%s) have not ended though they were killed: they wait for a device or a network file system that has to be mended, or multiply faster than they can be killed; the killing goes on", len(r.Undead), name, r.Undead[0])
	}
	how := "was stopped"
	if r.Killed {
		how = fmt.Sprintf("did not end within %s of SIGTERM and was killed", s.Grace)
	}
	switch r.Ended {
	case byRequest:
		switch cause := context.Cause(ctx); {
		case errors.Is(cause, context.DeadlineExceeded):
			return fmt.Errorf("the command %s took longer than it may and %s: %w", name, how, cause)
		case cause != nil:
			return fmt.Errorf("the command %s was to end and %s: %w", name, how, cause)
		}
		return fmt.Errorf("the command %s %s: somebody sent its supervisor a signal", name, how)
	case byMemory:
		return fmt.Errorf("the command %s used %s of memory where memory_max allows %s, and was killed", name, size(r.Memory), size(uint64(s.MemoryMax)))
	case byProcesses:
		return fmt.Errorf("the command %s had more processes at once than processes_max allows (%d), and was killed", name, s.ProcessesMax)
	case byOutput:
		return fmt.Errorf("the command %s printed more than output_max allows (%s), and %s as output_full says", name, size(uint64(s.OutputMax)), how)
	}
	if r.Signal == syscall.SIGKILL && r.OutOf {
		return fmt.Errorf("the command %s was killed for memory: the machine, or its container, had none left; have it do less at once, or give it memory_max", name)
	}
	if r.Signal != 0 {
		return fmt.Errorf("the command %s was ended by %s: %s", name, unix.SignalName(r.Signal), w.signalReason(r))
	}
	if r.Exit == 0 {
		return nil
	}
	return fmt.Errorf("the command %s ended with exit status %d%s; its output says why", name, r.Exit, w.exitHint(r))
}

func (w *Worker) signalReason(r *report) string {
	switch r.Signal {
	case syscall.SIGKILL:
		return "somebody killed it"
	case syscall.SIGXFSZ:
		return fmt.Sprintf("a file that it wrote grew beyond file_max (%s)", size(uint64(w.settings.FileMax)))
	case syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGILL, syscall.SIGFPE, syscall.SIGABRT, syscall.SIGTRAP:
		return "the program has a defect; its output may say which"
	}
	return "somebody, or it itself, sent the signal"
}

// exitHint explains the exit statuses that shells give.
func (w *Worker) exitHint(r *report) string {
	signal := syscall.Signal(r.Exit - 128)
	switch {
	case r.Exit == 126:
		return ", which a shell gives when a program cannot be run"
	case r.Exit == 127:
		return ", which a shell gives when a program is not found"
	case signal == syscall.SIGKILL && r.OutOf:
		return ", which a shell gives when a program was killed, here for memory: the machine, or its container, had none left"
	case r.OutOf: // it may have been a part of this command, or anything else
		return "; meanwhile a process of this machine was killed for memory"
	case r.Exit < 128 || unix.SignalName(signal) == "":
		return ""
	}
	return fmt.Sprintf(", which a shell gives when a program was ended by %s", unix.SignalName(signal))
}

func startProblem(errno syscall.Errno) string {
	switch errno {
	case syscall.ENOENT:
		return "the interpreter in its first line does not exist; write one that does after #!"
	case syscall.ENOEXEC:
		return "it is neither a program of this machine nor a script with #! in its first line"
	case syscall.EACCES, syscall.EPERM:
		return "the system does not allow it; check the permissions of the file and its interpreter, and whether the file system is mounted noexec"
	case syscall.E2BIG:
		return "its arguments and environment are longer than the system takes; hand large values over in a file"
	}
	return errno.Error()
}

// locate finds a program by its path, or by its name in the folders of path.
func locate(program, path string) (string, error) {
	if strings.ContainsRune(program, '/') {
		return program, executable(program)
	}
	var unusable error
	for _, folder := range filepath.SplitList(path) {
		if !filepath.IsAbs(folder) {
			continue // what runs must not depend on where
		}
		candidate := filepath.Join(folder, program)
		if _, err := os.Stat(candidate); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		err := executable(candidate)
		if err == nil {
			return candidate, nil
		}
		unusable = err
	}
	if unusable != nil {
		return "", unusable
	}
	return "", fmt.Errorf("there is no program %s in PATH (%s)", program, path)
}

func executable(file string) error {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s does not exist", file)
	case err != nil:
		return fmt.Errorf("%s cannot be looked at: %w", file, reason(err))
	case info.IsDir():
		return fmt.Errorf("%s is a folder", file)
	case unix.Access(file, unix.X_OK) != nil:
		return fmt.Errorf("%s is not executable (chmod +x makes it so)", file)
	}
	return nil
}

// checkFolder tells what keeps a folder from being one to run in.
func checkFolder(folder string) error {
	info, err := os.Stat(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s does not exist", folder)
	case err != nil:
		return fmt.Errorf("%s cannot be looked at: %w", folder, reason(err))
	case !info.IsDir():
		return fmt.Errorf("%s is a file", folder)
	case unix.Access(folder, unix.X_OK) != nil:
		return fmt.Errorf("%s may not be entered", folder)
	}
	return nil
}

// reason is an error without the operation and the path that the sentence around it names.
func reason(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// size writes bytes as settings do.
func size(n uint64) string {
	switch {
	case n >= 10<<30 || n >= 1<<30 && n%(1<<30) == 0:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 10<<20 || n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d KiB", n>>10)
}

// removeAll removes a folder, also where a folder in it was made unwritable.
func removeAll(folder string) error {
	if os.RemoveAll(folder) == nil {
		return nil
	}
	_ = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Chmod(path, 0o700) // RemoveAll says what could not be
		}
		return nil
	})
	return os.RemoveAll(folder)
}
