package ledger

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/shirecounty/shire/jobs"
)

// Memory is a ledger that lives as long as the process, with the same compare-and-set as the real one: for tests of many
// histories. The zero value is ready to use.
type Memory struct {
	mu       sync.Mutex
	revision uint64
	entries  map[string]jobs.Entry
	runs     map[string]jobs.Run
	lines    map[string][]jobs.Line
	changed  chan struct{}
	log      []jobs.Entry // every change, for the watchers
}

var _ jobs.Ledger = (*Memory)(nil)

// Get reads an entry.
func (m *Memory) Get(_ context.Context, key string) (jobs.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.entries[key], nil
}

// Put writes a value if the entry is at a revision.
func (m *Memory) Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if m.entries[key].Revision != revision {
		return 0, fmt.Errorf("%s is not at revision %d: %w", key, revision, jobs.ErrConflict)
	}
	m.revision++
	e := jobs.Entry{Key: key, Value: slices.Clone(value), Revision: m.revision}
	if m.entries == nil {
		m.entries = map[string]jobs.Entry{}
	}
	m.entries[key] = e
	m.tell(e)
	return e.Revision, nil
}

// Delete removes an entry.
func (m *Memory) Delete(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.revision++
	delete(m.entries, key)
	m.tell(jobs.Entry{Key: key, Revision: m.revision})
	return nil
}

// tell lets the watchers see a change. m.mu is held.
func (m *Memory) tell(e jobs.Entry) {
	m.log = append(m.log, e)
	m.wake()
}

func (m *Memory) wake() {
	if m.changed != nil {
		close(m.changed)
	}
	m.changed = make(chan struct{})
}

// Watch tells every entry and then every change.
func (m *Memory) Watch(ctx context.Context, fn func(jobs.Entry)) error {
	m.mu.Lock()
	if m.changed == nil {
		m.changed = make(chan struct{})
	}
	first := slices.SortedFunc(maps.Values(m.entries), func(a, b jobs.Entry) int { return cmp.Compare(a.Revision, b.Revision) })
	told, changed := len(m.log), m.changed
	m.mu.Unlock()
	for _, e := range append(first, jobs.Entry{}) {
		if ctx.Err() != nil {
			return nil
		}
		fn(e)
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
		m.mu.Lock()
		news := m.log[told:]
		told, changed = len(m.log), m.changed
		m.mu.Unlock()
		for _, e := range news {
			fn(e)
		}
	}
}

// Report keeps a report.
func (m *Memory) Report(ctx context.Context, r jobs.Run) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if m.runs == nil {
		m.runs = map[string]jobs.Run{}
	}
	if old, kept := m.runs[r.ID]; !kept || old.Event < r.Event {
		m.runs[r.ID] = r
	}
	return nil
}

// Last is how a run stands.
func (m *Memory) Last(_ context.Context, _, id string) (*jobs.Run, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r, kept := m.runs[id]; kept {
		return &r, nil
	}
	return nil, nil
}

// Runs are the newest runs.
func (m *Memory) Runs(_ context.Context, job string, most int) ([]jobs.Run, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []jobs.Run
	for _, r := range m.runs {
		if job == "" || r.Job == job {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, newestFirst)
	return list[:min(most, len(list))], nil
}

func newestFirst(a, b jobs.Run) int { return cmp.Or(b.Due.Compare(a.Due), cmp.Compare(a.ID, b.ID)) }

// Append adds lines to the log of a run.
func (m *Memory) Append(_ context.Context, _, id string, lines []jobs.Line) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lines == nil {
		m.lines = map[string][]jobs.Line{}
	}
	m.lines[id] = append(m.lines[id], lines...)
	m.wake()
	return nil
}

// Lines tells the lines of a run.
func (m *Memory) Lines(ctx context.Context, _, id string, follow bool, fn func(jobs.Line) error) error {
	for told := 0; ; {
		m.mu.Lock()
		news, changed := m.lines[id][told:], m.changed
		if changed == nil {
			m.changed = make(chan struct{})
			changed = m.changed
		}
		m.mu.Unlock()
		for _, l := range news {
			if err := fn(l); err != nil {
				return err
			}
		}
		told += len(news)
		if !follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}
