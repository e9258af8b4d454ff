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
	idleCPU, busyCPU float64 // percent of a core, of the process with its embedded NATS
	seconds          int     // of idling
	runs             int
	delays           []time.Duration // sorted: from due to started, of jobs that are spread over the minutes of an hour
	burst            []time.Duration // sorted: of jobs that are all due at once
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
	if f.idleCPU, err = cpuDuring(time.Duration(o.seconds) * time.Second); err != nil {
		return nil, err
	}
	s.stop()
	fmt.Printf("jobs: idle %.2f%% of a core\n", f.idleCPU)
	if s, err = schedule10k(ctx, nc, "000002", scheduledJobs, func(i int) string { return fmt.Sprintf("%d * * * *", i%60) }); err != nil {
		return nil, err
	}
	if f.busyCPU, err = cpuDuring(3 * time.Minute); err != nil { // two or three whole minutes' jobs
		return nil, err
	}
	f.delays = s.stop()
	f.runs = len(f.delays)
	at := time.Now().Add(90 * time.Second)
	if s, err = schedule10k(ctx, nc, "000003", burstJobs, func(int) string { return fmt.Sprintf("%d %d * * *", at.Minute(), at.Hour()) }); err != nil {
		return nil, err
	}
	time.Sleep(time.Until(at.Truncate(time.Minute).Add(30 * time.Second)))
	f.burst = s.stop()
	if f.runs == 0 || len(f.burst) != burstJobs {
		return nil, fmt.Errorf("%d runs, and %d of %d in the burst", f.runs, len(f.burst), burstJobs)
	}
	return f, nil
}

// scheduled is a scheduler that runs, and how late it starts what is due.
type scheduled struct {
	cancel context.CancelFunc
	ended  chan struct{}
	mu     sync.Mutex
	delays []time.Duration
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
	s := &scheduled{ended: make(chan struct{})}
	set, err := jobs.NewSet(list, nil, func(*county.Job) (jobs.Worker, string, error) {
		return jobs.WorkerFunc(func(_ context.Context, t jobs.Task, _ io.Writer) (jobs.Result, error) {
			late := time.Since(t.Due)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.delays = append(s.delays, late)
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

// stop stops the scheduler and gives the delays, sorted.
func (s *scheduled) stop() []time.Duration {
	s.cancel()
	<-s.ended
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.delays)
	return s.delays
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
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	p99 := ms(percentile(f.delays, .99))
	return section{titleJobs, fmt.Sprintf(`
%s jobs with a schedule, their ledger on the embedded JetStream in the same process.

%s
| | measured | bound |
|---|---|---|
| **nothing due for %d s: processor, with NATS** | **%.2f%% of a core** | under %d%%: %s |
| due once an hour, spread over its minutes (about %d at each): from due to started, median | %.0f ms | |
| **the same, 99th percentile of %s runs** | **%.0f ms** | under %d ms: %s |
| the same, processor | %.2f%% of a core | |
| %s jobs due at one moment: median, 99th percentile | %.0f ms, %.0f ms | |
`, thousands(scheduledJobs), conditions(o, "jobs", "Once.", engineVersions()[1:]...), f.seconds, f.idleCPU, mostIdleCPU, verdict(f.idleCPU < mostIdleCPU),
		scheduledJobs/60, ms(percentile(f.delays, .5)), thousands(f.runs), p99, mostDelay, verdict(p99 < mostDelay), f.busyCPU,
		thousands(burstJobs), ms(percentile(f.burst, .5)), ms(percentile(f.burst, .99)))}
}
