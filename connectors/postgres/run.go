package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
)

// run is one call of Run.
type run struct {
	*Connector
	out    connectors.Outlet
	follow bool

	address string
	side    *pgx.Conn // everything but the stream
	stream  *receiver
	server  server
	state   *state

	feeds     []*feed
	byName    map[string]*feed // by schema.table
	relations map[uint32]*relation
	named     map[typeKey]string

	lsn    lsn // every transaction before it was handed on
	target lsn // the present end
	tx     struct {
		beginMessage
		open bool
		n    int64 // ordinal of the last change
		used bool  // something of it was handed on, or would have been
	}
	unseen  unseen
	row     rowMessage
	texts   block
	found   chan finding // by watch
	pending *finding
}

// feed is a table and its dataset.
type feed struct {
	connectors.Table
	dataset *contract.Dataset
	unit    string // schema.table

	last        change.Position // of the newest change that was appended, or is on the bus
	at          place           // everything of the dataset up to here was appended
	snap        snapshotState
	tail        []byte              // of positions, made from snap
	columns     []column            // as the stream had them last
	shaped      []connectors.Column // as the outlet was told last
	table       *table              // as it was described last
	wait        []uint64            // transactions that have to end before the snapshot begins
	waiting     time.Time           // since when it waits
	saidWaiting bool
	notBefore   time.Time // the table was locked
	rows        int64     // of the snapshot that were appended in this run
}

func (f *feed) sql() string { return quote(f.Schema) + "." + quote(f.Name) }

// load puts the feed to where its position and the state say it is.
func (f *feed) load(s *state) {
	t := s.table(f.dataset.Name)
	f.at, f.columns = place{}, t.Columns
	f.snap = snapshotState{epoch: s.Epoch, round: t.Round, label: f.Label}
	if p, ok := parsePosition(f.last); ok && p.Epoch == s.Epoch {
		f.at = p.place()
		if p.Round >= t.Round {
			f.snap.round = p.Round
			if p.Snapshot == f.Label {
				f.snap.key, f.snap.done = p.Key, p.Done
			}
		}
	}
	f.tail = f.snap.tail(nil)
}

// resume finds where each dataset stands (I2).
func (r *run) resume(ctx context.Context) error {
	for _, t := range r.settings.Tables {
		f := &feed{Table: t, dataset: r.Contracts[t.Dataset], unit: t.Schema + "." + t.Name}
		var err error
		if f.last, err = r.out.Resume(ctx, t.Dataset); err != nil {
			return fmt.Errorf("dataset %s: find where to resume: %w", t.Dataset, err)
		}
		p, ok := parsePosition(f.last)
		if !ok && f.last != "" {
			return fmt.Errorf("dataset %s: its newest message was not written by a source of kind postgres; give the dataset a name of its own", t.Dataset)
		}
		r.state.Epoch = max(r.state.Epoch, p.Epoch)
		r.feeds = append(r.feeds, f)
		r.byName[f.unit] = f
	}
	for _, f := range r.feeds {
		f.load(r.state)
	}
	return nil
}

// spoken tells whether anything of the source is on the bus.
func (r *run) spoken() bool {
	return slices.ContainsFunc(r.feeds, func(f *feed) bool { return f.last != "" })
}

// open opens the stream. A slot that another session reads is waited for a moment: that session may be our own, cut off and not
// noticed yet.
func (r *run) open(ctx context.Context, stream *pgconn.PgConn) (*receiver, error) {
	for deadline := time.Now().Add(r.patience); ; {
		rec, err := r.start(ctx, stream, r.state.Confirmed)
		if err == nil || codeOf(err) != "55006" {
			return rec, err
		}
		if err := r.pause(ctx, deadline); err != nil {
			return nil, err
		}
	}
}

// free waits until no session reads the slot.
func (r *run) free(ctx context.Context, s *slot) (_ *slot, err error) {
	for deadline := time.Now().Add(r.patience); s != nil && s.active; {
		if err := r.pause(ctx, deadline); err != nil {
			return nil, err
		}
		if s, err = r.findSlot(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (r *run) pause(ctx context.Context, deadline time.Time) error {
	if time.Now().After(deadline) {
		return refuse("slot_active", "another session reads the slot %s already: another copy of this source works, or one that was cut off is not noticed yet; this one tries again", r.settings.Slot)
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(50 * time.Millisecond):
		return nil
	}
}

func (r *run) close() {
	if r.stream != nil {
		r.stream.close()
	}
	if r.side != nil {
		hangUp(r.side)
	}
}

// slice is the stream's turn between two chunks, at most.
const slice = 200 * time.Millisecond

// flow hands on what comes, and reads chunks and single records in between, until the end.
func (r *run) flow(ctx context.Context) error {
	var spare []message
	confirm := time.NewTicker(r.confirmEvery)
	defer confirm.Stop()
	for turn := time.Now(); ; {
		batch, err := r.stream.take(spare)
		if err != nil {
			return r.brokenOff(err)
		}
		for i := range batch {
			if err := r.hand(ctx, batch[i]); err != nil {
				return err
			}
		}
		spare = batch
		if err := ctx.Err(); err != nil {
			return err
		}
		select {
		case <-confirm.C:
			if err := r.confirm(ctx, len(batch) == 0); err != nil {
				return err
			}
		default:
		}
		if r.tx.open || len(batch) > 0 && time.Since(turn) < slice {
			if len(batch) == 0 {
				if _, err := r.await(ctx, false); err != nil {
					return err
				}
			}
			continue
		}
		did, err := r.aside(ctx)
		if err != nil {
			return err
		}
		turn = time.Now()
		if did || len(batch) > 0 {
			continue
		}
		if !r.follow && r.lsn >= r.target && r.snapshotted() {
			return nil
		}
		request, err := r.await(ctx, true)
		if err != nil {
			return err
		}
		if request != nil {
			if err := r.resend(ctx, request); err != nil {
				return err
			}
		}
	}
}

// await returns when there may be something to do.
func (r *run) await(ctx context.Context, idle bool) (*resend, error) {
	var requests chan *resend
	pause := min(statusEvery, r.confirmEvery)
	eager := false
	if idle {
		if !r.behind() {
			requests = r.resends
		}
		if eager = !r.follow || !r.snapshotted() || r.behind(); eager {
			pause = min(pause, 5*time.Millisecond)
		}
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-r.stream.ready:
	case request := <-requests:
		return request, nil
	case found := <-r.findings():
		r.pending = &found
	case <-timer.C:
		if eager {
			r.stream.signal(r.stream.ask) // the server's word on how far it has sent
		}
	}
	return nil, nil
}

// aside does what is done while the stream stands still between two transactions. It says whether it did something.
func (r *run) aside(ctx context.Context) (bool, error) {
	select {
	case found := <-r.findings():
		r.pending = &found
	default:
	}
	if err := r.consider(ctx); err != nil {
		return false, err
	}
	for _, f := range r.feeds {
		if f.snap.done || f.at.after(place{r.lsn, 0}) {
			continue
		}
		if did, err := r.chunk(ctx, f); did || err != nil {
			return did, err
		}
	}
	if r.behind() {
		return false, nil
	}
	select {
	case request := <-r.resends:
		return true, r.resend(ctx, request)
	default:
		return false, nil
	}
}

func (r *run) snapshotted() bool {
	return !slices.ContainsFunc(r.feeds, func(f *feed) bool { return !f.snap.done })
}

// behind tells whether the stream has not come to where a dataset stands already.
func (r *run) behind() bool {
	return slices.ContainsFunc(r.feeds, func(f *feed) bool { return f.at.after(place{r.lsn, 0}) })
}

// brokenOff looks into the reason why the stream ended.
func (r *run) brokenOff(err error) error {
	if codeOf(err) == "42704" { // the publication did not exist when a change was made
		r.state.Gap = publicationGone
		return errors.Join(err, r.state.save())
	}
	return err
}

// confirm tells the server what is safe: for every dataset, and known to be seen.
func (r *run) confirm(ctx context.Context, idle bool) error {
	if err := r.forgetGaps(); err != nil {
		return err
	}
	if idle && r.outstanding() {
		if err := r.out.Flush(ctx); err != nil {
			return err
		}
	}
	if err := r.unseen.look(ctx, r.side); err != nil {
		return err
	}
	safe := r.lsn
	if r.tx.open {
		safe = min(safe, r.tx.commit)
	}
	if bound, ok := r.unseen.bound(); ok {
		safe = min(safe, bound)
	}
	for _, f := range r.feeds {
		// I1: what was appended and is not safe yet is not confirmed. The transaction of the safe position itself comes again.
		if on := r.out.Safe(f.dataset.Name); on != f.last {
			p, _ := parsePosition(on)
			if p.Epoch != f.snap.epoch {
				p = position{}
			}
			safe = min(safe, p.LSN)
		}
	}
	if safe <= r.state.Confirmed {
		return nil
	}
	r.state.Confirmed = safe
	if err := r.state.save(); err != nil {
		return err
	}
	r.stream.confirmed.Store(uint64(safe))
	r.stream.signal(r.stream.answer)
	return nil
}

func (r *run) outstanding() bool {
	return slices.ContainsFunc(r.feeds, func(f *feed) bool { return r.out.Safe(f.dataset.Name) != f.last })
}

// end makes safe what was appended, and tells the server so.
func (r *run) end(ctx context.Context) error {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := r.out.Flush(last); err != nil {
		return err
	}
	if r.side.IsClosed() { // a cancelled query closes its connection
		return nil
	}
	return r.confirm(last, false)
}
