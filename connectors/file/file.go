// Package file reads drop folders: departments that export CSV or XLSX files into a directory.
//
// Order. The files of a dataset are read in natural order of their names (part-2 before part-10), except that a
// file whose reading was interrupted is finished first. One file is read at a time.
//
// Delivery changes: every row is an upsert, published with op Snapshot: "the record as it stands in this file".
// Nothing has to be remembered per record, the warehouse keeps the last version, and a corrected row is simply a
// later one. A file with the content of one that was read before, under whatever name, is recognised and skipped.
//
// Delivery snapshot: a file is the whole dataset. It is compared with the record keys and row hashes folded from
// the dataset's own messages, and only the difference is published: Create, Update, Delete.
//
// Rows carry no time: a file's modification time changes with every copy and says nothing about the record.
//
// What is remembered (ledger.go) is rebuilt from the bus when it is lost.
package file

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
)

func init() { connectors.Register("file", New) }

// Connector reads one drop folder.
type Connector struct {
	connectors.Settings
	settings settings
	dir      string

	now  func() time.Time
	wait func(context.Context, time.Duration)

	looked  map[string]look  // when each file was first seen as it is now
	refused map[string]stamp // files that cannot be read as they are now; not tried again until they change
	told    map[string]bool  // events that are worth telling once per run

	done, total atomic.Int64
}

var _ connectors.Connector = (*Connector)(nil)

// New makes the connector of a source of kind "file". The error is document.Problems.
func New(s connectors.Settings) (connectors.Connector, error) {
	parsed, err := decodeSettings(s)
	if err != nil {
		return nil, err
	}
	return &Connector{Settings: s, settings: parsed, dir: s.Resolve(parsed.Directory), now: time.Now, wait: wait}, nil
}

// Progress is how many bytes of how many have been read, of the files found so far.
func (c *Connector) Progress() (doneBytes, totalBytes int64) { return c.done.Load(), c.total.Load() }

// ErrDirectory is returned by a run that does not follow when the drop folder cannot be listed.
var ErrDirectory = errors.New("the drop folder cannot be read")

// Run implements connectors.Connector. With follow, a missing folder is waited for.
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

func (c *Connector) run(ctx context.Context, out connectors.Outlet, follow bool) error {
	c.looked, c.refused, c.told = map[string]look{}, map[string]stamp{}, map[string]bool{}
	c.done.Store(0)
	c.total.Store(0)
	l, err := openLedger(c.StateDir)
	if err != nil {
		return fmt.Errorf("source %s: %w", c.Source.Name, err)
	}
	defer l.close()
	// What a killed run was unpacking is of no use. The ledger's lock says that no other run is here.
	if err := errors.Join(os.RemoveAll(c.unpackDir()), os.MkdirAll(c.unpackDir(), 0o700)); err != nil {
		return fmt.Errorf("source %s: %w", c.Source.Name, err)
	}
	r := &run{Connector: c, out: out, ledger: l, resume: map[string]position{}}
	for _, name := range c.Contracts.Names() {
		if err := r.begin(ctx, c.Contracts[name]); err != nil {
			return err
		}
	}
	for {
		if err := r.pass(ctx, follow); err != nil {
			return err
		}
		if !follow {
			return nil
		}
		c.wait(ctx, c.settings.Poll)
		if ctx.Err() != nil {
			return nil
		}
	}
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// unpackDir is where large workbooks are unpacked. They hold personal data, so it is not the system's folder (I7).
var _ connectors.Keeper = (*Connector)(nil)

// Keeps implements connectors.Keeper: the message that ends a file says that it was read. Without it a ledger that was lost
// would take the file for a new one, and say what is old as if it were new.
func (c *Connector) Keeps(_, last change.Position) bool {
	at, ok := parsePosition(last)
	return ok && at.End
}

func (c *Connector) unpackDir() string { return filepath.Join(c.StateDir, "unpack") }

// run is one call of Run.
type run struct {
	*Connector
	out    connectors.Outlet
	ledger *ledger
	resume map[string]position // by dataset: the file that was interrupted, until it has been taken up
}

// begin brings the ledger up to the bus and finds where the dataset was interrupted.
func (r *run) begin(ctx context.Context, d *contract.Dataset) error {
	if err := r.ledger.catchUp(ctx, r.out, d); err != nil {
		return fmt.Errorf("source %s, dataset %s: read back what is on the bus: %w", r.Source.Name, d.Name, err)
	}
	p, err := r.out.Resume(ctx, d.Name)
	if err != nil {
		return fmt.Errorf("source %s, dataset %s: find where to resume: %w", r.Source.Name, d.Name, err)
	}
	// I2: the last row on the bus says which file was being read, and how far.
	if at, ok := parsePosition(p); ok && !at.End {
		r.resume[d.Name] = at
	}
	return nil
}

// pass looks into the folder once and reads what is complete and new.
func (r *run) pass(ctx context.Context, follow bool) error {
	found, err := r.list(follow)
	if err != nil {
		r.tell("", "", "directory_missing", fmt.Sprintf("the drop folder %s cannot be listed (%v); create it, or mend with.directory", r.dir, cause(err)))
		if follow {
			return nil
		}
		return fmt.Errorf("source %s: %w: %s: %v; create it, or mend with.directory", r.Source.Name, ErrDirectory, r.dir, cause(err))
	}
	r.solved("", "", "directory_missing")
	for _, dataset := range r.Contracts.Names() {
		files, err := r.pending(found[dataset], r.Contracts[dataset])
		if err != nil {
			return err
		}
		for _, f := range files {
			if err := r.take(ctx, f); err != nil {
				return err
			}
		}
	}
	return nil
}

// take reads one file. Only what ends the run is returned; what is wrong with the file is told and the rest goes on.
func (r *run) take(ctx context.Context, f *drop) error {
	err := r.read(ctx, f)
	var no *refusal
	switch {
	case errors.As(err, &no):
		r.refused[f.name] = f.stamp
		r.settle(f)
		// A file that was left in the middle has published rows; they are safe before the next file's position
		// replaces theirs (I2).
		if err := r.out.Flush(ctx); err != nil {
			return fmt.Errorf("source %s, file %s: %w", r.Source.Name, f.name, err)
		}
		if err := r.ledger.catchUp(ctx, r.out, f.dataset); err != nil {
			return fmt.Errorf("source %s, dataset %s: read back what is on the bus: %w", r.Source.Name, f.dataset.Name, err)
		}
		r.tell(f.dataset.Name, f.name, no.problem, no.message)
		return r.ledger.setProblem(f.dataset.Name, f.name, no.problem)
	case err != nil:
		return fmt.Errorf("source %s, file %s: %w", r.Source.Name, f.name, err)
	}
	r.settle(f)
	problem, err := r.ledger.clearProblem(f.dataset.Name, f.name)
	if err == nil && problem != "" {
		r.Notify(connectors.Event{Source: r.Source.Name, Dataset: f.dataset.Name, Unit: f.name, Problem: problem, Message: "the file has been read", Solved: true})
	}
	return err
}

// settle ends the file's share of the progress.
func (r *run) settle(f *drop) {
	r.done.Add(f.size - f.counted)
	f.counted = f.size
}

// read takes the file's content, recognises it, and delivers it.
func (r *run) read(ctx context.Context, f *drop) error {
	started := r.now()
	in, err := survey(filepath.Join(r.dir, f.name))
	if err != nil {
		return err
	}
	f.hash = in.hash
	known, err := r.recognise(f)
	if err != nil || known {
		return err
	}
	if err := r.overtaken(f); err != nil {
		return err
	}
	resume := r.resume[f.dataset.Name]
	delete(r.resume, f.dataset.Name)
	if resume.Hash != f.hash {
		if resume.Hash != "" {
			r.tell(f.dataset.Name, resume.Name, "interrupted_file_gone", fmt.Sprintf("the file was read up to row %d and is no longer there as it was; drop it again to have the rest of it read", resume.Row))
		}
		resume = position{}
	}
	open := func() (*rows, error) { return r.open(ctx, f, in) }
	var n int64
	if f.dataset.Delivery == contract.Snapshot {
		n, err = r.deliverSnapshot(ctx, f, open, resume)
	} else {
		n, err = r.deliverChanges(ctx, f, open, resume)
	}
	if err != nil {
		return err
	}
	// I1: the file counts as read only now that every row of it is safe.
	if err := r.out.Flush(ctx); err != nil {
		return err
	}
	if f.dataset.Delivery == contract.Snapshot {
		if err := r.ledger.catchUp(ctx, r.out, f.dataset); err != nil {
			return err
		}
	}
	r.Log.Debug("file read", "source", r.Source.Name, "dataset", f.dataset.Name, "file", f.name, "rows", n, "took", r.now().Sub(started))
	return r.ledger.finish(f.dataset.Name, finished{Hash: f.hash, Name: f.name, Size: f.size, Modified: f.modified, Rows: n, When: r.now().UTC()})
}

// recognise tells whether the file holds what was read before.
func (r *run) recognise(f *drop) (bool, error) {
	before, known, err := r.ledger.recognise(f)
	if err != nil || !known {
		return false, err
	}
	before.Name, before.Size, before.Modified = f.name, f.size, f.modified
	if f.again != f.name {
		r.tell(f.dataset.Name, f.name, "dropped_again", fmt.Sprintf("the file has the same content as %s, which was read on %s; nothing was read from it", f.again, before.When.Format(time.DateOnly)))
	} else {
		r.Log.Info("file dropped again, nothing to read", "source", r.Source.Name, "dataset", f.dataset.Name, "file", f.name)
	}
	return true, r.ledger.alias(f.dataset.Name, before)
}

// refusal is a file that cannot be used as it is. The message is for the operator and holds no value of a row (I7).
type refusal struct{ problem, message string }

func (r *refusal) Error() string { return r.problem + ": " + r.message }

func refuse(problem, format string, args ...any) error {
	return &refusal{problem, fmt.Sprintf(format, args...)}
}

// tell notifies the operator, once per run for the same file, problem and message.
func (r *run) tell(dataset, unit, problem, message string) {
	key := dataset + "\x00" + unit + "\x00" + problem
	if r.told[key+"\x00"+message] {
		return
	}
	r.told[key], r.told[key+"\x00"+message] = true, true
	r.Notify(connectors.Event{Source: r.Source.Name, Dataset: dataset, Unit: unit, Problem: problem, Message: message, Notice: notices[problem]})
}

// notices are worth a look, but leave nothing unread that was meant to be read.
var notices = map[string]bool{"unmatched_file": true, "dropped_again": true, "duplicate_header": true, "unknown_column": true, "duplicate_keys": true}

// solved takes back what tell said in this run.
func (r *run) solved(dataset, unit, problem string) {
	key := dataset + "\x00" + unit + "\x00" + problem
	if !r.told[key] {
		return
	}
	for k := range r.told {
		if len(k) >= len(key) && k[:len(key)] == key {
			delete(r.told, k)
		}
	}
	r.Notify(connectors.Event{Source: r.Source.Name, Dataset: dataset, Unit: unit, Problem: problem, Message: "solved", Solved: true})
}

// cause is the system's own words, without the path that the message names already.
func cause(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
