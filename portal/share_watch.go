package portal

import (
	"fmt"
	"hash/maphash"
	"math"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/shirecounty/shire/schemas/county"
)

// watch keeps clients to their pace, and stops one that goes through people one after the other: a window clerk asks for those who
// stand at the window, and knows whom the case is about. It remembers hashes with a seed of this process, and no person.
type watch struct {
	limits county.SharingLimits
	now    func() time.Time
	seed   maphash.Seed
	order  []string

	mu      sync.Mutex
	clients map[string]*watched
}

// watched is one client.
type watched struct {
	pace    *rate.Limiter
	inside  int                  // calls that are being answered
	persons map[uint64]time.Time // asked for, and when last
	misses  []time.Time          // the oldest first
	until   time.Time            // stopped; zero when it is not
	reason  string
}

// mostInside bounds how many calls of one client are answered at a time (I10).
const mostInside = 64

// Reasons for which a client is stopped.
const (
	reasonPersons = "persons"
	reasonMisses  = "misses"
)

func newWatch(limits county.SharingLimits, clients []string, now func() time.Time) *watch {
	w := &watch{limits: limits, now: now, seed: maphash.MakeSeed(), order: clients, clients: map[string]*watched{}}
	for _, name := range clients {
		w.clients[name] = &watched{pace: rate.NewLimiter(rate.Limit(limits.Rate), limits.Burst), persons: map[uint64]time.Time{}}
	}
	return w
}

// mostWatched bounds the clients that are let in by name (I10); those who have asked for nobody lately are forgotten first.
const mostWatched = 4096

// admit makes a client known that stands in no configuration.
func (w *watch) admit(client string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.clients[client] != nil {
		return
	}
	if len(w.clients) >= mostWatched {
		now := w.now()
		for name, c := range w.clients {
			if c.inside == 0 && w.stopped(c, now) == nil && len(w.recent(c.misses, now)) == 0 && !c.asksAfter(now.Add(-time.Duration(w.limits.Window))) {
				delete(w.clients, name)
			}
		}
	}
	w.clients[client] = &watched{pace: rate.NewLimiter(rate.Limit(w.limits.Rate), w.limits.Burst), persons: map[uint64]time.Time{}}
}

// asksAfter tells whether a client has asked for anybody since a time.
func (c *watched) asksAfter(t time.Time) bool {
	for _, at := range c.persons {
		if at.After(t) {
			return true
		}
	}
	return false
}

// waitError says that a client has to wait.
type waitError struct {
	status       int
	code, en, zh string
	wait         time.Duration
}

func (e *waitError) Error() string { return e.en }

func (e *waitError) seconds() string {
	return strconv.Itoa(max(1, int(math.Ceil(e.wait.Seconds()))))
}

// stopError says that a client is stopped; now, that this call was the one too many.
type stopError struct {
	*waitError
	reason string
	until  time.Time
	now    bool
}

func (e *stopError) Unwrap() error { return e.waitError }

// enter begins a call, or says how long to wait. leave ends it.
func (w *watch) enter(client string) (leave func(), err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c, now := w.clients[client], w.now()
	if c == nil {
		return nil, fmt.Errorf("there is no client %q", client)
	}
	if stop := w.stopped(c, now); stop != nil {
		return nil, stop
	}
	if c.inside >= mostInside {
		return nil, slower(time.Second)
	}
	if !c.pace.AllowN(now, 1) {
		return nil, slower(time.Duration((1 - c.pace.TokensAt(now)) / w.limits.Rate * float64(time.Second)))
	}
	c.inside++
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		c.inside--
	}, nil
}

func slower(wait time.Duration) error {
	e := &waitError{status: http.StatusTooManyRequests, code: codeTooManyRequests, wait: wait}
	e.en = "The client asks faster than it may. Try again in " + e.seconds() + " s; sharing.limits in county.yaml sets the pace."
	e.zh = "请求过于频繁，请在 " + e.seconds() + " 秒后重试；速率由 county.yaml 的 sharing.limits 设定。"
	return e
}

// stopped says that a client is stopped; nil when it is not, or not any more.
func (w *watch) stopped(c *watched, now time.Time) *stopError {
	if c.until.IsZero() {
		return nil
	}
	if !now.Before(c.until) {
		c.until, c.reason, c.misses = time.Time{}, "", nil
		clear(c.persons)
		return nil
	}
	e := &stopError{waitError: &waitError{status: http.StatusTooManyRequests, code: codeEnumeration, wait: c.until.Sub(now)}, reason: c.reason, until: c.until}
	e.en = "The client was stopped: it asked for more people than anybody has cases, or missed too often. Nothing is shown to it until an operator of the node lifts that (shire clients lift), or for " + e.seconds() + " s more."
	e.zh = "该客户端已被停用：查询的人数超出正常办件所需，或未命中过多。在节点运维人员解除（shire clients lift）之前，或在 " + e.seconds() + " 秒之内，不再向其提供任何数据。"
	return e
}

// about counts whom a client asks for, before anything is read.
func (w *watch) about(client, subject string) error {
	hash := maphash.String(w.seed, subject)
	w.mu.Lock()
	defer w.mu.Unlock()
	c, now := w.clients[client], w.now()
	if stop := w.stopped(c, now); stop != nil { // by another call since this one began
		return stop
	}
	c.persons[hash] = now
	if len(c.persons) > w.limits.Persons {
		for h, at := range c.persons {
			if now.Sub(at) >= time.Duration(w.limits.Window) {
				delete(c.persons, h)
			}
		}
	}
	if len(c.persons) > w.limits.Persons {
		return w.stop(c, now, reasonPersons)
	}
	return nil
}

// missed counts a read of a case or a person that are not the client's.
func (w *watch) missed(client string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	c, now := w.clients[client], w.now()
	if stop := w.stopped(c, now); stop != nil {
		return stop
	}
	c.misses = append(w.recent(c.misses, now), now)
	if len(c.misses) > w.limits.Misses {
		return w.stop(c, now, reasonMisses)
	}
	return nil
}

// recent drops what lies before the window.
func (w *watch) recent(times []time.Time, now time.Time) []time.Time {
	i := slices.IndexFunc(times, func(t time.Time) bool { return now.Sub(t) < time.Duration(w.limits.Window) })
	if i < 0 {
		return times[:0]
	}
	return times[i:]
}

func (w *watch) stop(c *watched, now time.Time, reason string) error {
	c.until, c.reason = now.Add(time.Duration(w.limits.Window)), reason
	stop := w.stopped(c, now)
	stop.now = true
	return stop
}

// lift lets a client go on.
func (w *watch) lift(client string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.clients[client]
	switch {
	case c == nil:
		return fmt.Errorf("county.yaml names no client %q", client)
	case w.stopped(c, w.now()) == nil:
		return fmt.Errorf("the client %s is not stopped", client)
	}
	c.until, c.reason, c.misses = time.Time{}, "", nil
	clear(c.persons)
	return nil
}

func (w *watch) states() []ClientState {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	out := make([]ClientState, 0, len(w.order))
	for _, name := range w.order {
		c := w.clients[name]
		s := ClientState{Client: name, Misses: len(w.recent(c.misses, now))}
		for _, at := range c.persons {
			if now.Sub(at) < time.Duration(w.limits.Window) {
				s.Persons++
			}
		}
		if stop := w.stopped(c, now); stop != nil {
			until := stop.until.UTC()
			s.StoppedUntil, s.Reason = &until, stop.reason
		}
		out = append(out, s)
	}
	return out
}
