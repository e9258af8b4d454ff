package store

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"time"
)

const (
	fan      = 8  // so many runs, of sizes not too different, become one
	ratio    = 4  // a run that is so many times larger than all newer ones is left alone
	manyRuns = 32 // with so many merging waits no longer for a pause
	mostRuns = 40 // with so many a commit waits before it makes another

	quiet = 500 * time.Millisecond // without a new run is a pause
)

// choose finds runs worth merging, as a range of their places; only neighbours can be merged, since newer entries hide
// older ones. They are the newest ones up to a run that is much larger: so each entry is rewritten a few times in its
// life, however long it is, and the runs stay few.
func choose(runs []*run) (from, to int) {
	to = len(runs)
	if to == 0 {
		return 0, 0
	}
	from = to - 1
	sum := len(runs[from].data)
	for from > 0 && len(runs[from-1].data) < ratio*sum {
		from--
		sum += len(runs[from].data)
	}
	if to-from >= fan {
		return from, to
	}
	if len(runs) >= mostRuns {
		return len(runs) / 2, to
	}
	return 0, 0
}

// mergeSoon wakes the goroutine that merges.
func (s *Store) mergeSoon() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// mergeAlways merges runs in the background until the store is closed.
func (s *Store) mergeAlways() {
	defer close(s.done)
	for {
		select {
		case <-s.quit:
			return
		case <-s.kick:
		}
		if !s.pause() {
			return
		}
		for again := true; again; {
			var err error
			if again, err = s.merge(choose); errors.Is(err, errClosed) {
				return
			} else if err != nil {
				s.opt.Log.Error("runs of the identity state cannot be merged; it is tried again later", "error", err)
				again = false
			}
		}
	}
}

// pause waits until new runs come slower, or there are many: while a bulk load makes one after the other there is better
// use for the processor. It reports false when the store is closed.
func (s *Store) pause() bool {
	for {
		v, ok := s.tryView()
		if !ok {
			return false
		}
		n := len(v.runs)
		v.Release()
		if n >= manyRuns || !s.bulk.Load() {
			return true
		}
		select {
		case <-s.quit:
			return false
		case <-s.kick:
		case <-time.After(quiet):
			return true
		}
	}
}

// waitForRoom waits while there are too many runs: reading would get slow. The caller holds commit, which others may
// take meanwhile.
func (s *Store) waitForRoom() error {
	for s.failed = nil; len(s.current.runs) >= mostRuns; s.room.Wait() {
		if s.failed != nil {
			return fmt.Errorf("there are too many runs in %s to add another: %w", s.dir, s.failed)
		}
		if err := s.writable(); err != nil {
			return err
		}
		s.mergeSoon()
	}
	return s.writable()
}

// Compact merges everything into one run.
func (s *Store) Compact() error {
	s.commit.Lock()
	err := s.writable()
	if err == nil && s.journal.size > 0 {
		err = s.flush()
	}
	s.commit.Unlock()
	if err != nil {
		return err
	}
	_, err = s.merge(func(runs []*run) (from, to int) { return 0, len(runs) })
	return err
}

// merge makes one run of those that are chosen and tells whether there were any. Commits go on meanwhile, and only
// append runs: those chosen keep their places.
func (s *Store) merge(choose func([]*run) (from, to int)) (did bool, err error) {
	s.merging.Lock()
	defer s.merging.Unlock()
	v, ok := s.tryView()
	if !ok {
		return false, fmt.Errorf("%s: %w", s.dir, errClosed)
	}
	defer v.Release()
	from, to := choose(v.runs)
	if to-from < 2 {
		return false, nil
	}
	old := v.runs[from:to]
	merged, err := s.mergeRuns(old, from == 0)

	s.commit.Lock()
	defer s.commit.Unlock()
	defer s.room.Broadcast()
	if s.failed = err; err != nil {
		return false, err
	}
	runs := slices.Clone(s.current.runs[:from])
	if merged != nil {
		runs = append(runs, merged)
	}
	runs = append(runs, s.current.runs[to:]...)
	if err := s.writable(); err != nil {
		s.failed = err
		return false, err // the merged run stays unlisted, and goes away at the next Open
	}
	if err := s.list(runs, s.listed.Journal, s.listed.Position, s.listed.Meta); err != nil {
		s.failed = err
		return false, err
	}
	s.publish(&version{tables: s.tables, runs: runs, memory: s.current.memory,
		position: s.current.position, meta: s.current.meta, journal: s.current.journal})
	for _, r := range old { // views that use them have them mapped
		if err := os.Remove(r.path); err != nil {
			s.opt.Log.Warn("a run that is no longer needed stays until the state is opened again", "error", err)
		}
	}
	return true, nil
}

// mergeRuns writes the merged run. Only where the oldest takes part may tombstones go: elsewhere they still hide
// something.
func (s *Store) mergeRuns(runs []*run, oldest bool) (*run, error) {
	for _, r := range runs { // or the new checksum would vouch for what the old one does not
		if err := r.check(); err != nil {
			return nil, err
		}
	}
	v := &version{tables: s.tables, runs: runs}
	e := entries(func(table int) iter.Seq2[[]byte, []byte] {
		return func(yield func(row, blob []byte) bool) {
			everything := newSpan(nil)
			merge(v.from(table, &everything), &everything, func(c *cursor) bool {
				return yield(c.row, c.blob()) && !s.stop.Load()
			})
		}
	})
	if oldest {
		e = e.withoutDead(s.tables)
	}
	r, err := s.makeRun(e, !s.bulk.Load())
	if err == nil && s.stop.Load() { // it may have ended early
		err = fmt.Errorf("%s: %w", s.dir, errClosed)
		if r != nil {
			err = errors.Join(err, r.unmap(), os.Remove(r.path))
		}
		return nil, err
	}
	return r, err
}
