// Package mysql reads MySQL and MariaDB by their binlog, as a replica does, and the tables themselves for a first snapshot.
//
// Order. All tables of a source come in one stream. A chunk of a snapshot is read between two transactions while the stream
// stands still, in a view that includes every transaction handed on: what the view does not see comes behind it, so the
// last word on a record is the newest, and no chunk waits for a lock.
//
// Resuming. The newest message of each dataset says how far the binlog and the snapshot got (position.go). Reading begins
// at the least of them, and each dataset leaves out what it has. The transaction that was handed on last comes again and
// is compared by its time: a server that was restored, reset or replaced is noticed, and so is a binlog that was purged.
//
// Rows that changed without a row in the binlog (TRUNCATE, DROP, a statement logged as text, a new default) have the table
// snapshotted again; afterwards what the bus holds and the table does not is deleted (sweep.go).
package mysql

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/change"
)

func init() { connectors.Register("mysql", New) }

// Connector reads one server.
type Connector struct {
	connectors.Settings
	settings settings
	orders   chan *order       // of Resend, to whatever Run goes on
	gaps     map[string]detour // by dataset: what was tried after a gap
	told     map[problem]bool

	safeEvery time.Duration // how often what is safe is noted
	turn      int           // events of the stream between two chunks of a snapshot
}

var (
	_ connectors.Connector = (*Connector)(nil)
	_ connectors.Surveyor  = (*Connector)(nil)
	_ connectors.Resender  = (*Connector)(nil)
)

// New makes the connector of a source of kind "mysql". The error is document.Problems.
func New(s connectors.Settings) (connectors.Connector, error) {
	parsed, err := decodeSettings(s)
	if err != nil {
		return nil, err
	}
	return &Connector{Settings: s, settings: parsed, orders: make(chan *order), told: map[problem]bool{}, safeEvery: 10 * time.Second, turn: 5000}, nil
}

// Run implements connectors.Connector.
func (c *Connector) Run(ctx context.Context, out connectors.Outlet, follow bool) error {
	c.gaps = map[string]detour{}
	err := c.run(ctx, out, follow)
	if !follow || ctx.Err() == nil {
		return err
	}
	// The end of a followed source: what was appended is made safe, then the run has ended well.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return out.Flush(last)
}

func (c *Connector) run(ctx context.Context, out connectors.Outlet, follow bool) error {
	for {
		err := c.session(ctx, out, follow)
		var g *gap
		if !errors.As(err, &g) {
			if err != nil && ctx.Err() == nil {
				return fmt.Errorf("source %s: %w", c.Source.Name, err)
			}
			return err
		}
		// What was handed on is safe before its positions are looked at again.
		if err := out.Flush(ctx); err != nil {
			return err
		}
		if err := c.over(ctx, out, g); err != nil {
			return err
		}
	}
}

// session is one connection to the binlog.
func (c *Connector) session(ctx context.Context, out connectors.Outlet, follow bool) (err error) {
	v, err := c.settings.connect(ctx)
	if err != nil {
		return err
	}
	defer v.close()
	r := &run{Connector: c, out: out, server: v, follow: follow, tables: map[string]*dataset{}, prepared: map[string]*preparedTx{}}
	if err := r.prepare(ctx); err != nil {
		return err
	}
	if err := r.resume(ctx); err != nil {
		return err
	}
	if r.dump, err = r.open(ctx, r.state, c.settings.ServerID); err != nil {
		return r.asGap(err)
	}
	defer r.dump.close()
	return r.asGap(r.read(ctx))
}

// run is one session of a Run.
type run struct {
	*Connector
	out      connectors.Outlet
	server   *server
	dump     *dump
	follow   bool
	datasets []*dataset
	tables   map[string]*dataset // by schema.table as the binlog names it

	end     end   // of the binlog when the session began
	state   gtids // handed on
	reached place // end of the last transaction handed on; none before the first
	last    mark  // the boundary behind it
	heard   bool  // the server sends its binlog
	heardAt time.Time
	tx      *transaction
	budget  int // events that the stream has before the next chunk of a snapshot
	version int // raised when positions read differently

	safe     *mark
	safeAt   time.Time
	prepared map[string]*preparedTx // XA transactions by their id
}

// problem is something told to the operator.
type problem struct{ dataset, unit, code string }

// notices are worth a look, but leave nothing unread that was meant to be read.
var notices = map[string]bool{
	"binlog_expiring": true, "key_without_index": true, "cascade_not_logged": true, "row_metadata_minimal": true, "snapshot_again": true,
}

func (c *Connector) tell(p problem, format string, args ...any) {
	c.told[p] = true
	c.Notify(connectors.Event{Source: c.Source.Name, Dataset: p.dataset, Unit: p.unit, Problem: p.code, Message: fmt.Sprintf(format, args...), Notice: notices[p.code]})
}

// solved takes a problem back. It is said even of one that only an earlier run told.
func (c *Connector) solved(p problem) {
	delete(c.told, p)
	c.Notify(connectors.Event{Source: c.Source.Name, Dataset: p.dataset, Unit: p.unit, Problem: p.code, Message: "solved", Solved: true})
}

// prepare proves that the server, the tables and the contracts fit together.
func (r *run) prepare(ctx context.Context) error {
	var schemas []string
	for _, t := range r.settings.Tables {
		schemas = append(schemas, t.Schema)
	}
	not := problem{code: "server_not_ready"}
	if err := r.server.check(ctx, schemas); err != nil {
		if errors.Is(err, errServer) {
			r.tell(not, "%v", err)
		}
		return err
	}
	r.solved(not)
	for _, t := range r.settings.Tables {
		d := &dataset{Dataset: r.Contracts[t.Dataset], relation: relation{table: t}}
		r.datasets = append(r.datasets, d)
		r.tables[t.String()] = d
		not := problem{t.Dataset, t.String(), "table_not_ready"}
		if err := r.describe(ctx, d); err != nil {
			if errors.Is(err, errServer) {
				r.tell(not, "the table %s: %v", t, err)
			}
			return fmt.Errorf("the table %s: %w", t, err)
		}
		r.solved(not)
	}
	return r.advise(ctx)
}

// describe reads the catalogue of a dataset's table.
func (r *run) describe(ctx context.Context, d *dataset) error {
	t, err := r.server.table(ctx, d.table.Schema, d.table.Name)
	if err != nil {
		return err
	}
	keyer, err := connectors.NewKeyer(d.Dataset, t.names())
	if err != nil {
		return fmt.Errorf("%w: %w; mend the contract or the table", errServer, err)
	}
	if err := r.out.Shape(ctx, d.Name, t.shape()); err != nil {
		return err
	}
	d.now, d.nowKeyer, d.layoutOf = t, keyer, nil
	return nil
}

// advise tells what will hurt later.
func (r *run) advise(ctx context.Context) error {
	v := r.server
	advice := func(p problem, bad bool, format string, args ...any) {
		if bad {
			r.tell(p, format, args...)
		} else {
			r.solved(p)
		}
	}
	keep, err := v.expiry(ctx)
	if err != nil {
		return err
	}
	advice(problem{code: "binlog_expiring"}, keep > 0 && keep < 24*time.Hour, "the server keeps its binlog for %s only; when Shire is away for longer, changes are lost: set %s to a week (604800) or more", keep, "binlog_expire_logs_seconds")
	metadata, err := v.global(ctx, "binlog_row_metadata")
	if err != nil {
		return err
	}
	advice(problem{code: "row_metadata_minimal"}, metadata != "FULL", "the binlog does not name the columns, so that rows written before a change of a table may not be readable after it; run SET GLOBAL binlog_row_metadata=FULL where the server has it (MariaDB 10.5, MySQL 8.0)")
	for _, d := range r.datasets {
		columns := d.keyColumns()
		advice(problem{d.Name, d.table.String(), "key_without_index"}, !d.now.sorts(columns), "no index brings the rows in the order of the key (%v): each chunk of a snapshot sorts the whole table; create one", columns)
		advice(problem{d.Name, d.table.String(), "cascade_not_logged"}, d.now.cascade != "", "the foreign key %s changes rows by CASCADE or SET NULL, of which the binlog tells nothing: run shire reconcile for this source regularly", d.now.cascade)
	}
	return nil
}

// safeOf is the newest position of a dataset on the bus.
func safeOf(ctx context.Context, out connectors.Outlet, name string) (change.Position, error) {
	at, err := out.Resume(ctx, name)
	if err != nil {
		return "", fmt.Errorf("dataset %s: find where to resume: %w", name, err)
	}
	return at, nil
}
