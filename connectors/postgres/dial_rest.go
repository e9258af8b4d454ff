//go:build !linux

package postgres

import "time"

func nap(d time.Duration) { time.Sleep(d) }
