package jobs

import (
	"context"
	"time"
)

// System is the computer's clock.
type System struct{}

var _ Clock = System{}

// Now is the time of day.
func (System) Now() time.Time { return time.Now().Round(0) } // without the monotonic reading, which stands still in suspension

// look is how long System sleeps before it looks at the time of day again: a timer knows nothing of a clock that was
// set, nor of a computer that was suspended.
const look = 15 * time.Second

// Sleep waits until the time of day is t or later.
func (c System) Sleep(ctx context.Context, t time.Time) error {
	for {
		left := t.Sub(c.Now())
		if left <= 0 {
			return ctx.Err()
		}
		timer := time.NewTimer(min(left, look))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// Clock is the time of day, and a way to wait for it.
type Clock interface {
	Now() time.Time
	// Sleep returns when the clock shows t or later, or with ctx's error when ctx ends before.
	Sleep(ctx context.Context, t time.Time) error
}
