package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// slot is the replication slot as the server has it.
type slot struct {
	plugin, database string
	active           bool
	pid              int
	restart          lsn // from where the server keeps its log
	confirmed        lsn
	lost             bool // the server has thrown away what the slot needs
}

// findSlot returns nil when there is no such slot.
func (r *run) findSlot(ctx context.Context) (*slot, error) {
	s, err := readSlot(ctx, r.side, r.settings.Slot)
	if err != nil || s == nil {
		return nil, err
	}
	if s.plugin != "pgoutput" || s.database != r.settings.Database {
		return nil, refuse("slot_foreign", "the slot %s belongs to something else (plugin %s, database %s); give the source another name under with.slot", r.settings.Slot, s.plugin, s.database)
	}
	return s, nil
}

func readSlot(ctx context.Context, conn *pgx.Conn, name string) (*slot, error) {
	var s slot
	var status, restart, confirmed string
	err := conn.QueryRow(ctx, `SELECT coalesce(plugin::text, ''), coalesce(database::text, ''), active, coalesce(active_pid, 0), coalesce(restart_lsn::text, ''),
		coalesce(confirmed_flush_lsn::text, ''), coalesce(to_jsonb(s)->>'wal_status', '') FROM pg_replication_slots s WHERE slot_name = $1`, name).
		Scan(&s.plugin, &s.database, &s.active, &s.pid, &restart, &confirmed, &status)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the slot %s cannot be looked at: %w", name, plain(err))
	}
	if s.lost = status == "lost" || restart == "" || confirmed == ""; s.lost {
		return &s, nil
	}
	if s.restart, err = parseLSN(restart); err == nil {
		s.confirmed, err = parseLSN(confirmed)
	}
	return &s, err
}

// makeSlot makes the slot. The server waits for the transactions that are open; for one that stays open for hours, it is said.
func (r *run) makeSlot(ctx context.Context) (*slot, error) {
	waits := time.AfterFunc(10*time.Second, func() { r.tellWaiting("the slot " + r.settings.Slot + " is made") })
	_, err := r.side.Exec(ctx, "SELECT pg_create_logical_replication_slot($1, 'pgoutput')", r.settings.Slot)
	waits.Stop()
	switch codeOf(err) {
	case "42501":
		return nil, refuse("no_replication_right", "%s may not make a replication slot; run ALTER ROLE %s REPLICATION;", r.settings.User, quote(r.settings.User))
	case "53400":
		return nil, refuse("no_slot_left", "the server has no replication slot left; run ALTER SYSTEM SET max_replication_slots = ...; with a larger number, and restart the server")
	}
	if err != nil {
		return nil, fmt.Errorf("the slot %s cannot be made: %w", r.settings.Slot, plain(err))
	}
	r.Log.Info("slot made", "slot", r.settings.Slot)
	s, err := r.findSlot(ctx)
	if err == nil && s == nil {
		err = fmt.Errorf("the slot %s was made and is gone again", r.settings.Slot)
	}
	return s, err
}

func (r *run) tellWaiting(what string) {
	r.tell(refuse("slot_waits", "before %s, the server waits for transactions that began earlier; SELECT pid, xact_start, query FROM pg_stat_activity WHERE backend_xid IS NOT NULL ORDER BY xact_start; shows them", what), true)
}

// dropSlot removes a slot that is of no use any more.
func (r *run) dropSlot(ctx context.Context) error {
	if _, err := r.side.Exec(ctx, "SELECT pg_drop_replication_slot($1)", r.settings.Slot); err != nil && codeOf(err) != "42704" {
		return fmt.Errorf("the slot %s, which has lost changes, cannot be dropped: %w", r.settings.Slot, plain(err))
	}
	return nil
}

// witness is what speaks for or against it that the slot still has every change that was not handed on.
type witness struct {
	spoken   bool // changes were handed on before
	known    bool // the state is from the last run, and not lost
	state    *state
	newest   lsn // newest position on the bus, of the present epoch
	server   server
	switched lsn // where the server's log left the timeline of the state
	slotName string
	slot     *slot // nil: there is none
}

// gap says how changes may have been lost, "" when none were. Where it cannot be known it says so too: a gap that is said in
// vain costs a snapshot, one that is not said costs records (I4).
func (w *witness) gap() string {
	if !w.spoken {
		return "" // whatever the tables hold is read from the start
	}
	read := w.newest
	if w.known {
		read = max(read, w.state.Confirmed)
	}
	switch {
	case w.state.Gap != "":
		return w.state.Gap
	case w.known && w.state.System != w.server.system:
		return "this is another server, with an identifier of its own"
	case w.known && w.state.Timeline != w.server.timeline && w.switched < read:
		return "the server was set back, or a standby took over, to a point before what was read already"
	case w.server.flushed < read:
		return "the server was set back to a point before what was read already"
	case w.slot == nil && w.known && w.state.Slot != w.slotName:
		return fmt.Sprintf("the slot used to be %s, and there is none called %s", w.state.Slot, w.slotName)
	case w.slot == nil:
		return fmt.Sprintf("the slot %s is gone", w.slotName)
	case w.slot.lost:
		return fmt.Sprintf("the server has thrown away the log that the slot %s needs (max_slot_wal_keep_size, or a timeout)", w.slotName)
	case w.known && w.slot.confirmed > w.state.Confirmed:
		return fmt.Sprintf("the slot %s was made anew or moved: it begins at %v, and changes were read up to %v", w.slotName, w.slot.confirmed, w.state.Confirmed)
	case !w.known && w.slot.confirmed > w.newest:
		return fmt.Sprintf("what was remembered of the slot %s is lost, and the slot begins at %v, after the last change that was read (%v)", w.slotName, w.slot.confirmed, w.newest)
	}
	return ""
}

// claim finds the slot, proves that it has every change that was not handed on yet, and makes it when there is none.
func (r *run) claim(ctx context.Context, stream *pgconn.PgConn, known bool) error {
	s, err := r.findSlot(ctx)
	if err == nil {
		s, err = r.free(ctx, s) // before it is judged: what another copy confirms is no gap
	}
	if err != nil {
		return err
	}
	w := witness{known: known, state: r.state, server: r.server, slotName: r.settings.Slot, slot: s, switched: r.server.flushed, spoken: r.spoken()}
	for _, f := range r.feeds {
		w.newest = max(w.newest, f.at.lsn)
	}
	if known {
		if w.switched, err = r.switched(ctx, stream, r.state.Timeline); err != nil {
			return err
		}
	}
	gap := w.gap()
	if gap != "" {
		if r.settings.OnGap == "stop" {
			return refuse("slot_gap", "changes of source %s may be lost: %s. Nothing is read until you decide: with on_gap: snapshot under with: the slot is made anew and all tables are read again; what was deleted in between is then found by: shire reconcile %s --repair",
				r.Source.Name, gap, r.Source.Name)
		}
		r.state.Epoch++
		r.state.Gap = ""
		for _, f := range r.feeds {
			t := r.state.table(f.dataset.Name)
			*t = tableState{Round: f.snap.round, Entry: t.Entry, Told: gap}
			f.load(r.state)
		}
	}
	if gap != "" || s == nil || s.lost {
		r.state.System, r.state.Timeline, r.state.Slot, r.state.Confirmed = r.server.system, r.server.timeline, r.settings.Slot, 0
		if err := r.state.save(); err != nil { // a crash from here on finds a gap again, not a slot that looks right
			return err
		}
		if s != nil {
			if err := r.dropSlot(ctx); err != nil {
				return err
			}
		}
		if s, err = r.makeSlot(ctx); err != nil {
			return err
		}
	}
	r.state.System, r.state.Timeline, r.state.Slot = r.server.system, r.server.timeline, r.settings.Slot
	r.state.Confirmed = max(r.state.Confirmed, s.confirmed)
	r.lsn = s.confirmed
	return r.state.save()
}

// claimTables deals with tables that were not published for a while.
func (r *run) claimTables() error {
	var problems []error
	for _, f := range r.feeds {
		t := r.state.table(f.dataset.Name)
		switch {
		case t.Gap == "":
		case r.settings.OnGap == "stop":
			problems = append(problems, refuse("slot_gap", "changes of dataset %s may be lost: %s. Nothing is read until you decide: with on_gap: snapshot under with: the table is read again; what was deleted in between is then found by: shire reconcile %s --repair",
				f.dataset.Name, t.Gap, r.Source.Name).of(f))
		default:
			t.Told, t.Gap = t.Gap, ""
			t.Round = f.snap.round + 1
			f.load(r.state)
		}
	}
	return errors.Join(append(problems, r.state.save())...)
}

// tellGaps says again what was lost, until it was compared.
func (r *run) tellGaps() {
	for _, f := range r.feeds {
		if told := r.state.table(f.dataset.Name).Told; told != "" {
			r.tell(refuse("slot_gap", "changes of dataset %s may have been lost: %s. What the table holds was read again or is being read; what was deleted in between is found by: shire reconcile %s --repair",
				f.dataset.Name, told, r.Source.Name).of(f), false)
		}
	}
}
