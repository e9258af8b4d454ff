// Package query reads tables of databases by asking for them again and again: Oracle, SQL Server, PostgreSQL, MySQL and
// MariaDB, and with a dialect of a screenful whatever else has a database/sql driver. Nothing is ever written to the
// department's database.
//
// Order. A table is read by its watermark (a time of change, a rising number, a rowversion) and then by its key, a chunk at
// a time, from the beginning at first and then from an overlap behind the newest row: a transaction that commits late
// brings an older watermark. What a row was when it was last said is known from the ledger (ledger.go), a fold over the
// dataset's own messages, so that a row that is read again and has not changed is not said again. That makes every place
// to resume from a right one, as long as it is not too far ahead; the position only says how little has to be read again.
//
// Deletions leave no row behind. They are found by comparing the table's keys with those of the ledger (sweep.go), or
// told by a column of the row, or by an outbox table (outbox.go).
//
// Values become text inside the database, by the type of their column, so that they are the same in every poll.
package query

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shirecounty/shire/connectors"
)

func init() { connectors.Register("query", New) }

// Connector polls the tables of one database.
type Connector struct {
	connectors.Settings
	settings settings
	requests chan *request

	now  func() time.Time
	wait func(context.Context, time.Duration, <-chan *request) *request

	told map[string]bool // events of this run that are not solved
}

var (
	_ connectors.Connector = (*Connector)(nil)
	_ connectors.Surveyor  = (*Connector)(nil)
	_ connectors.Resender  = (*Connector)(nil)
)

// New makes the connector of a source of kind "query". The error is document.Problems.
func New(s connectors.Settings) (connectors.Connector, error) {
	parsed, err := decodeSettings(s)
	if err != nil {
		return nil, err
	}
	return &Connector{Settings: s, settings: parsed, requests: make(chan *request), now: time.Now, wait: wait}, nil
}

// Run implements connectors.Connector. With follow, what is wrong with the database or with a table is told, and tried
// again at the next poll; without, it is the error of the run, after the other tables have been read.
func (c *Connector) Run(ctx context.Context, out connectors.Outlet, follow bool) error {
	err := c.run(ctx, out, follow)
	if !follow || ctx.Err() == nil {
		return err
	}
	// The end of a followed source: what was appended is made safe, then the run has ended well.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return out.Flush(last)
}

func (c *Connector) run(ctx context.Context, out connectors.Outlet, follow bool) (err error) {
	c.told = map[string]bool{}
	l, err := openLedger(c.StateDir)
	if err != nil {
		return fmt.Errorf("source %s: %w", c.Source.Name, err)
	}
	defer l.close()
	r := &run{Connector: c, out: out, ledger: l, follow: follow}
	defer r.disconnect()
	defer func() {
		for _, asked := range r.waiting {
			asked.done <- cmp.Or(err, errors.New("the run that was to say the records again has ended"))
		}
	}()
	for _, spec := range c.settings.tables {
		r.readers = append(r.readers, r.reader(spec))
	}
	for {
		if err := r.round(ctx); err != nil {
			return err
		}
		var asked *request
		if follow {
			asked = c.wait(ctx, c.settings.poll, c.requests)
		} else {
			asked = pending(c.requests)
		}
		for ; asked != nil; asked = pending(c.requests) {
			r.waiting = append(r.waiting, asked)
		}
		if err := r.serve(ctx); err != nil {
			return err
		}
		if !follow || ctx.Err() != nil {
			return nil
		}
	}
}

// wait ends with the time, with ctx, or with a request.
func wait(ctx context.Context, d time.Duration, requests <-chan *request) *request {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case asked := <-requests:
		return asked
	}
	return nil
}

func pending(requests <-chan *request) *request {
	select {
	case asked := <-requests:
		return asked
	default:
		return nil
	}
}

// run is one call of Run.
type run struct {
	*Connector
	out     connectors.Outlet
	ledger  *ledger
	follow  bool
	db      *session // nil while there is no connection
	readers []reader
	waiting []*request
}

// reader reads one table for one dataset.
type reader interface {
	// poll reads what is new.
	poll(ctx context.Context) error
	// again has the next poll begin with what is safe: the one before was broken off.
	again()
	// resend says the records again.
	resend(ctx context.Context, keys []string) error
	table() tableSettings
}

func (r *run) reader(spec tableSettings) reader {
	if spec.outbox != nil {
		return &outboxReader{run: r, spec: spec, dataset: r.Contracts[spec.dataset]}
	}
	return &tableReader{run: r, spec: spec, dataset: r.Contracts[spec.dataset]}
}

// round polls every table once. Only what ends the run is returned.
func (r *run) round(ctx context.Context) error {
	var refused []error
	for _, p := range r.readers {
		err := r.attempt(ctx, p, func() error { return p.poll(ctx) })
		var no *refusal
		switch {
		case errors.As(err, &no):
			refused = append(refused, fmt.Errorf("source %s, table %s: %w", r.Source.Name, p.table().name, err))
		case err != nil:
			return fmt.Errorf("source %s, table %s: %w", r.Source.Name, p.table().name, err)
		}
	}
	if r.follow {
		return nil
	}
	return errors.Join(refused...)
}

// attempt does something that asks the database for a table, and tells what is wrong with the table or the database.
func (r *run) attempt(ctx context.Context, p reader, do func() error) error {
	had := r.db != nil
	err := r.connect(ctx)
	if err == nil {
		err = do()
	}
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	unit := p.table()
	if err == nil {
		r.solvedAll(unit.dataset, unit.name)
		return nil
	}
	p.again()
	var no *refusal
	if !errors.As(err, &no) {
		return err
	}
	if no.lost {
		r.disconnect()
	}
	if no.problem == "unreachable" && had {
		return r.attempt(ctx, p, do) // a connection that was idle may be dead although the server is well
	}
	r.tell(unit.dataset, unit.name, no.problem, no.message)
	return err
}

func (r *run) connect(ctx context.Context) (err error) {
	if r.db != nil {
		return nil
	}
	r.db, err = r.settings.connect(ctx)
	return err
}

func (r *run) disconnect() {
	if r.db != nil {
		r.db.close()
		r.db = nil
	}
}

// refusal is what keeps a table from being read, in words for the operator. The message holds no value of a row (I7),
// which is why the database's own words are not in it: they may quote one.
type refusal struct {
	problem, message string
	lost             bool // the connection is of no more use
	cause            error
}

func (r *refusal) Error() string { return r.message }
func (r *refusal) Unwrap() error { return r.cause }

func refuse(problem, format string, args ...any) *refusal {
	return &refusal{problem: problem, message: fmt.Sprintf(format, args...)}
}

// notices are worth a look, but leave nothing unread.
var notices = map[string]bool{"watermark_not_indexed": true, "null_watermark": true, "watermark_ahead": true}

// passing are the problems that are gone when the table could be read.
var passing = []string{
	"unreachable", "login_failed", "tls_failed", "no_such_database", "no_such_table", "no_right_to_read", "no_such_column", "unfit_watermark",
	"unfit_key", "slow_query", "locked", "database_error", "unfit_outbox",
}

// tell notifies the operator, once until it is solved.
func (c *Connector) tell(dataset, unit, problem, message string) {
	key := dataset + "\x00" + unit + "\x00" + problem
	if c.told[key+"\x00"+message] {
		return
	}
	c.told[key], c.told[key+"\x00"+message] = true, true
	c.Notify(connectors.Event{Source: c.Source.Name, Dataset: dataset, Unit: unit, Problem: problem, Message: message, Notice: notices[problem]})
}

// solved takes back what tell said in this run.
func (c *Connector) solved(dataset, unit, problem string) {
	key := dataset + "\x00" + unit + "\x00" + problem
	if !c.told[key] {
		return
	}
	for k := range c.told {
		if len(k) >= len(key) && k[:len(key)] == key {
			delete(c.told, k)
		}
	}
	c.Notify(connectors.Event{Source: c.Source.Name, Dataset: dataset, Unit: unit, Problem: problem, Message: "solved", Solved: true})
}

func (c *Connector) solvedAll(dataset, unit string) {
	for _, problem := range passing {
		c.solved(dataset, unit, problem)
	}
}
