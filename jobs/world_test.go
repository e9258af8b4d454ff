package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/schemas/county"
)

// wall is a clock that can be set. Whoever sleeps notices at once that it was set forward, and by himself that it was set back.
type wall struct {
	mu     sync.Mutex
	offset time.Duration
	set    chan struct{}
}

func newWall() *wall { return &wall{set: make(chan struct{})} }

func (w *wall) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Round(0).Add(w.offset)
}

func (w *wall) Set(by time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.offset += by
	close(w.set)
	w.set = make(chan struct{})
}

func (w *wall) Sleep(ctx context.Context, t time.Time) error {
	for {
		w.mu.Lock()
		left, set := t.Sub(time.Now().Add(w.offset)), w.set
		w.mu.Unlock()
		if left <= 0 {
			return ctx.Err()
		}
		timer := time.NewTimer(left)
		select {
		case <-timer.C:
		case <-set:
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// cable is the way of one process to the ledger. It breaks when the process is killed, at a given write if need be: that one
// arrives, and its acknowledgement does not.
type cable struct {
	jobs.Ledger
	mu     sync.Mutex
	broken bool
	left   int // writes until it breaks by itself; negative for never
	breaks func()
}

var errKilled = errors.New("the process was killed")

func (c *cable) gone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.broken
}

func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = true
}

func (c *cable) mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = false
}

// write lets a write pass, and tells whether its acknowledgement is lost.
func (c *cable) write() (pass, lost bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken {
		return false, true
	}
	if c.left > 0 {
		if c.left--; c.left == 0 {
			c.broken = true
			go c.breaks()
			return true, true
		}
	}
	return true, false
}

func (c *cable) Get(ctx context.Context, key string) (jobs.Entry, error) {
	if c.gone() {
		return jobs.Entry{}, errKilled
	}
	return c.Ledger.Get(ctx, key)
}

func (c *cable) Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	pass, lost := c.write()
	if !pass {
		return 0, errKilled
	}
	r, err := c.Ledger.Put(ctx, key, value, revision)
	if lost {
		return 0, errKilled
	}
	return r, err
}

func (c *cable) Delete(ctx context.Context, key string) error {
	if c.gone() {
		return errKilled
	}
	return c.Ledger.Delete(ctx, key)
}

func (c *cable) Watch(ctx context.Context, fn func(jobs.Entry)) error {
	return c.Ledger.Watch(ctx, func(e jobs.Entry) {
		if !c.gone() {
			fn(e)
		}
	})
}

func (c *cable) Report(ctx context.Context, r jobs.Run) error {
	pass, lost := c.write()
	if !pass {
		return errKilled
	}
	err := c.Ledger.Report(ctx, r)
	if lost {
		return errKilled
	}
	return err
}

func (c *cable) Append(ctx context.Context, job, id string, lines []jobs.Line) error {
	if c.gone() {
		return errKilled
	}
	return c.Ledger.Append(ctx, job, id, lines)
}

// attempt is one that a worker was asked to do.
type attempt struct {
	run        string
	job        string
	number     int
	begun, end time.Time // of the bubble; end is zero while it goes on
}

// world is schedulers on one ledger.
type world struct {
	t      *testing.T
	clock  *wall
	ledger jobs.Ledger
	lease  time.Duration // the default when zero
	county []county.Job
	takes  map[string]time.Duration
	fails  map[string]int // how many first attempts of each run fail

	mu       sync.Mutex
	attempts []*attempt
	procs    []*proc
}

type proc struct {
	cable  *cable
	cancel context.CancelFunc
	killed chan struct{}
	ended  chan struct{}
	once   sync.Once
	worked bool // a worker was asked to do something in it
}

func (w *world) start(breakAfter int) {
	ctx, cancel := context.WithCancel(context.Background())
	p := &proc{cancel: cancel, killed: make(chan struct{}), ended: make(chan struct{})}
	p.cable = &cable{Ledger: w.ledger, left: breakAfter, breaks: p.kill}
	set, err := jobs.NewSet(w.county, national(w.t), func(*county.Job) (jobs.Worker, string, error) {
		return jobs.WorkerFunc(func(ctx context.Context, task jobs.Task, _ io.Writer) (jobs.Result, error) {
			return w.work(ctx, p, task)
		}), "", nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("SHIRE_TEST_LOG") != "" {
		log = slog.Default()
	}
	s := jobs.New(jobs.Options{Ledger: p.cable, Jobs: set, Clock: w.clock, Log: log, Lease: w.lease})
	w.procs = append(w.procs, p)
	go func() {
		defer close(p.ended)
		if err := s.Run(ctx); err != nil && !p.dead() {
			w.t.Error(err)
		}
	}()
	synctest.Wait()
}

func (p *proc) dead() bool {
	select {
	case <-p.killed:
		return true
	default:
		return false
	}
}

func (p *proc) kill() {
	p.once.Do(func() {
		p.cable.cut()
		close(p.killed)
		p.cancel()
	})
}

func (w *world) alive() (list []*proc) {
	for _, p := range w.procs {
		select {
		case <-p.ended:
		default:
			if !p.dead() {
				list = append(list, p)
			}
		}
	}
	return list
}

func (w *world) work(ctx context.Context, p *proc, task jobs.Task) (jobs.Result, error) {
	a := &attempt{run: task.Run, job: task.Job, number: task.Attempt, begun: time.Now()}
	w.mu.Lock()
	w.attempts = append(w.attempts, a)
	p.worked = true
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		a.end = time.Now()
		w.mu.Unlock()
	}()
	if d := w.takes[task.Job]; d > 0 {
		select {
		case <-p.killed:
			return jobs.Result{}, errKilled
		case <-ctx.Done():
			return jobs.Result{}, ctx.Err()
		case <-time.After(d):
		}
	}
	if task.Attempt <= w.fails[task.Job] {
		return jobs.Result{}, errAway
	}
	return jobs.Result{}, nil
}

// judge is what holds of the attempts, whatever happened.
func (w *world) judge(killed bool) error {
	seen := map[string]*attempt{}
	last := map[string]int{}
	for _, a := range w.attempts {
		key := fmt.Sprintf("%s/%d", a.run, a.number)
		if seen[key] != nil {
			return fmt.Errorf("attempt %s started twice", key)
		}
		seen[key] = a
		if a.number <= last[a.run] {
			return fmt.Errorf("attempt %s started after a later one", key)
		}
		if a.number != last[a.run]+1 && !killed {
			return fmt.Errorf("attempt %s comes after %d", key, last[a.run])
		}
		last[a.run] = a.number
	}
	for i, a := range w.attempts {
		for _, b := range w.attempts[:i] {
			if a.run == b.run && a.begun.Before(b.end) {
				return fmt.Errorf("two attempts of %s went on at once", a.run)
			}
		}
	}
	return nil
}
