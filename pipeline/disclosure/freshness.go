package disclosure

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Freshness watches how far a store is behind the bus. A record that was corrected, or a case that was closed, must not be shown for
// long as it was; nor must every read ask the bus, which is why it is looked at beside them.
type Freshness struct {
	position func() uint64
	last     func(context.Context) (uint64, error)
	lag      time.Duration
	now      func() time.Time

	mu     sync.Mutex
	asked  time.Time // when the bus last said how far it is
	behind []mark    // where the bus was and the store is not yet, the oldest first
	caught bool      // the store was once as far as the bus was at the first look
}

// mark is how far the bus was at a time.
type mark struct {
	at   time.Time
	last uint64
}

// mostMarks bounds what is remembered while a store is far behind (I10).
const mostMarks = 1000

// NewFreshness watches a store by its position against the bus by its last sequence. What is more than lag behind is not fresh.
func NewFreshness(position func() uint64, last func(context.Context) (uint64, error), lag time.Duration) *Freshness {
	return &Freshness{position: position, last: last, lag: lag, now: time.Now}
}

// Run looks at the bus until ctx ends.
func (f *Freshness) Run(ctx context.Context) error {
	every := min(max(f.lag/20, 20*time.Millisecond), time.Second)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		f.look(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (f *Freshness) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, f.lag)
	defer cancel()
	at := f.now() // before the question: what comes after it is not counted as seen
	last, err := f.last(ctx)
	if err != nil {
		return // when it lasts, asked tells
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = at
	switch n := len(f.behind); {
	case n > 0 && f.behind[n-1].last >= last:
	case n == mostMarks:
		f.behind[n-1].last = last // with the older time: rather too old than too fresh
	default:
		f.behind = append(f.behind, mark{at, last})
	}
	f.drop()
}

// drop forgets what the store has reached. f.mu is held.
func (f *Freshness) drop() {
	position := f.position()
	n := 0
	for n < len(f.behind) && f.behind[n].last <= position {
		n++
	}
	f.behind = append(f.behind[:0], f.behind[n:]...)
	f.caught = f.caught || n > 0
}

// Err says why what the store holds is too old to be shown; nil when it is not.
func (f *Freshness) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drop()
	now := f.now()
	switch {
	case f.asked.IsZero() || now.Sub(f.asked) > f.lag:
		return fmt.Errorf("for more than %s it is not known how far the bus is", f.lag)
	case !f.caught:
		return fmt.Errorf("the records to share are brought up to date since the start; they are at message %d of %d", f.position(), f.behind[len(f.behind)-1].last)
	case len(f.behind) > 0 && now.Sub(f.behind[0].at) > f.lag:
		return fmt.Errorf("the records to share are more than %s behind the bus; see shire status, what is loaded decides how far they are", f.lag)
	}
	return nil
}

// Behind is by how many messages the store is behind, as far as is known, and since when; 0 when it is not.
func (f *Freshness) Behind() (messages uint64, since time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drop()
	if len(f.behind) == 0 {
		return 0, time.Time{}
	}
	return f.behind[len(f.behind)-1].last - f.position(), f.behind[0].at
}
