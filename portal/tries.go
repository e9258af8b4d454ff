package portal

import (
	"crypto/sha256"
	"maps"
	"slices"
	"sync"
	"time"
)

// tries slows down who guesses passwords, by the name that is tried and by where it is tried from, and calls of the sharing interface
// that fail, by where they come from. After a few free tries each failure doubles the wait for the next.
type tries struct {
	turn sync.Mutex // held while a password is checked

	now    func() time.Time
	mu     sync.Mutex // guards failed
	failed map[try]failures
}

// try is whom or where failures are counted for. It holds a hash: people type passwords where a name belongs.
type try struct {
	sum  [sha256.Size]byte
	free int
}

type failures struct {
	n    int
	last time.Time
}

const (
	freeByName    = 3
	freeByAddress = 10 // a whole office may come from one
	firstWait     = time.Second
	longestWait   = 5 * time.Minute
	forgetAfter   = time.Hour
	mostFailures  = 4096 // I10
)

func newTries(now func() time.Time) *tries { return &tries{now: now, failed: map[try]failures{}} }

func tryOf(kind, value string, free int) try {
	return try{sha256.Sum256([]byte(kind + "\x00" + value)), free}
}

// begin counts a try as failed until it has succeeded, so that many at once do not slip through; or it says how long to
// wait, and counts nothing.
func (t *tries) begin(all ...try) (wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	for _, one := range all {
		f := t.failed[one]
		wait = max(wait, f.last.Add(delay(f.n-one.free)).Sub(now))
	}
	if wait > 0 {
		return wait
	}
	t.forget(now)
	for _, one := range all {
		t.failed[one] = failures{t.failed[one].n + 1, now}
	}
	return 0
}

// succeeded takes back what begin counted; the name's earlier failures are forgiven.
func (t *tries) succeeded(name, from try) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.failed, name)
	if f := t.failed[from]; f.n > 1 {
		t.failed[from] = failures{f.n - 1, f.last}
	} else {
		delete(t.failed, from)
	}
}

// forget drops what is long past, and the oldest while there is no room for two more.
func (t *tries) forget(now time.Time) {
	maps.DeleteFunc(t.failed, func(_ try, f failures) bool { return now.Sub(f.last) >= forgetAfter })
	for len(t.failed) > mostFailures-2 {
		oldest := slices.MinFunc(slices.Collect(maps.Keys(t.failed)), func(x, y try) int { return t.failed[x].last.Compare(t.failed[y].last) })
		delete(t.failed, oldest)
	}
}

// delay is the wait after n failures beyond the free ones: the n-th doubles it.
func delay(n int) time.Duration {
	if n < 0 {
		return 0
	}
	return min(longestWait, firstWait<<min(n, 16))
}
