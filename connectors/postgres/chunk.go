package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/shirecounty/shire/schemas/change"
)

// chunk reads the next rows of a table's snapshot while the stream stands still. It says whether it did; it does not while
// transactions are open that it has to wait for.
func (r *run) chunk(ctx context.Context, f *feed) (bool, error) {
	if ready, err := r.mayBegin(ctx, f); !ready || err != nil {
		return false, err
	}
	// What was handed on is seen by the chunk, so no value in it is older than one that was said.
	if seen, err := r.unseen.wait(ctx, r.side, slice); !seen || err != nil {
		return false, err
	}
	if time.Now().Before(f.notBefore) {
		return false, nil
	}
	err := r.reading(ctx, f, r.side, func(t *table) error { return r.readChunk(ctx, f, t) })
	if codeOf(err) == lockNotAvailable {
		f.notBefore = time.Now().Add(2 * time.Second) // the stream goes on
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if f.snap.done {
		r.Log.Info("snapshot complete", "table", f.unit, "rows", f.rows)
	}
	return true, nil
}

// mayBegin tells whether the transactions that were open when the run began have ended: what they wrote before the table was
// published, or the slot was made, is not in the stream.
func (r *run) mayBegin(ctx context.Context, f *feed) (bool, error) {
	if len(f.snap.key) > 0 || len(f.wait) == 0 {
		return true, nil
	}
	now, err := currentSnapshot(ctx, r.side)
	if err != nil {
		return false, err
	}
	f.wait = slices.DeleteFunc(slices.Clone(f.wait), func(xid uint64) bool { return now.sees(uint32(xid)) })
	if len(f.wait) > 0 && f.waiting.IsZero() {
		f.waiting = time.Now()
	}
	if len(f.wait) > 0 && time.Since(f.waiting) > 10*time.Second && !f.saidWaiting {
		f.saidWaiting = true
		r.tellWaiting("the snapshot of " + f.unit + " begins")
	}
	if len(f.wait) == 0 && f.saidWaiting {
		r.solve(event{problem: "slot_waits"})
	}
	return len(f.wait) == 0, nil
}

// reading runs fn in a transaction that sees one moment of a table as it is described in that moment.
func (c *Connector) reading(ctx context.Context, f *feed, side *pgx.Conn, fn func(*table) error) (err error) {
	conn := side.PgConn()
	if err := begin(ctx, conn, (&table{schema: f.Schema, name: f.Name}).sql()); err != nil {
		_ = do(ctx, conn, "ROLLBACK") // of what did not begin
		if codeOf(err) == lockNotAvailable {
			return fmt.Errorf("table %s is locked by somebody who changes its columns, and is tried again: %w", f.unit, plain(err))
		}
		return fmt.Errorf("table %s cannot be read: %w", f.unit, plain(err))
	}
	defer func() {
		if end := do(ctx, conn, "ROLLBACK"); err == nil && end != nil {
			err = fmt.Errorf("table %s cannot be read: %w", f.unit, plain(end))
		}
	}()
	t, err := f.describe(ctx, side, c.settings.Publication)
	if err != nil {
		return err
	}
	if t == nil {
		return refuse("no_table", "there is no table %s any more; mend with.tables", f.unit).of(f)
	}
	if !t.readable {
		return c.unreadable(f)
	}
	f.table = t
	if err := do(ctx, conn, "SET LOCAL search_path = "+t.searchPath()); err != nil {
		return fmt.Errorf("table %s cannot be read: %w", f.unit, plain(err))
	}
	err = fn(t)
	if codeOf(err) == "42501" { // the right to read was proven, so it is a policy
		return refuse("no_select_right", "row-level security hides rows of table %s from %s; run ALTER ROLE %s BYPASSRLS;", f.unit, c.settings.User, quote(c.settings.User)).of(f)
	}
	return plain(err)
}

func (r *run) readChunk(ctx context.Context, f *feed, t *table) error {
	if err := r.reshape(ctx, f, t.shape()); err != nil {
		return err
	}
	if len(f.snap.key) > 0 && len(f.snap.key) != len(t.key) { // the contract has another key now
		r.again(f)
	}
	if len(f.columns) == 0 {
		if err := r.columns(ctx, f, t.streamColumns()); err != nil {
			return err
		}
	}
	var held tuple // a row is held back until it is known whether it is the last
	var holding, ordered bool
	emit := func(done bool) error {
		if !holding {
			return nil
		}
		holding = false
		if ordered {
			f.snap.key = t.cursor(&held)
		}
		f.snap.done = done
		f.tail = f.snap.tail(f.tail[:0])
		f.rows++
		return r.append(ctx, f, t.names, keyed(t.keyer, change.Snapshot, &held, f.rows, time.Time{}), place{r.lsn, 0})
	}
	count := 0
	hold := func(inOrder bool) func(*tuple) error {
		return func(row *tuple) error {
			count++
			if err := emit(false); err != nil {
				return err
			}
			held.copyFrom(row)
			// A key that JSON cannot hold leaves the mark at the row before.
			holding, ordered = true, inOrder && valid(row)
			return nil
		}
	}
	conn := r.side.PgConn()
	if err := query(ctx, conn, t.chunkSQL(f.snap.key, r.settings.ChunkRows), f.snap.key, hold(true)); err != nil {
		return err
	}
	last := count < r.settings.ChunkRows
	if last && t.nullableKey() {
		if err := query(ctx, conn, t.keylessSQL(), nil, hold(false)); err != nil {
			return err
		}
	}
	if err := emit(last); err != nil {
		return err
	}
	if last {
		f.snap.done = true // also where no row was left to say so: then the next change does
		f.tail = f.snap.tail(f.tail[:0])
	}
	return nil
}

const lockNotAvailable = "55P03"

// begin begins a transaction that sees one moment. The lock comes before the snapshot: a table that is rewritten or emptied in
// between would look empty. It is not waited for long: the other tables wait too.
func begin(ctx context.Context, conn *pgconn.PgConn, table string) error {
	return do(ctx, conn, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL lock_timeout = '500ms'; LOCK TABLE "+table+" IN ACCESS SHARE MODE; SET LOCAL lock_timeout = 0")
}
