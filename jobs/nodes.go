package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// A process writes its entry node.ID anew three times in a lease. Whether another one lives is judged without any clock: it
// has died when this one has written five times, one after the other and each acknowledged, and has not seen the other's
// entry change meanwhile. So while the ledger is away nobody is taken for dead. A process that could not write for as long as
// a lease gives its runs up, which is sooner than any other takes them.

// NodeInfo is what the ledger knows of a process.
type NodeInfo struct {
	ID    string        `json:"id"`
	Name  string        `json:"name"` // for people
	Since time.Time     `json:"since"`
	Lease time.Duration `json:"lease"`
	Beat  uint64        `json:"beat"`
}

const (
	beatsPerLease = 3
	silentBeats   = 5
)

// nodes are the other processes, as how many beats of this one each has been silent.
type nodes map[string]int

// dead tells whether a process is gone; nobody is. s.mu is held.
func (s *Scheduler) dead(node string) bool {
	if node == s.id || !s.ready {
		return false
	}
	silent, known := s.nodes[node]
	return !known || silent >= silentBeats
}

func (s *Scheduler) seeNode(e Entry) {
	id := strings.TrimPrefix(e.Key, nodePrefix)
	if id == s.id {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Value == nil {
		delete(s.nodes, id)
		s.planAll()
		return
	}
	s.nodes[id] = 0
}

// planAll looks at every job anew, because a process is gone. s.mu is held.
func (s *Scheduler) planAll() {
	for _, e := range s.jobs {
		if len(e.state.Active)+len(e.state.Ended)+len(e.state.Alerts) > 0 {
			s.plan(e)
		}
	}
	s.wakeUp()
}

// enter makes this process known, before it does anything.
func (s *Scheduler) enter(ctx context.Context) error {
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		attempt, cancel := context.WithTimeout(ctx, s.Lease/beatsPerLease)
		err := s.beatOnce(attempt, &NodeInfo{ID: s.id, Name: s.Node, Since: s.Clock.Now(), Lease: s.Lease})
		cancel()
		if err == nil {
			return nil
		}
		s.Log.Debug("the ledger of jobs cannot be reached yet", "error", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// beatOnce writes this process's entry anew, whatever is there.
func (s *Scheduler) beatOnce(ctx context.Context, n *NodeInfo) error {
	n.Beat++
	value, err := json.Marshal(n)
	if err != nil {
		return err
	}
	for {
		e, err := s.Ledger.Get(ctx, nodePrefix+n.ID)
		if err == nil {
			_, err = s.Ledger.Put(ctx, nodePrefix+n.ID, value, e.Revision)
		}
		if !errors.Is(err, ErrConflict) {
			return err
		}
	}
}

// beat keeps this process known until ctx ends.
func (s *Scheduler) beat(ctx context.Context) {
	n := &NodeInfo{ID: s.id, Name: s.Node, Since: s.Clock.Now(), Lease: s.Lease, Beat: 1}
	tick := time.NewTicker(s.Lease / beatsPerLease)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		began := time.Now()
		attempt, cancel := context.WithTimeout(ctx, s.Lease/beatsPerLease)
		err := s.beatOnce(attempt, n)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			last = began
			s.beaten(ctx)
		case time.Since(last) >= s.Lease*9/10:
			s.Log.Warn("this process is out of touch with the ledger of jobs and gives its runs up", "error", err)
			s.mu.Lock()
			s.out = true
			s.mu.Unlock()
			s.interrupt(errOutOfTouch)
		}
	}
}

// beaten counts a beat against the others, and clears away those that have been silent for too long.
func (s *Scheduler) beaten(ctx context.Context) {
	var gone []string
	s.mu.Lock()
	back := s.out
	s.out = false
	for _, e := range s.jobs { // the ledger can be reached: what failed need not wait for long
		if e.failures > 0 && !e.busy {
			e.failures = 0
			s.plan(e)
		}
	}
	for id := range s.nodes {
		if s.nodes[id]++; s.nodes[id] == silentBeats {
			gone = append(gone, id)
		}
	}
	if back || len(gone) > 0 {
		s.planAll()
		s.retireAll(ctx)
	}
	s.mu.Unlock()
	for _, id := range gone {
		s.Log.Warn("a process that ran jobs is silent and taken for dead; its runs are tried again", "process", id)
		if err := s.Ledger.Delete(ctx, nodePrefix+id); err != nil {
			s.Log.Debug("the entry of a dead process could not be removed", "process", id, "error", err)
		}
	}
}

// leave tells the others that this process is gone.
func (s *Scheduler) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := s.Ledger.Delete(ctx, nodePrefix+s.id); err != nil {
		s.Log.Debug("this process's entry could not be removed; the others find out", "error", err)
	}
}

// Nodes are the processes that run jobs, as the ledger knows them: one that was killed is among them until it is missed.
func (d *Desk) Nodes(ctx context.Context) ([]NodeInfo, error) {
	var list []NodeInfo
	err := each(ctx, d.Ledger, func(e Entry) {
		var n NodeInfo
		if strings.HasPrefix(e.Key, nodePrefix) && json.Unmarshal(e.Value, &n) == nil {
			list = append(list, n)
		}
	})
	return list, err
}

// each tells every entry that there is.
func each(ctx context.Context, e Entries, fn func(Entry)) error {
	looking, stop := context.WithCancel(ctx)
	defer stop()
	whole := false
	err := e.Watch(looking, func(e Entry) {
		switch {
		case whole:
		case e.Key == "":
			whole = true
			stop()
		case e.Value != nil:
			fn(e)
		}
	})
	if whole {
		return nil
	}
	if err == nil {
		err = ctx.Err()
	}
	return err
}
