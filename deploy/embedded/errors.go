package embedded

import (
	"errors"
	"strings"
)

// EnvError is a fault of the environment, not of the program or of its input: a lock that another process holds, a port
// in use, a full disk. The command line exits with status 3 on it.
type EnvError struct {
	What  string // what is wrong, a sentence without its full stop
	Where string // the directory, file or address concerned
	Do    string // what to do about it, a sentence without its full stop
	Err   error  // the cause: one of the Err values below, or what the operating system said
}

// Error returns "What (Where). Do."
func (e *EnvError) Error() string {
	var text strings.Builder
	text.WriteString(e.What)
	if e.Where != "" {
		text.WriteString(" (" + e.Where + ")")
	}
	text.WriteString(". " + e.Do + ".")
	return text.String()
}

func (e *EnvError) Unwrap() error { return e.Err }

// Kinds of [EnvError], for errors.Is.
var (
	ErrLocked      = errors.New("data directory in use")
	ErrNewerData   = errors.New("data written by a newer version")
	ErrNotWritable = errors.New("data directory not writable")
	ErrLowDisk     = errors.New("too little free disk space")
	ErrPortInUse   = errors.New("port in use")
	ErrNoLibrary   = errors.New("no ClickHouse library")
	ErrNotRunning  = errors.New("no process runs on this data directory")
)
