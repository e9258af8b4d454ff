package mysql

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
)

// dataset is one dataset and how far it got.
type dataset struct {
	*contract.Dataset
	relation

	layoutOf []byte // the table map that the layout is of
	layout   []field
	columns  []string // of the layout
	keyer    *connectors.Keyer

	from  *from // what the bus had before; nil once the stream has passed it
	start gtids // behind which reading had to begin for it
	spare bool  // it can begin one transaction later

	round   int      // of the snapshot
	key     []string // of the last row that was snapshotted
	resumed bool     // by an earlier session
	rows    bool     // all rows were said
	done    bool
	renew   bool // the table has to be snapshotted again at the next boundary

	n, skip int64 // changes in the present transaction; how many of them the bus has
	at      positions
	version int // of the run, that the positions' beginning was made for

	before, after row // of an update, used again
}

// relation is a table as it now is.
type relation struct {
	table    connectors.Table
	now      *table
	nowKeyer *connectors.Keyer
}

// from is how far a dataset got before this session.
type from struct {
	position position
	done     gtids // transactions that were handed on whole
	in       gtid  // the transaction after them of which N changes were
	n        int64 //
	prove    bool  // in has to come with the time that was noted
}

// keyColumns are the table's columns that make the key.
func (rel *relation) keyColumns() []string {
	var names []string
	for _, i := range rel.nowKeyer.Columns() {
		names = append(names, rel.now.columns[i].name)
	}
	return names
}

// has is how many changes of a transaction the bus has.
func (d *dataset) has(g gtid) int64 {
	switch {
	case d.from == nil:
		return 0
	case d.from.done.has(g):
		return math.MaxInt64
	case g == d.from.in:
		return d.from.n
	}
	return 0
}

// place is what a position of the dataset says of the stream now.
func (r *run) place(d *dataset) position {
	p := position{At: r.last, N: allOf}
	switch {
	case d.from != nil && (r.tx == nil || d.skip == math.MaxInt64):
		p.At, p.N = d.from.position.At, d.from.position.N
	case r.tx != nil:
		if p.At, p.N = r.tx.mark(), d.n; d.from != nil { // it comes before others that the dataset has
			p.At.Before = r.state.join(d.from.done).String()
		}
	}
	return p
}

// position is where the dataset stands with the change that is being said.
func (r *run) position(d *dataset) change.Position {
	if d.version != r.version {
		d.at.restart()
		d.version = r.version
	}
	n := int64(allOf)
	if r.tx != nil && d.skip != math.MaxInt64 {
		n = d.n
	} else if d.from != nil {
		n = d.from.position.N
	}
	return d.at.at(func() position {
		p := r.place(d)
		p.Safe, p.Label, p.Round, p.Sweep, p.Done, p.N = r.safe, d.table.Label, d.round, d.rows && !d.done, d.done, 0
		return p
	}, n, d.key)
}

// say hands on a change of the stream, unless the bus has it (I2).
func (r *run) say(ctx context.Context, d *dataset, c change.Change) error {
	d.n++
	if d.n <= d.skip {
		return nil
	}
	c.Row, c.Time, c.Position = d.n, time.Unix(r.tx.time, 0).UTC(), r.position(d)
	return r.out.Append(ctx, d.Name, d.table.String(), d.columns, c)
}

// stand is what a snapshot says: it leaves the stream where it is.
func (r *run) stand(ctx context.Context, d *dataset, columns []string, c change.Change) error {
	c.Position = r.position(d)
	return r.out.Append(ctx, d.Name, d.table.String(), columns, c)
}

// again has the table snapshotted again, from the next boundary on.
func (r *run) again(d *dataset, why string) {
	d.renew = true
	r.tell(problem{d.Name, d.table.String(), "snapshot_again"}, "%s; the table is snapshotted again", why)
}

// newRound begins a snapshot. What was said before is on the bus in messages of its own, so that the sweep can tell it
// from what this round says.
func (r *run) newRound(ctx context.Context, d *dataset) error {
	if err := r.out.Flush(ctx); err != nil {
		return err
	}
	d.round++
	d.renew, d.key, d.rows, d.done = false, nil, false, false
	d.at.restart()
	return nil
}

func (r *run) snapshotting() *dataset {
	if i := slices.IndexFunc(r.datasets, func(d *dataset) bool { return !d.done }); i >= 0 {
		return r.datasets[i]
	}
	return nil
}
