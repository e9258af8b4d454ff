//go:build unix

package embedded

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"github.com/ebitengine/purego"
	"golang.org/x/sys/unix"
)

// childMarker is the environment variable by which a parent tells its own re-executed binary that it is to be the
// ClickHouse child. Its value is the path of libchdb.so.
const childMarker = "SHIRE_CLICKHOUSE_CHILD"

// childQuery turns clickhouse-local into a server.
const childQuery = "SYSTEM START LISTEN TCP; SYSTEM START LISTEN HTTP"

// childName is what ps shows, so that an operator can tell the child from its parent.
const childName = "shire-clickhouse"

// childCannotLoad is the exit status of a child that lacks what it needs: trying again will not help.
const childCannotLoad = 78 // EX_CONFIG of sysexits.h

// RunChildIfAsked takes this process over when a parent started it as its ClickHouse child, and then never returns.
// In every other process it returns at once. It must be the first statement of main, and of TestMain in every test
// binary that calls [Start].
func RunChildIfAsked() {
	library, asked := os.LookupEnv(childMarker)
	if !asked {
		return
	}
	os.Unsetenv(childMarker)
	setProcessName(childName)
	if err := becomeInteractive(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(childCannotLoad)
	}
	args := append([]string{"clickhouse-local", "--interactive", "--disable_suggestion", "--query", childQuery}, os.Args[1:]...)
	loaded, err := runClickHouse(library, args)
	switch {
	case err == nil:
		os.Exit(0)
	case !loaded:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(childCannotLoad)
	default:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// RunLocal runs clickhouse-local with the given arguments in this process, once, and returns when it ends. It is for
// measuring beside the engine's own tools; a process that has called it cannot call it again.
func RunLocal(args ...string) error {
	library, err := FindLibrary()
	if err != nil {
		return err
	}
	_, err = runClickHouse(library, append([]string{"clickhouse-local"}, args...))
	return err
}

// becomeInteractive puts a terminal in the place of standard input, the parent's pipe, and types the end of input on it
// when the parent closes that pipe or dies, by whatever means.
//
// On a terminal and with --interactive, clickhouse-local runs its query and then prompts for more, which serves us as
// the wait for the parent. Without, it ends the whole process when any connection ends with an error; a wrong password
// is enough for that.
func becomeInteractive() error {
	terminal, line, err := openTerminal()
	if err != nil {
		return fmt.Errorf("cannot open a pseudo-terminal for the ClickHouse child: %w", err)
	}
	pipe, err := unix.Dup(0)
	if err != nil {
		return fmt.Errorf("keep the parent's pipe: %w", err)
	}
	if err := unix.Dup2(line, 0); err != nil {
		return fmt.Errorf("make the terminal standard input: %w", err)
	}
	go func() {
		awaitHangup(pipe)
		const endOfInput = "\x04"
		for { // again and again: what is typed before the prompt is there may be thrown away
			_, _ = unix.Write(terminal, []byte(endOfInput))
			time.Sleep(50 * time.Millisecond)
		}
	}()
	return nil
}

// awaitHangup returns when no process has the other end of the pipe open any more.
func awaitHangup(pipe int) {
	for {
		polled := []unix.PollFd{{Fd: int32(pipe)}} // without events asked for, poll tells of a hangup alone
		if n, err := unix.Poll(polled, -1); err != nil && !errors.Is(err, unix.EINTR) || n > 0 {
			return
		}
	}
}

// runClickHouse calls the library's command line entry point,
// `chdb_result *chdb_query_cmdline(int argc, char **argv)` of chdb.h, and returns when that returns. loaded is false if
// it never got so far.
func runClickHouse(library string, args []string) (loaded bool, err error) {
	// ClickHouse treats the calling thread as its main thread and keeps thread-local state on it.
	runtime.LockOSThread()
	handle, err := purego.Dlopen(library, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return false, fmt.Errorf("cannot load the ClickHouse library %s: %w", library, err)
	}
	if _, err := purego.Dlsym(handle, "chdb_query_cmdline"); err != nil {
		return false, fmt.Errorf("%s is not a chDB library of version 26.6 or newer: %w", library, err)
	}
	var queryCmdline func(argc int32, argv unsafe.Pointer) uintptr
	var resultError func(result uintptr) string
	purego.RegisterLibFunc(&queryCmdline, handle, "chdb_query_cmdline")
	purego.RegisterLibFunc(&resultError, handle, "chdb_result_error")

	argv := make([]*byte, len(args)+1) // C wants a null pointer behind the last argument
	for i, arg := range args {
		if argv[i], err = syscall.BytePtrFromString(arg); err != nil {
			return false, fmt.Errorf("argument %d of the ClickHouse child: %w", i, err)
		}
	}
	result := queryCmdline(int32(len(args)), unsafe.Pointer(&argv[0]))
	runtime.KeepAlive(argv)
	if result == 0 {
		return true, errors.New("ClickHouse ended without a result")
	}
	if message := resultError(result); message != "" {
		return true, errors.New(message)
	}
	return true, nil
}
