package postgres

import (
	"syscall"
	"time"
)

// nap sleeps for less than the millisecond that the runtime's timers take at least.
func nap(d time.Duration) {
	left := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&left, nil) // a signal may end it early
}
