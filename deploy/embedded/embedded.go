//go:build unix

// Package embedded runs the engines inside and below one process: nats-server as a library, and ClickHouse as a child
// process that is this same binary with libchdb.so loaded into it. Both listen on 127.0.0.1 alone and keep their state in
// one data directory, which one process at a time may use.
//
// A program that calls [Start] must call [RunChildIfAsked] first of all in main.
//
// # How it fails
//
//   - The ClickHouse child dies: it is started again on the same ports, after 100 ms, 200 ms and so on to 10 s.
//   - This process dies, by whatever means: the child sees its standard input end (and on Linux is killed by the kernel),
//     the lock is free, and runtime.json, left behind, is not believed.
//   - The disk fills: the disk component becomes [Low] and OnChange says so, before the engines fail to write.
//   - JetStream fails to write all the same: its component becomes [Failed]. What it acknowledged is there at the next
//     start; until then it takes nothing.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Options for [Start].
type Options struct {
	Dir        string // the data directory; created if need be
	Version    string // semantic version of the data layout that this program writes; data of a newer one is refused
	NATS       NATSOptions
	ClickHouse ClickHouseOptions

	// MinFreeBytes must be free on the file system of Dir at the start; while running, the disk component is Low when
	// less is. 0: no bound.
	MinFreeBytes uint64

	Extra    map[string]string // for the Extra field of Runtime; may be replaced later by SetExtra
	OnChange func(Component)   // told of every change of state, one at a time; must not block or call Stop
	Log      *slog.Logger      // nil: slog.Default()
}

// diskCheckInterval is how often the free space is looked at.
const diskCheckInterval = 3 * time.Second

// Engines are running engines.
type Engines struct {
	dir        string
	lock       *os.File
	health     *health
	nats       *NATS       // nil if disabled
	clickHouse *clickHouse // nil if disabled
	stopWatch  context.CancelFunc
	watches    sync.WaitGroup

	mu      sync.Mutex // guards runtime and stopped
	runtime Runtime
	stopped bool
}

// Start starts the engines that are not disabled and returns when they take requests, or when ctx ends, or when one
// cannot be started; then nothing runs and the directory is free again. Faults of the environment are an [EnvError].
// After Start, ctx does not matter any more: see [Engines.Stop].
func Start(ctx context.Context, o Options) (_ *Engines, err error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil || o.Dir == "" {
		return nil, fmt.Errorf("embedded.Options.Dir: %q is no directory", o.Dir)
	}
	if err := makeWritable(dir); err != nil {
		return nil, err
	}
	e := &Engines{dir: dir, health: &health{onChange: o.OnChange}}
	watching, stopWatch := context.WithCancel(context.Background())
	e.stopWatch = stopWatch
	if e.lock, err = lockDir(dir); err != nil {
		stopWatch()
		return nil, err
	}
	defer func() {
		if err != nil {
			now, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			err = joinUnlessNil(err, e.Stop(now))
		}
	}()
	if err := removeRuntime(dir); err != nil { // of a process that was killed
		return nil, fmt.Errorf("remove the stale runtime file: %w", err)
	}
	if err := checkLayout(dir, o.Version); err != nil {
		return nil, err
	}
	if err := e.watchDisk(watching, o.MinFreeBytes); err != nil {
		return nil, err
	}
	if err := e.startEngines(ctx, o); err != nil {
		return nil, err
	}
	if e.nats != nil {
		e.watches.Go(func() { e.nats.watchStore(watching, e.storeFailed) })
	}
	e.runtime = Runtime{PID: os.Getpid(), Started: time.Now().UTC(), Layout: o.Version, Extra: maps.Clone(o.Extra)}
	if e.nats != nil {
		e.runtime.NATSURL = e.nats.URL
	}
	if e.clickHouse != nil {
		at := e.ClickHouse()
		e.runtime.ClickHouseNative, e.runtime.ClickHouseHTTP = at.Native, at.HTTP
	}
	return e, writeRuntime(dir, &e.runtime)
}

func joinUnlessNil(err, more error) error {
	if more == nil {
		return err
	}
	return errors.Join(err, more)
}

// startEngines starts both at once: ClickHouse takes about a second, JetStream as long as it has to recover.
func (e *Engines) startEngines(ctx context.Context, o Options) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var both sync.WaitGroup
	var natsErr, clickHouseErr error
	if !o.NATS.Disabled {
		both.Go(func() {
			e.health.set(ComponentNATS, Starting, nil)
			var secrets map[string]string
			if secrets, natsErr = LoadOrCreateSecrets(e.dir, SystemSecret); natsErr == nil {
				e.nats, natsErr = startNATS(ctx, o.NATS, e.dir, secrets[SystemSecret], o.Log)
			}
			if natsErr != nil {
				e.health.set(ComponentNATS, Failed, natsErr)
				cancel(natsErr) // no use in waiting for the other
				return
			}
			e.health.set(ComponentNATS, Running, nil)
		})
	}
	if !o.ClickHouse.Disabled {
		both.Go(func() {
			e.clickHouse, clickHouseErr = startClickHouse(ctx, o.ClickHouse, e.dir, o.Log, e.health)
			if clickHouseErr != nil {
				cancel(clickHouseErr)
			}
		})
	}
	both.Wait()
	if natsErr != nil && clickHouseErr != nil {
		return context.Cause(ctx) // what came first; the other is its consequence
	}
	return errors.Join(natsErr, clickHouseErr)
}

func (e *Engines) storeFailed(problem error) {
	e.health.set(ComponentNATS, Failed, &EnvError{
		What:  fmt.Sprintf("NATS cannot store messages any more: %v", problem),
		Where: filepath.Join(e.dir, natsDir),
		Do:    "See to it that the disk takes writes, then start again: nothing that was acknowledged is lost, and sources go on where they stopped",
		Err:   problem,
	})
}

func (e *Engines) watchDisk(ctx context.Context, need uint64) error {
	if need == 0 {
		return nil
	}
	free, err := freeBytes(e.dir)
	if err != nil {
		return err
	}
	if err := checkDisk(e.dir, free, need); err != nil {
		return err
	}
	set := func(state State, err error) { e.health.set(ComponentDisk, state, err) }
	set(Running, nil)
	e.watches.Go(func() { (&diskWatch{dir: e.dir, need: need, free: freeBytes, set: set}).run(ctx, diskCheckInterval) })
	return nil
}

// NATS returns how to reach nats-server; nil if it is disabled.
func (e *Engines) NATS() *NATS { return e.nats }

// ClickHouse returns where ClickHouse listens; nil if it is disabled.
func (e *Engines) ClickHouse() *ClickHouse {
	if e.clickHouse == nil {
		return nil
	}
	return &ClickHouse{Native: address(e.clickHouse.native), HTTP: address(e.clickHouse.http)}
}

// Health returns the state of every component that is not disabled.
func (e *Engines) Health() []Component { return e.health.components() }

// SetExtra replaces the Extra field of what [ReadRuntime] returns to other processes.
func (e *Engines) SetExtra(extra map[string]string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped {
		return errors.New("the engines are stopped")
	}
	e.runtime.Extra = maps.Clone(extra)
	return writeRuntime(e.dir, &e.runtime)
}

// KillClickHouse sends SIGKILL to the ClickHouse child, which is then restarted. It is for tests.
func (e *Engines) KillClickHouse() error { return e.SignalClickHouse(os.Kill) }

// SignalClickHouse sends any signal to the ClickHouse child, such as the one that stops it without ending it. It is for tests.
func (e *Engines) SignalClickHouse(s os.Signal) error {
	if e.clickHouse == nil {
		return errors.New("the embedded ClickHouse is disabled")
	}
	return e.clickHouse.signal(s)
}

// killReserve is the part of Stop's time that is kept for killing what has not stopped by itself.
const killReserve = 500 * time.Millisecond

// Stop stops both engines within ctx: ClickHouse finishes the queries that run, and is killed shortly before the deadline
// if it has not ended (no data is lost by that); JetStream closes its files. It then frees the directory. A second Stop
// does nothing.
func (e *Engines) Stop(ctx context.Context) error {
	e.mu.Lock()
	already := e.stopped
	e.stopped = true
	e.mu.Unlock()
	if already {
		return nil
	}
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-killReserve))
		defer cancel()
	}
	errs := []error{removeRuntime(e.dir)}
	e.stopWatch()
	e.watches.Wait()
	var both sync.WaitGroup
	var natsErr, clickHouseErr error
	if e.clickHouse != nil {
		both.Go(func() { clickHouseErr = e.clickHouse.shutDown(ctx) })
	}
	if e.nats != nil {
		both.Go(func() {
			natsErr = e.nats.stop(ctx)
			e.health.set(ComponentNATS, Stopped, natsErr)
		})
	}
	both.Wait()
	return errors.Join(append(errs, natsErr, clickHouseErr, e.lock.Close())...)
}
