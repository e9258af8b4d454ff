// Package postgres reads tables of a PostgreSQL database, and of databases that speak its protocol: what they hold, and then
// every change, by logical replication (pgoutput).
//
// Order. Changes are handed on in the order of their commits, row by row as they arrive, so that a large transaction
// takes no memory. A table is snapshotted in chunks by its key while the stream stands still between two
// transactions; a chunk sees every transaction that was handed on before it (visible.go), so that the last word on a
// record is always the newest. See docs/decisions/0021-snapshots-in-a-standing-stream.md.
//
// Positions (position.go) travel with the data (I2): the newest message of a dataset says where the stream and the
// snapshot of its table go on. The server is told that a change is safe only when it is so for every dataset (I1).
//
// A slot that is not as this source left it (slot.go) is told, and never read as if nothing were missing (I4).
package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/shirecounty/shire/connectors"
)

func init() { connectors.Register("postgres", New) }

// Connector reads one database.
type Connector struct {
	connectors.Settings
	settings settings

	resends      chan *resend
	lookEvery    time.Duration // of watch
	confirmEvery time.Duration
	patience     time.Duration // with a slot that another session reads: it may be our own, cut off and not noticed yet
	silence      time.Duration // of a server that is gone

	mu       sync.Mutex // guards what follows
	told     map[event]bool
	surveyed map[string]bool // datasets that were read by Survey as a whole
}

var (
	_ connectors.Connector = (*Connector)(nil)
	_ connectors.Surveyor  = (*Connector)(nil)
	_ connectors.Resender  = (*Connector)(nil)
)

// New makes the connector of a source of kind "postgres". The error is document.Problems.
func New(s connectors.Settings) (connectors.Connector, error) {
	parsed, err := decodeSettings(s)
	if err != nil {
		return nil, err
	}
	return &Connector{
		Settings: s, settings: parsed, resends: make(chan *resend), told: map[event]bool{}, surveyed: map[string]bool{},
		lookEvery: 10 * time.Second, confirmEvery: 5 * time.Second, patience: 5 * time.Second, silence: 5 * time.Minute,
	}, nil
}

// Run implements connectors.Connector.
func (c *Connector) Run(ctx context.Context, out connectors.Outlet, follow bool) error {
	err := c.run(ctx, out, follow)
	if follow && ctx.Err() != nil {
		return nil
	}
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("source %s: %w", c.Source.Name, ctx.Err())
	}
	c.tellAll(err)
	return fmt.Errorf("source %s: %w", c.Source.Name, err)
}

func (c *Connector) run(ctx context.Context, out connectors.Outlet, follow bool) (err error) {
	r := &run{Connector: c, out: out, follow: follow, relations: map[uint32]*relation{}, byName: map[string]*feed{}, named: map[typeKey]string{}, found: make(chan finding, 1)}
	if err := r.begin(ctx); err != nil {
		r.close()
		return err
	}
	watching, stop := context.WithCancel(ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() { r.watch(watching) })
	err = r.flow(ctx)
	stop()
	watcher.Wait()
	if err == nil || ctx.Err() != nil {
		err = errors.Join(err, r.end(ctx))
	}
	r.close()
	return err
}

// begin opens the connections, proves that everything is as it has to be, and opens the stream.
func (r *run) begin(ctx context.Context) (err error) {
	if r.side, r.address, err = r.connect(ctx); err != nil {
		return err
	}
	stream, err := r.connectStream(ctx, r.address)
	if err != nil {
		return err
	}
	defer func() {
		if r.stream == nil {
			stream.Close(context.WithoutCancel(ctx))
		}
	}()
	if err := r.inspect(ctx, stream); err != nil {
		return err
	}
	var known bool
	if r.state, known, err = openState(r.StateDir); err != nil {
		return fmt.Errorf("what is remembered of the slot cannot be read: %w", err)
	}
	if err := r.resume(ctx); err != nil {
		return err
	}
	if err := r.checkTables(ctx); err != nil {
		return err
	}
	if err := r.checkPublication(ctx); err != nil {
		return err
	}
	if err := r.claim(ctx, stream, known); err != nil {
		return err
	}
	if err := r.claimTables(); err != nil {
		return err
	}
	now, err := currentSnapshot(ctx, r.side)
	if err != nil {
		return err
	}
	for _, f := range r.feeds {
		f.wait = now.running
	}
	if r.stream, err = r.open(ctx, stream); err != nil {
		return err
	}
	// The present end is where the log ends now, after everything that was committed before this run; and what the tables were
	// found to be is compared with what the stream has made of them by then.
	if r.target, err = endOfLog(ctx, r.side); err != nil {
		return err
	}
	r.pending = &finding{at: r.target, tables: map[*feed]*table{}}
	for _, f := range r.feeds {
		r.pending.tables[f] = f.table
	}
	r.solveAll()
	r.tellGaps()
	return nil
}

// event is a problem that an operator was told of.
type event struct{ dataset, unit, problem string }

// tell notifies the operator.
func (c *Connector) tell(no *refusal, notice bool) {
	c.mu.Lock()
	c.told[event{no.dataset, no.unit, no.problem}] = true
	c.mu.Unlock()
	c.Notify(connectors.Event{Source: c.Source.Name, Dataset: no.dataset, Unit: no.unit, Problem: no.problem, Message: no.message, Notice: notice})
}

// tellAll tells of every refusal in an error.
func (c *Connector) tellAll(err error) {
	if no, ok := err.(*refusal); ok {
		c.tell(no, false)
		return
	}
	switch err := err.(type) {
	case interface{ Unwrap() []error }:
		for _, part := range err.Unwrap() {
			c.tellAll(part)
		}
	case interface{ Unwrap() error }:
		c.tellAll(err.Unwrap())
	}
}

// solve takes back what was told.
func (c *Connector) solve(e event) {
	c.mu.Lock()
	was := c.told[e]
	delete(c.told, e)
	c.mu.Unlock()
	if was {
		c.Notify(connectors.Event{Source: c.Source.Name, Dataset: e.dataset, Unit: e.unit, Problem: e.problem, Message: "solved", Solved: true})
	}
}

// solveAll: a run that has begun has met none of what kept the ones before it from beginning.
func (c *Connector) solveAll() {
	c.mu.Lock()
	told := make([]event, 0, len(c.told))
	for e := range c.told {
		told = append(told, e)
	}
	c.mu.Unlock()
	for _, e := range told {
		if e.problem != "slot_lag" { // watch knows
			c.solve(e)
		}
	}
}
