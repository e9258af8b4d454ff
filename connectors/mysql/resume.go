package mysql

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/change"
)

// gap is a hole between what the bus has and what the server can still tell.
type gap struct {
	datasets []*dataset
	reason   string
	purged   bool // the server no longer has the place, which says nothing about what comes behind it
}

func (g *gap) Error() string { return "the binlog has a gap: " + g.reason }

// detour is what was tried after a gap; it is void when the dataset has moved on.
type detour struct {
	at change.Position
	detourStep
}

type detourStep int

const (
	behind detourStep = iota + 1 // begin behind the transaction that was handed on last, which is gone, instead of before it
	afresh                       // begin now, with a snapshot
)

// over decides how to go on after a gap. Nothing is ever passed over in silence.
func (c *Connector) over(ctx context.Context, out connectors.Outlet, g *gap) error {
	for _, d := range g.datasets {
		at, err := safeOf(ctx, out, d.Name)
		if err != nil {
			return err
		}
		if g.purged && d.spare {
			c.gaps[d.Name] = detour{at, behind}
			continue
		}
		p := problem{d.Name, d.table.String(), "binlog_gap"}
		if c.settings.OnGap == stop {
			c.tell(p, "the binlog cannot be followed from where this table was read to: %s. Changes in between are lost to the binlog, not to the table: give the table another label (snapshot: ...) or write on_gap: snapshot, and it is snapshotted again", g.reason)
			return fmt.Errorf("source %s, table %s: %w; give the table another label (snapshot: ...) or write on_gap: snapshot", c.Source.Name, d.table, g)
		}
		c.tell(p, "the binlog cannot be followed from where this table was read to: %s. The table is snapshotted again, as on_gap says", g.reason)
		c.gaps[d.Name] = detour{at, afresh}
	}
	return nil
}

// resume finds where each dataset stands, and where reading has to begin.
func (r *run) resume(ctx context.Context) (err error) {
	if r.end, err = r.server.end(ctx); err != nil {
		return err
	}
	if r.last, err = r.present(ctx); err != nil {
		return err
	}
	marks, err := r.safeMarks(ctx)
	if err != nil {
		return err
	}
	var pending []prepared
	for _, d := range r.datasets {
		if err := r.standing(ctx, d, marks); err != nil {
			return err
		}
		if err := r.begin(d); err != nil {
			return err
		}
		if r.state == nil {
			r.state = d.start.clone()
		}
		r.state = r.state.meet(d.start)
		pending = append(pending, d.from.position.At.Pending...)
	}
	for _, p := range pending { // those prepared behind the beginning come again by themselves
		if g, err := parseGTID(r.server.flavor, p.GTID); err == nil && r.state.has(g) {
			r.prepared[p.XID] = &preparedTx{prepared: p}
		}
	}
	return nil
}

// present is a mark for the binlog's present end.
func (r *run) present(ctx context.Context) (mark, error) {
	created, err := r.created(ctx, r.end.at.file)
	return mark{Before: r.end.done.String(), Log: r.end.at.file, Created: created}, err
}

// standing finds where one dataset stands: as its newest message says, or further on where everything is known to be safe.
func (r *run) standing(ctx context.Context, d *dataset, marks map[string]mark) error {
	raw, err := safeOf(ctx, r.out, d.Name)
	if err != nil {
		return err
	}
	if r.gaps[d.Name].at != raw {
		delete(r.gaps, d.Name)
	}
	p, ok := parsePosition(raw)
	d.round, d.key, d.done, d.rows, d.resumed = p.Round, p.Key, p.Done, p.Done || p.Sweep, true
	fresh := !ok || p.Label != d.table.Label || r.gaps[d.Name] == (detour{raw, afresh})
	if ok && fresh || !ok && raw != "" { // the bus holds records of an earlier snapshot, or of another kind of source
		d.round, d.key, d.rows, d.done = p.Round+1, nil, false, false
	}
	if fresh {
		d.from = &from{position: position{At: r.last, N: allOf}, done: r.end.done.clone()}
		return nil
	}
	f := &from{position: p}
	if f.done, err = parseGTIDs(r.server.flavor, p.At.Before); err != nil {
		return &gap{datasets: []*dataset{d}, reason: "the position was written for a server of another make"}
	}
	if p.At.In != "" {
		if f.in, err = parseGTID(r.server.flavor, p.At.In); err != nil {
			return &gap{datasets: []*dataset{d}, reason: "the position was written for a server of another make"}
		}
		f.n, f.prove = p.N, true
		if p.N == allOf {
			f.done.add(f.in)
		}
	}
	d.from = f
	for _, m := range marks {
		if err := f.advance(r.server.flavor, m); err != nil {
			return err
		}
	}
	if !f.done.within(r.end.done) || f.prove && !r.end.done.has(f.in) {
		return &gap{datasets: []*dataset{d}, reason: "the server's binlog ends before what was read from it; it was restored from a backup, reset or replaced"}
	}
	if at := f.position.At; at.In == "" { // no transaction can prove it: the log file has to be the same one still
		created, err := r.created(ctx, at.Log)
		if err == nil && created != at.Created {
			err = &gap{datasets: []*dataset{d}, reason: "the log file in which reading began is no longer there; it was purged, or the server was reset or replaced"}
		}
		return err
	}
	return nil
}

// advance moves on to a mark up to which everything is safe, when that is further.
func (f *from) advance(v flavor, m mark) error {
	done, err := parseGTIDs(v, m.Before)
	if err != nil {
		return nil // of a server of another make, before
	}
	var in gtid
	if m.In != "" {
		if in, err = parseGTID(v, m.In); err != nil {
			return nil
		}
		done.add(in)
	}
	whole := f.done.clone()
	if f.prove {
		whole.add(f.in)
	}
	if whole.within(done) && !done.within(f.done) {
		p := f.position
		p.At, p.N = m, allOf
		*f = from{position: p, done: done, in: in, n: allOf, prove: m.In != ""}
	}
	return nil
}

// begin is where reading has to begin for a dataset: before the transaction that was handed on last, so that it can be
// proven; behind it, when the server has it no longer and all of it was handed on.
func (r *run) begin(d *dataset) (err error) {
	f := d.from
	if r.gaps[d.Name].detourStep == behind {
		f.prove = false
	}
	if d.start, d.spare = f.done, false; f.prove {
		d.start, err = parseGTIDs(r.server.flavor, f.position.At.Before)
		d.spare = f.position.N == allOf
	}
	return err
}

// safeFile notes up to where everything was safe, for tables that nothing happens in: their newest message grows old, and
// the binlog behind it is purged. It can be lost: then only a gap may be told that is none.
const safeFile = "safe.json"

type safeNote struct {
	Mark      mark                       `json:"mark"`
	Positions map[string]change.Position `json:"positions"` // of each dataset then: a bus that has others has lost or gained messages
}

// safeMarks are the marks up to which everything was safe, by whoever says so.
func (r *run) safeMarks(ctx context.Context) (map[string]mark, error) {
	marks := map[string]mark{}
	var note safeNote
	data, err := os.ReadFile(filepath.Join(r.StateDir, safeFile))
	if err == nil {
		err = json.Unmarshal(data, &note)
	}
	noted := err == nil
	for _, d := range r.datasets {
		raw, err := safeOf(ctx, r.out, d.Name)
		if err != nil {
			return nil, err
		}
		if p, ok := parsePosition(raw); ok && p.Safe != nil {
			marks[d.Name] = *p.Safe
		}
		noted = noted && note.Positions[d.Name] == raw
	}
	if noted {
		marks[""] = note.Mark
	}
	return marks, nil
}

// note makes everything safe, and writes down up to where it is.
func (r *run) note(ctx context.Context) error {
	r.safeAt = time.Now()
	if r.safe != nil && r.safe.In == r.last.In {
		return nil
	}
	if err := r.out.Flush(ctx); err != nil { // I1
		return err
	}
	// A table that is being snapshotted, or has more on the bus than the stream has passed, is not told by one mark.
	if r.snapshotting() != nil || r.last.In == "" || slices.ContainsFunc(r.datasets, func(d *dataset) bool { return d.from != nil || d.renew }) {
		return nil
	}
	m := r.last
	r.safe = &m
	r.version++
	n := safeNote{Mark: m, Positions: map[string]change.Position{}}
	for _, d := range r.datasets {
		n.Positions[d.Name] = r.out.Safe(d.Name)
	}
	data, err := json.Marshal(n)
	if err == nil {
		err = os.MkdirAll(r.StateDir, 0o700)
	}
	path := filepath.Join(r.StateDir, safeFile)
	if err == nil {
		err = os.WriteFile(path+".new", data, 0o600)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("note what is safe: %w", err)
	}
	return nil
}

// proven compares a transaction that comes again with what was noted of it.
func (r *run) proven(g gtid, at int64) error {
	for _, d := range r.datasets {
		f := d.from
		if f == nil || !f.prove {
			continue
		}
		same := g == f.in
		other := !same && g.source == f.in.source && g.domain == f.in.domain && g.number >= f.in.number
		if same && f.position.At.Time != at || other {
			return &gap{datasets: []*dataset{d}, reason: "the server's binlog holds another transaction under the name of the one that was read last; it was restored from a backup, reset or replaced"}
		}
		if same {
			f.prove = false
		}
	}
	return nil
}

// asGap is a gap where the server's error says so.
func (r *run) asGap(err error) error {
	if code(err) != binlogFatal || r.tx != nil || r.last.In != "" || !saysGone(err.Error()) {
		return err // not at the very beginning, or not this
	}
	g := &gap{reason: "the server no longer has that part of it (it was purged)", purged: true}
	for _, d := range r.datasets { // those that have to begin first
		if d.start.within(r.state) {
			g.datasets = append(g.datasets, d)
		}
	}
	if len(g.datasets) == 0 { // servers took turns, so that no dataset is behind in all of their counts
		g.datasets = r.datasets
	}
	return g
}
