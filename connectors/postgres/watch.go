package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// finding is what the watch saw of the tables.
type finding struct {
	at        lsn // everything that was seen stands in the log before it
	tables    map[*feed]*table
	published map[string]int64
}

// tablesEvery is how many looks at the slot come to one at the tables.
const tablesEvery = 3

// watch looks at the slot, and now and then at the tables, on a connection of its own, until ctx ends.
func (r *run) watch(ctx context.Context) {
	var conn *pgx.Conn
	defer func() {
		if conn != nil {
			hangUp(conn)
		}
	}()
	tick := time.NewTicker(r.lookEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		var err error
		if conn == nil || conn.IsClosed() {
			conn, err = r.connectTo(ctx, r.address)
		}
		if err == nil {
			err = r.lookAtSlot(ctx, conn)
		}
		if err == nil && n%tablesEvery == tablesEvery-1 {
			err = r.lookAtTables(ctx, conn)
		}
		if err != nil && ctx.Err() == nil {
			r.Log.Debug("the slot cannot be watched", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// lookAtSlot tells when the server holds more of its log for the slot than it should.
func (r *run) lookAtSlot(ctx context.Context, conn *pgx.Conn) error {
	s, err := readSlot(ctx, conn, r.settings.Slot)
	if err != nil || s == nil || s.lost {
		return err
	}
	var now string
	if err := conn.QueryRow(ctx, "SELECT pg_current_wal_lsn()::text").Scan(&now); err != nil {
		return err
	}
	end, err := parseLSN(now)
	if err != nil {
		return err
	}
	held := end - min(end, s.restart)
	if held <= lsn(r.settings.MaxSlotLag) {
		r.solve(event{problem: "slot_lag"})
		return nil
	}
	r.tell(refuse("slot_lag", "the server holds %d MiB of its log for the slot %s (of which %d MiB are not read and safe yet), more than max_slot_lag allows; its disk may fill up. See whether the platform takes changes, and whether a transaction is open on the server since long; if the source is given up, run SELECT pg_drop_replication_slot(%s);",
		held>>20, r.settings.Slot, (end-min(end, s.confirmed))>>20, quoteText(r.settings.Slot)), false)
	return nil
}

func (r *run) lookAtTables(ctx context.Context, conn *pgx.Conn) error {
	found := finding{tables: map[*feed]*table{}}
	for _, f := range r.feeds {
		t, err := f.describe(ctx, conn, r.settings.Publication)
		if err != nil || t == nil {
			return err // the stream, or the next run, says what is wrong
		}
		found.tables[f] = t
	}
	var err error
	if found.published, err = r.published(ctx, conn); err != nil {
		return err
	}
	if found.at, err = endOfLog(ctx, conn); err != nil {
		return err
	}
	select {
	case r.found <- found:
	default: // the last finding is not taken yet
	}
	return nil
}

// endOfLog is where the log ends that the server has on its disk: that is as far as the stream comes. What a session saw
// before is in it, also when it was committed without waiting for the disk, which the server makes up for within a second.
func endOfLog(ctx context.Context, conn *pgx.Conn) (lsn, error) {
	var least lsn
	for deadline := time.Now().Add(time.Second); ; {
		var inserted, flushed string
		if err := conn.QueryRow(ctx, "SELECT pg_current_wal_insert_lsn()::text, pg_current_wal_flush_lsn()::text").Scan(&inserted, &flushed); err != nil {
			return 0, fmt.Errorf("the end of the log cannot be read: %w", plain(err))
		}
		end, err := parseLSN(flushed)
		if err != nil {
			return 0, err
		}
		if least == 0 {
			if least, err = parseLSN(inserted); err != nil {
				return 0, err
			}
			if least%walPage == walPageHeader {
				least -= walPageHeader // the next record will begin behind the head of its page; the last one ends before it
			}
		}
		if end >= least || time.Now().After(deadline) {
			return end, nil
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

const walPage, walPageHeader = 8192, 24

// findings is where the next finding comes from, once the last one was considered.
func (r *run) findings() <-chan finding {
	if r.pending != nil {
		return nil
	}
	return r.found
}

// consider acts on what the watch found, once the stream has come to where it was found: columns that changed without
// any row, and tables that are not published any more.
func (r *run) consider(ctx context.Context) error {
	if r.pending == nil || r.lsn < r.pending.at {
		return nil
	}
	found := r.pending
	r.pending = nil
	if found.published != nil {
		if _, err := r.missed(found.published); err != nil {
			return err
		}
		for _, f := range r.feeds {
			if r.state.table(f.dataset.Name).Gap != "" {
				return fmt.Errorf("table %s was taken out of the publication %s", f.unit, r.settings.Publication)
			}
		}
	}
	for _, f := range r.feeds {
		t := found.tables[f]
		now := t.streamColumns()
		if len(f.columns) == 0 || slices.EqualFunc(f.columns, now, sameColumn) {
			continue
		}
		if err := r.reshape(ctx, f, t.shape()); err != nil {
			return err
		}
		if err := r.columns(ctx, f, now); err != nil {
			return err
		}
	}
	return nil
}

// forgetGaps: a table that was compared as a whole since it was read again has lost nothing any more.
func (r *run) forgetGaps() error {
	r.mu.Lock()
	surveyed := r.surveyed
	r.surveyed = map[string]bool{}
	r.mu.Unlock()
	for _, f := range r.feeds {
		if t := r.state.table(f.dataset.Name); t.Told != "" && f.snap.done && surveyed[f.dataset.Name] {
			t.Told = ""
			r.solve(event{f.dataset.Name, f.unit, "slot_gap"})
		}
	}
	return r.state.save()
}
