package jobs

import (
	"container/heap"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// DefaultLease is how long a process may be silent before its runs are taken by others.
const DefaultLease = 15 * time.Second

// Options of a scheduler.
type Options struct {
	Ledger Ledger
	Jobs   Set
	Clock  Clock
	Log    *slog.Logger
	Node   string        // names the process for people, such as "process 7 on hall-1"
	Lease  time.Duration // DefaultLease when zero
	Most   int           // runs at a time in this process; 32 when zero
	Post   Post          // sends alerts; over HTTP when nil
}

// Scheduler runs jobs in this process. Any number of them may work on one ledger.
type Scheduler struct {
	Options
	id    string // of this process, for this once
	kick  chan struct{}
	steps chan struct{} // bounds how many jobs are attended to at a time

	mu      sync.Mutex
	ready   bool          // every entry has been seen
	stops   bool          // nothing begins any more
	over    chan struct{} // closed when stops is set
	out     bool          // out of touch with the ledger for as long as a lease
	jobs    map[string]*entry
	waiting queue
	room    int // runs that may start
	starved map[*entry]bool
	running map[string]*execution // by the run's id
	sending map[string]bool       // alerts
	strays  map[string]bool       // jobs with an entry and without a definition
	wonders map[string]bool       // such jobs that are about to be looked at
	nodes   nodes
	stats   stats
	work    sync.WaitGroup // runs, and what is told of them
}

// entry is what this process knows of a job.
type entry struct {
	job      *Job
	state    *State
	revision uint64
	at       time.Time         // when it is looked at next; zero for never
	index    int               // in the queue; -1 when it is not
	busy     bool              // it is being attended to
	told     map[string]uint64 // ends that this process has told, as their events; only who attends to it knows
	failures int               // of the ledger, one after the other
}

// New makes a scheduler; nothing happens before Run.
func New(o Options) *Scheduler {
	if o.Lease == 0 {
		o.Lease = DefaultLease
	}
	if o.Most == 0 {
		o.Most = 32
	}
	if o.Post == nil {
		o.Post = postHTTP
	}
	s := &Scheduler{Options: o, id: strings.ToLower(rand.Text()[:12]), kick: make(chan struct{}, 1), over: make(chan struct{}), steps: make(chan struct{}, 32), jobs: map[string]*entry{},
		room: o.Most, starved: map[*entry]bool{}, running: map[string]*execution{}, sending: map[string]bool{}, strays: map[string]bool{}, wonders: map[string]bool{}, nodes: nodes{}}
	s.stats.begin()
	for name, j := range o.Jobs {
		s.jobs[name] = &entry{job: j, state: &State{}, index: -1}
	}
	return s
}

// stopWithin bounds how long a scheduler that stops waits for its runs.
const stopWithin = 3 * time.Second

// Run runs the jobs until ctx ends. Runs that go on then are stopped, and wait for whoever comes next.
func (s *Scheduler) Run(ctx context.Context) error {
	life, end := context.WithCancel(context.WithoutCancel(ctx)) // of what has to be told after the stop
	defer end()
	if err := s.enter(ctx); err != nil {
		return err
	}
	var parts sync.WaitGroup
	watched := make(chan error, 1)
	watching, stopWatching := context.WithCancel(life)
	parts.Go(func() { watched <- s.Ledger.Watch(watching, func(e Entry) { s.see(life, e) }) })
	parts.Go(func() { s.beat(life) })
	err := s.follow(ctx, life, watched)
	s.mu.Lock()
	s.stops = true
	close(s.over)
	s.mu.Unlock()
	s.interrupt(errStops)
	all := make(chan struct{})
	go func() { s.work.Wait(); close(all) }()
	select {
	case <-all:
		s.leave(life)
	case <-time.After(stopWithin):
		s.Log.Warn("a run did not end when it was told to; it is taken up again when this process is known to be gone")
	}
	stopWatching()
	end()
	parts.Wait()
	return err
}

// farthest is how long the scheduler sleeps when nothing is due. Then it looks whether the clock was set back.
const farthest = 30 * time.Second

// follow attends to the jobs whose time has come until ctx ends. What it starts lives as long as life.
func (s *Scheduler) follow(ctx, life context.Context, watched <-chan error) error {
	var last time.Time
	for {
		now := s.Clock.Now()
		next := now.Add(farthest)
		s.mu.Lock()
		if now.Before(last) {
			for _, e := range s.jobs {
				s.plan(e)
			}
		}
		last = now
		for s.ready && len(s.waiting) > 0 {
			e := s.waiting[0]
			if e.at.After(now) {
				next = e.at
				break
			}
			heap.Pop(&s.waiting)
			e.busy = true
			s.mu.Unlock()
			select {
			case s.steps <- struct{}{}:
			case <-ctx.Done():
				return nil
			}
			s.work.Go(func() {
				defer func() { <-s.steps }()
				s.attend(ctx, life, e)
			})
			s.mu.Lock()
		}
		s.mu.Unlock()
		sleeping, wake := context.WithCancel(ctx)
		slept, look := make(chan struct{}), time.NewTimer(farthest)
		go func() {
			defer close(slept)
			_ = s.Clock.Sleep(sleeping, next) // it ends early when it is woken
		}()
		var err error
		select {
		case <-slept:
		case <-s.kick:
		case <-look.C: // a clock that was set back does not come to next for long
		case err = <-watched:
		}
		wake()
		look.Stop()
		<-slept
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the ledger of jobs cannot be followed: %w", err)
		}
	}
}

func (s *Scheduler) wakeUp() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// see takes note of what the ledger tells.
func (s *Scheduler) see(life context.Context, e Entry) {
	switch {
	case e.Key == "":
		s.mu.Lock()
		s.ready = true
		for _, entry := range s.jobs {
			s.plan(entry)
		}
		s.retireAll(life)
		s.mu.Unlock()
		s.wakeUp()
	case strings.HasPrefix(e.Key, nodePrefix):
		s.seeNode(e)
	case strings.HasPrefix(e.Key, jobPrefix):
		name := strings.TrimPrefix(e.Key, jobPrefix)
		entry, ours := s.jobs[name]
		if !ours {
			s.mu.Lock()
			if !s.ready && e.Value != nil {
				s.strays[name] = true
			}
			s.wonder(life, name, e.Value != nil)
			s.mu.Unlock()
			return
		}
		state, err := decode(e)
		if err != nil {
			s.Log.Error("a job is left alone", "job", entry.job.Name, "error", err)
			return
		}
		s.adopt(life, entry, state, e.Revision)
	}
}

// adopt takes a state that is in the ledger, unless a newer one is known. Runs that it says are this process's are started;
// those that it says are no longer, are stopped.
func (s *Scheduler) adopt(life context.Context, e *entry, state *State, revision uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if revision <= e.revision {
		return
	}
	e.state, e.revision = state, revision
	for id, x := range s.running {
		if x.entry != e || x.settled {
			continue
		}
		switch r := state.find(id); {
		case r == nil, r.Outcome != Running, r.Attempt != x.run.Attempt, r.Node != s.id:
			x.cancel(errFenced)
		case r.Cancel != "":
			x.cancel(errCancelled)
		}
	}
	for _, r := range state.Active {
		// The only place where a run starts: also one whose claim was written although its acknowledgement got lost.
		if x := s.running[r.ID]; r.Outcome == Running && r.Node == s.id && (x == nil || x.settled && x.run.Attempt < r.Attempt) {
			s.start(life, e, r)
		}
	}
	s.plan(e)
}

// plan queues a job for when it has to be looked at. s.mu is held.
func (s *Scheduler) plan(e *entry) {
	if e.busy || !s.ready {
		return
	}
	delete(s.starved, e)
	now := s.Clock.Now()
	at := e.job.wake(e.state, now, s.id, s.dead, s.room > 0)
	for i := range e.state.Alerts {
		a := &e.state.Alerts[i]
		if (a.Node == s.id || s.dead(a.Node)) && !s.sending[a.key(e.job)] && (at.IsZero() || a.Next.Before(at)) {
			at = a.Next
		}
	}
	if s.room <= 0 && e.job.turn(e.state, now) != nil {
		s.starved[e] = true // until a run ends
	}
	if e.failures > 0 && !at.IsZero() {
		at = later(at, now.Add(min(time.Second<<min(e.failures-1, 5), 30*time.Second)))
	}
	e.at = at
	switch {
	case at.IsZero() && e.index >= 0:
		heap.Remove(&s.waiting, e.index)
	case at.IsZero():
	case e.index >= 0:
		heap.Fix(&s.waiting, e.index)
	default:
		heap.Push(&s.waiting, e)
	}
	if e.index == 0 {
		s.wakeUp()
	}
}

// attend does for a job what is to be done now.
func (s *Scheduler) attend(ctx, life context.Context, e *entry) {
	var err error
	for ctx.Err() == nil {
		var again bool
		if again, err = s.step(life, e); !again {
			break
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e.busy = false
	if err != nil {
		e.failures++
		s.Log.Warn("a job could not be attended to; it is tried again", "job", e.job.Name, "error", err)
	} else {
		e.failures = 0
	}
	s.plan(e)
}

// stepWithin bounds one step on a ledger that does not answer.
const stepWithin = 20 * time.Second

// step brings a job's entry one step further, and tells whether there may be another to do at once.
func (s *Scheduler) step(life context.Context, e *entry) (again bool, err error) {
	ctx, cancel := context.WithTimeout(life, stepWithin)
	defer cancel()
	s.mu.Lock()
	state, revision, out, stops := e.state, e.revision, s.out, s.stops
	s.mu.Unlock()
	if out {
		return false, errOutOfTouch
	}
	if err := s.tell(ctx, life, e, state); err != nil {
		return false, err
	}
	next := state.clone()
	next.Ended = slices.DeleteFunc(next.Ended, func(r Run) bool { return r.Node == s.id && e.told[r.ID] == r.Event })
	changed := len(next.Ended) != len(state.Ended)
	now := s.Clock.Now()
	s.mu.Lock()
	changed = e.job.takeOver(next, s.dead, s.id, now) || changed
	s.mu.Unlock()
	changed = e.job.begin(next, now) || changed
	decided, err := e.job.decide(next, now, s.id, s.seen(ctx, e.job))
	if err != nil {
		return false, err
	}
	filled, err := e.job.fill(next, now, s.id, s.seen(ctx, e.job))
	if err != nil {
		return false, err
	}
	changed = e.job.worry(next, now, s.id) || decided || filled || changed
	var claimed []Run
	if !stops {
		room := s.reserve(s.Most)
		claimed = e.job.claim(next, now, s.id, room)
		s.giveBack(room - len(claimed))
	}
	if !changed && len(claimed) == 0 {
		return false, nil
	}
	err = s.commit(ctx, life, e, next, revision)
	s.giveBack(len(claimed)) // those that started have taken theirs
	if errors.Is(err, ErrConflict) {
		return true, s.refresh(ctx, life, e)
	}
	return err == nil, err
}

// commit writes a state down, and takes it over when that is done. What became of a write that was not acknowledged, the
// watch tells.
func (s *Scheduler) commit(ctx, life context.Context, e *entry, next *State, revision uint64) error {
	revision, err := write(ctx, s.Ledger, e.job.Name, next, revision)
	if err == nil {
		s.adopt(life, e, next, revision)
	}
	return err
}

func (s *Scheduler) refresh(ctx, life context.Context, e *entry) error {
	state, revision, err := read(ctx, s.Ledger, e.job.Name)
	if err == nil {
		s.adopt(life, e, state, revision)
	}
	return err
}

// seen asks the history for a run.
func (s *Scheduler) seen(ctx context.Context, j *Job) known {
	return func(due time.Time) (*Run, error) { return s.Ledger.Last(ctx, j.Name, j.RunID(due)) }
}

// tell tells the ends of runs that are this process's to tell: to the history, and to the jobs that come after. Both take a
// second telling for the first, and this process tells once.
func (s *Scheduler) tell(ctx, life context.Context, e *entry, state *State) error {
	told := map[string]uint64{}
	for i := range state.Ended {
		r := &state.Ended[i]
		if r.Node != s.id {
			continue
		}
		if e.told[r.ID] != r.Event {
			if err := s.Ledger.Report(ctx, *r); err != nil {
				return err
			}
			if e.job.chained(r) {
				for _, name := range e.job.then {
					if err := s.tellNext(ctx, life, s.jobs[name], r); err != nil {
						return err
					}
				}
			}
			s.count(r)
		}
		told[r.ID] = r.Event
	}
	e.told = told
	s.send(life, e, state)
	return nil
}

// tellNext tells a job how a run of one before it ended.
func (s *Scheduler) tellNext(ctx, life context.Context, e *entry, r *Run) error {
	for {
		s.mu.Lock()
		state, revision := e.state, e.revision
		s.mu.Unlock()
		next, now := state.clone(), s.Clock.Now()
		e.job.begin(next, now)
		changed, err := e.job.join(next, r, s.id, now, s.seen(ctx, e.job))
		if err != nil || !changed {
			return err
		}
		if err = s.commit(ctx, life, e, next, revision); !errors.Is(err, ErrConflict) {
			return err
		}
		if err := s.refresh(ctx, life, e); err != nil {
			return err
		}
	}
}

// reserve takes room for as many runs as there is, up to n.
func (s *Scheduler) reserve(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n = max(min(n, s.room), 0)
	s.room -= n
	return n
}

func (s *Scheduler) giveBack(n int) {
	if n == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.room += n
	s.feed()
}

// feed lets runs start that waited for room. s.mu is held.
func (s *Scheduler) feed() {
	if s.room <= 0 {
		return
	}
	for _, e := range slices.Collect(maps.Keys(s.starved)) {
		s.plan(e)
	}
}

// queue orders jobs by when they are looked at.
type queue []*entry

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].at.Before(q[j].at) }
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push and Pop are for container/heap.
func (q *queue) Push(x any) {
	e := x.(*entry)
	e.index = len(*q)
	*q = append(*q, e)
}

func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	last.index = -1
	*q = (*q)[:len(*q)-1]
	return last
}
