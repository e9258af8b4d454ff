package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/jobs/ledger"
	"github.com/shirecounty/shire/schemas/county"
)

const (
	scheduledJobs = 10_000
	mostIdleCPU   = 2     // percent of a core
	mostDelay     = 1_000 // ms, the 99th percentile
	burstJobs     = 1_000 // due at the same moment
)

// jobsFigures is what it costs to have ten thousand jobs, and how late they start.
type jobsFigures struct {
	// Percent of a core, of the process with its embedded NATS: without jobs, with nothing due, and while some are due each minute.
	bareCPU, idleCPU []float64
	busyCPU          float64
	seconds          int // of idling
	runs             int
	// In ms, a figure for each minute: from due to started, of jobs that are spread over the minutes of an hour; and how late as
	// many plain timers of the same process ring at the same moments.
	median, p99           []float64
	timerMedian, timerP99 []float64
	burst                 []time.Duration // sorted: of jobs that are all due at once
}

func measureJobs(ctx context.Context, o options, dir string) (*jobsFigures, error) {
	engines, err := embedded.Start(ctx, embedded.Options{Dir: filepath.Join(dir, "jobs"), Version: "1.0.0", Log: slog.New(slog.DiscardHandler), ClickHouse: embedded.ClickHouseOptions{Disabled: true}})
	if err != nil {
		return nil, err
	}
	defer func() {
		late, done := context.WithTimeout(context.Background(), 10*time.Second)
		defer done()
		if err := engines.Stop(late); err != nil {
			fmt.Println("bench: the engine did not stop cleanly:", err)
		}
	}()
	nc, err := nats.Connect(engines.NATS().URL, engines.NATS().InProcess()...)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	f := &jobsFigures{seconds: o.seconds}
	time.Sleep(5 * time.Second)
	if f.bareCPU, err = cpuWindows(o); err != nil {
		return nil, err
	}
	now := time.Now()
	// Half a day from now, so that nothing is due while it is measured.
	idle := func(int) string {
		t := now.Add(12 * time.Hour)
		return fmt.Sprintf("%d %d * * *", t.Minute(), t.Hour())
	}
	s, err := schedule10k(ctx, nc, "000001", scheduledJobs, idle)
	if err != nil {
		return nil, err
	}
	time.Sleep(5 * time.Second)
	if f.idleCPU, err = cpuWindows(o); err != nil {
		return nil, err
	}
	s.stop()
	fmt.Printf("jobs: idle %s%% of a core, without jobs %s%%\n", spreadOf(f.idleCPU), spreadOf(f.bareCPU))
	if s, err = schedule10k(ctx, nc, "000002", scheduledJobs, func(i int) string { return fmt.Sprintf("%d * * * *", i%60) }); err != nil {
		return nil, err
	}
	if err := f.minutes(s, o.rounds); err != nil {
		return nil, err
	}
	fmt.Printf("jobs: started after %s ms, p99 %s ms; plain timers %s ms, p99 %s ms\n", spreadOf(f.median), spreadOf(f.p99), spreadOf(f.timerMedian), spreadOf(f.timerP99))
	at := time.Now().Add(90 * time.Second)
	if s, err = schedule10k(ctx, nc, "000003", burstJobs, func(int) string { return fmt.Sprintf("%d %d * * *", at.Minute(), at.Hour()) }); err != nil {
		return nil, err
	}
	time.Sleep(time.Until(at.Truncate(time.Minute).Add(30 * time.Second)))
	for _, late := range s.stop() {
		f.burst = append(f.burst, late...)
	}
	if len(f.burst) != burstJobs {
		return nil, fmt.Errorf("%d of %d runs in the burst", len(f.burst), burstJobs)
	}
	slices.Sort(f.burst)
	return f, nil
}

// minutes measures the next n whole minutes of a scheduler, and stops it.
func (f *jobsFigures) minutes(s *scheduled, n int) (err error) {
	first := time.Now().Truncate(time.Minute).Add(time.Minute)
	timers := make([]lateness, n)
	for i := range n {
		at := first.Add(time.Duration(i) * time.Minute)
		for range scheduledJobs / 60 {
			time.AfterFunc(time.Until(at), func() { timers[i].add(time.Since(at)) })
		}
	}
	if f.busyCPU, err = cpuDuring(time.Until(first.Add(time.Duration(n)*time.Minute - 10*time.Second))); err != nil {
		return err
	}
	started := s.stop()
	for i := range n {
		late := started[first.Add(time.Duration(i)*time.Minute).Unix()]
		if len(late) < scheduledJobs/60 {
			return fmt.Errorf("%d jobs were started at minute %d, and %d were due", len(late), i+1, scheduledJobs/60)
		}
		f.runs += len(late)
		slices.Sort(late)
		f.median, f.p99 = append(f.median, ms(percentile(late, .5))), append(f.p99, ms(percentile(late, .99)))
		rang := timers[i].sorted()
		f.timerMedian, f.timerP99 = append(f.timerMedian, ms(percentile(rang, .5))), append(f.timerP99, ms(percentile(rang, .99)))
	}
	return nil
}

// lateness collects how late things were.
type lateness struct {
	mu   sync.Mutex
	late []time.Duration
}

func (l *lateness) add(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.late = append(l.late, d)
}

func (l *lateness) sorted() []time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(slices.Values(l.late))
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// scheduled is a scheduler that runs, and how late it starts what is due.
type scheduled struct {
	cancel context.CancelFunc
	ended  chan struct{}
	mu     sync.Mutex
	delays map[int64][]time.Duration // by the second at which it was due
}

func schedule10k(ctx context.Context, nc *nats.Conn, division string, n int, fields func(i int) string) (*scheduled, error) {
	l, err := ledger.Open(ctx, nc, ledger.Options{County: division, Replicas: 1})
	if err != nil {
		return nil, err
	}
	list := make([]county.Job, n)
	for i := range list {
		times, err := county.ParseSchedule(fields(i), time.Local)
		if err != nil {
			return nil, err
		}
		list[i] = county.Job{Name: fmt.Sprintf("job-%d", i), Schedule: times.String(), Times: times, Zone: time.Local, Days: county.DaysAny, Missed: county.MissedOnce, Overlap: county.OverlapSkip,
			Timeout: county.Duration(time.Minute)}
	}
	s := &scheduled{ended: make(chan struct{}), delays: map[int64][]time.Duration{}}
	set, err := jobs.NewSet(list, nil, func(*county.Job) (jobs.Worker, string, error) {
		return jobs.WorkerFunc(func(_ context.Context, t jobs.Task, _ io.Writer) (jobs.Result, error) {
			late := time.Since(t.Due)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.delays[t.Due.Unix()] = append(s.delays[t.Due.Unix()], late)
			return jobs.Result{}, nil
		}), "", nil
	})
	if err != nil {
		return nil, err
	}
	running, cancel := context.WithCancel(ctx)
	s.cancel = cancel
	go func() {
		defer close(s.ended)
		if err := jobs.New(jobs.Options{Ledger: l, Jobs: set, Clock: jobs.System{}, Log: slog.Default(), Node: "bench"}).Run(running); err != nil {
			fmt.Println("bench: the scheduler failed:", err)
		}
	}()
	for i := range list { // until each job has been looked at for the first time
		for {
			e, err := l.Get(ctx, "job."+list[i].Name)
			if err != nil {
				return nil, err
			}
			if e.Revision > 0 {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	return s, nil
}

// stop stops the scheduler and gives the delays, by the second at which they were due.
func (s *scheduled) stop() map[int64][]time.Duration {
	s.cancel()
	<-s.ended
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.delays
}

// cpuWindows is how much of a core this process takes, window by window, while it idles.
func cpuWindows(o options) (percents []float64, err error) {
	for range o.rounds {
		percent, err := cpuDuring(time.Duration(o.seconds) * time.Second / time.Duration(o.rounds))
		if err != nil {
			return nil, err
		}
		percents = append(percents, percent)
	}
	return percents, nil
}

// ownCPU is the processor time that this process has taken.
func ownCPU() (time.Duration, error) {
	var u syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), err
}

// cpuDuring is how much of a core this process takes while d passes, in percent.
func cpuDuring(d time.Duration) (float64, error) {
	before, err := ownCPU()
	if err != nil {
		return 0, err
	}
	began := time.Now()
	time.Sleep(d)
	after, err := ownCPU()
	return 100 * (after - before).Seconds() / time.Since(began).Seconds(), err
}

func (f *jobsFigures) section(o options) section {
	idle, p99 := spreadOf(f.idleCPU), spreadOf(f.p99)
	return section{titleJobs, fmt.Sprintf(`
%s jobs with a schedule, their ledger on the embedded JetStream in the same process. The processor is measured in %d windows of
%d s, the start in as many whole minutes, and each figure is the median (least to greatest) of them. Beside them stands what the
machine does without jobs: the same process with NATS alone, and plain timers of the process, as many and at the same moments.

%s
| | median (least to greatest) | bound |
|---|---|---|
| **nothing due: processor, with NATS** | **%s%% of a core** | under %d%%: %s |
| noise: the same process before there were jobs | %s%% of a core | |
| due once an hour, spread over its minutes (about %d at each): from due to started, median | %s ms | |
| **the same, 99th percentile, %s runs in all** | **%s ms** | under %d ms: %s |
| noise: plain timers, median | %s ms | |
| noise: plain timers, 99th percentile | %s ms | |
| the same, processor | %.2f%% of a core | |
| %s jobs due at one moment: median, 99th percentile | %.0f ms, %.0f ms | |
`, thousands(scheduledJobs), o.rounds, o.seconds/o.rounds, conditions(o, "jobs", "Once.", engineVersions()[1:]...), idle, mostIdleCPU, verdict(idle.median < mostIdleCPU),
		spreadOf(f.bareCPU), scheduledJobs/60, spreadOf(f.median), thousands(f.runs), p99, mostDelay, verdict(p99.median < mostDelay), spreadOf(f.timerMedian), spreadOf(f.timerP99),
		f.busyCPU, thousands(burstJobs), ms(percentile(f.burst, .5)), ms(percentile(f.burst, .99)))}
}
