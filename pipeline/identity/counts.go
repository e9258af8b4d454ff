package identity

import (
	"sync"
	"time"
)

// Count is how much the state knows of one kind of party.
type Count struct {
	About   string
	Records int
	Parties int
	Waiting int // pairs that wait for a person
}

// Counter counts what the state knows, no oftener than it can afford: counting reads all of it. It is safe for concurrent
// use.
type Counter struct {
	m *Matching

	mu       sync.Mutex
	at       time.Time
	position uint64
	last     []Count
}

// NewCounter counts in a state.
func NewCounter(m *Matching) *Counter { return &Counter{m: m} }

// counted is how long a count is good enough while records come in.
const counted = 30 * time.Second

// Counts are of the last half minute, or as things stand when nothing came since.
func (c *Counter) Counts() []Count {
	c.mu.Lock()
	defer c.mu.Unlock()
	position := max(c.m.Partition(Person).Position(), c.m.Partition(Organisation).Position())
	if c.last != nil && (c.position == position || time.Since(c.at) < counted) {
		return c.last
	}
	c.last, c.position = nil, position
	for _, about := range []string{Person, Organisation} {
		p := c.m.Partition(about)
		n := Count{About: about, Waiting: p.Waiting()}
		n.Records, n.Parties = p.Records()
		c.last = append(c.last, n)
	}
	c.at = time.Now()
	return c.last
}
