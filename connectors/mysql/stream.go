package mysql

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
	"github.com/google/uuid"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/change"
)

// transaction is one group of events that the binlog holds.
type transaction struct {
	gtid   gtid
	before string // GTIDs handed on before it
	time   int64
	block  bool // has an end of its own; else it ends with its statement
	waits  *preparedTx
	lost   map[*dataset]bool // datasets of which the group says rows that may not have come to be
	pend   []prepared
}

func (t *transaction) mark() mark {
	return mark{Before: t.before, In: t.gtid.String(), Time: t.time, Pending: t.pend}
}

// Flags of MariaDB's GTID event that the library does not name.
const flagPreparedXA = 64

// read hands on what the server sends, and gives the tables and the orders their turn in between.
func (r *run) read(ctx context.Context) error {
	r.safeAt, r.heardAt = time.Now(), time.Now()
	for {
		if r.tx == nil {
			done, err := r.between(ctx)
			if done || err != nil {
				return err
			}
			continue
		}
		e, err := r.dump.next(ctx)
		if err != nil {
			return err
		}
		if err := r.event(ctx, e); err != nil {
			return err
		}
		r.budget--
	}
}

// between is the boundary between two transactions. It returns with the stream's next event at hand, or at the end.
func (r *run) between(ctx context.Context) (done bool, err error) {
	for _, d := range r.datasets {
		if d.renew {
			if err := r.newRound(ctx, d); err != nil {
				return false, err
			}
		}
	}
	for {
		if time.Since(r.safeAt) >= r.safeEvery {
			if err := r.note(ctx); err != nil {
				return false, err
			}
		}
		d := r.snapshotting()
		if d == nil && !r.follow && r.end.done.within(r.state) {
			return true, r.note(ctx)
		}
		if d != nil && r.heard && r.budget <= 0 {
			r.budget = r.turn
			if err := r.chunk(ctx, d); err != nil {
				return false, err
			}
			continue
		}
		select { // an event that is at hand comes first
		case got := <-r.dump.events:
			return false, r.received(ctx, got)
		default:
		}
		var quiet <-chan time.Time
		if d != nil && r.heard {
			quiet = closedTime // what is not at hand is not waited for
		} else {
			quiet = time.After(min(r.safeEvery, silence))
		}
		select {
		case got := <-r.dump.events:
			return false, r.received(ctx, got)
		case o := <-r.orders:
			err := r.fulfil(ctx, o)
			o.done <- err
			if err != nil {
				return false, err
			}
		case <-quiet:
			if time.Since(r.heardAt) > silence {
				return false, errSilent
			}
			r.budget = 0
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

var closedTime = func() <-chan time.Time {
	c := make(chan time.Time)
	close(c)
	return c
}()

func (r *run) received(ctx context.Context, got received) error {
	if got.err != nil {
		return got.err
	}
	r.heardAt = time.Now()
	r.budget--
	return r.event(ctx, got.event)
}

// event takes one event of the binlog.
func (r *run) event(ctx context.Context, e *replication.BinlogEvent) error {
	if r.tx != nil || e.Header.EventType == replication.ROTATE_EVENT {
		r.locate(e)
	}
	at := int64(e.Header.Timestamp)
	switch event := e.Event.(type) {
	case *replication.FormatDescriptionEvent:
		r.heard = true
	case *replication.MariadbGTIDEvent:
		if err := r.start(ctx, mariaGTID(e, event), at, !event.IsStandalone()); err != nil {
			return err
		}
		if event.Flags&flagPreparedXA != 0 {
			r.wait()
		}
		r.locate(e)
	case *replication.GTIDEvent:
		if e.Header.EventType == replication.ANONYMOUS_GTID_EVENT {
			return errors.New("the binlog holds transactions without a GTID; see that gtid_mode is ON, and give the tables another snapshot label")
		}
		source, err := uuid.FromBytes(event.SID)
		if err != nil {
			return errors.New("a GTID in the binlog cannot be read")
		}
		if err := r.start(ctx, gtid{source: source, number: uint64(event.GNO)}, at, false); err != nil {
			return err
		}
		r.locate(e)
	case *replication.GtidTaggedLogEvent:
		return errors.New("the binlog holds transactions with a tagged GTID, which are not understood; see that no session sets gtid_next=AUTOMATIC:TAG, and give the tables another snapshot label")
	case *replication.TransactionPayloadEvent:
		return errors.New("the binlog holds a compressed transaction, which is not understood; run SET GLOBAL binlog_transaction_compression=OFF, see that no session turns it on, and give the tables another snapshot label")
	case *replication.RowsEvent:
		return r.rows(ctx, e, event)
	case *replication.QueryEvent:
		return r.query(ctx, event)
	case *replication.XIDEvent:
		return r.finish(ctx)
	case *replication.GenericEvent:
		if e.Header.EventType == replication.XA_PREPARE_LOG_EVENT && r.tx != nil {
			return r.prepareXA(ctx, e)
		}
	}
	return nil
}

// mariaGTID reads the number from the event's bytes. In the event as the library hands it out, the number of the first
// transaction of a domain from a server changes to those that follow: its own set of GTIDs keeps a pointer to it (go-mysql 1.13,
// MariadbGTIDSet.AddSet).
func mariaGTID(e *replication.BinlogEvent, event *replication.MariadbGTIDEvent) gtid {
	number := binary.LittleEndian.Uint64(e.RawData[replication.EventHeaderSize:]) // the library has decoded as many bytes
	return gtid{domain: event.GTID.DomainID, server: e.Header.ServerID, number: number}
}

// locate notes how far the log file was read. An offset is written in 32 bits; a large transaction runs over them.
func (r *run) locate(e *replication.BinlogEvent) {
	if rotate, ok := e.Event.(*replication.RotateEvent); ok {
		r.reached = place{string(rotate.NextLogName), rotate.Position}
		return
	}
	if e.Header.LogPos == 0 {
		return
	}
	offset := r.reached.offset&^math.MaxUint32 | uint64(e.Header.LogPos)
	if offset < r.reached.offset {
		offset += 1 << 32
	}
	r.reached.offset = offset
}

// start begins a transaction.
func (r *run) start(ctx context.Context, g gtid, at int64, block bool) error {
	if r.tx != nil {
		if err := r.finish(ctx); err != nil {
			return err
		}
	}
	if err := r.proven(g, at); err != nil {
		return err
	}
	r.tx = &transaction{gtid: g, before: r.state.String(), time: at, block: block, lost: map[*dataset]bool{}, pend: r.pending()}
	r.version++
	for _, d := range r.datasets {
		d.n, d.skip = 0, d.has(g)
	}
	return nil
}

// finish ends the transaction: the next is a boundary.
func (r *run) finish(ctx context.Context) error {
	if r.tx == nil {
		return nil
	}
	t := r.tx
	for d := range t.lost {
		if d.skip != math.MaxInt64 {
			r.again(d, "a transaction that was rolled back stands in the binlog with rows")
		}
	}
	r.last = mark{Before: t.before, In: t.gtid.String(), Time: t.time, Pending: r.pending()}
	for _, d := range r.datasets { // a transaction that comes before others that the dataset has
		if d.from != nil && d.skip != math.MaxInt64 {
			d.from.done.add(t.gtid)
			d.from.position.At, d.from.position.N = r.last, allOf
			d.from.position.At.Before = r.state.join(d.from.done).String()
		}
	}
	r.state.add(t.gtid)
	r.tx = nil
	r.version++
	r.pass()
	return nil
}

// pass lets go of what the datasets had before, once the stream has come that far. Before the first transaction there is no
// mark of this session to put in its place.
func (r *run) pass() {
	for _, d := range r.datasets {
		if d.from != nil && d.from.done.within(r.state) && (d.from.position.At.In == "" || r.state.has(d.from.in)) {
			d.from = nil
			r.version++
		}
	}
}

// query takes a statement that stands in the binlog as text.
func (r *run) query(ctx context.Context, e *replication.QueryEvent) error {
	if r.tx == nil {
		return nil
	}
	text := string(e.Query)
	w := words(text[:min(len(text), 64)])
	starts := func(keywords ...string) bool {
		if len(w) < len(keywords) {
			return false
		}
		for i, k := range keywords {
			if !w[i].is(k) {
				return false
			}
		}
		return true
	}
	switch {
	case starts("BEGIN"), starts("START", "TRANSACTION"):
		r.tx.block = true
		return nil
	case starts("COMMIT"):
		return r.finish(ctx)
	case starts("ROLLBACK", "TO"):
		r.distrust()
		return nil
	case starts("ROLLBACK"):
		r.distrust()
		return r.finish(ctx)
	case starts("SAVEPOINT"), starts("RELEASE", "SAVEPOINT"):
		return nil
	case starts("XA", "START"), starts("XA", "BEGIN"):
		r.tx.block = true
		r.wait()
		return nil
	case starts("XA", "END"):
		return nil
	case starts("XA", "COMMIT"), starts("XA", "ROLLBACK"):
		if err := r.endXA(ctx, text, w[1].is("COMMIT")); err != nil {
			return err
		}
		return r.finish(ctx)
	}
	if err := r.statement(ctx, text, string(e.Schema)); err != nil {
		return err
	}
	if strings.HasSuffix(strings.ToUpper(strings.TrimSpace(text)), "START TRANSACTION") { // CREATE TABLE ... SELECT of MySQL 8
		r.tx.block = true
	}
	if !r.tx.block {
		return r.finish(ctx)
	}
	return nil
}

// distrust marks the tables whose rows in this transaction may have been taken back.
func (r *run) distrust() {
	for _, d := range r.datasets {
		if d.n > 0 {
			r.tx.lost[d] = true
		}
	}
}

// statement looks at what a statement does to the tables.
func (r *run) statement(ctx context.Context, text, schema string) error {
	for _, d := range r.datasets {
		if d.skip == math.MaxInt64 {
			continue
		}
		switch effectOf(text, schema, d.table) {
		case rewrites:
			r.again(d, "its rows were changed by a statement of which the binlog holds no rows (such as TRUNCATE, DROP or RENAME)")
			fallthrough
		case reshapes:
			// When the statement is older than the session, so is what the catalogue said: it shows its outcome already.
			if r.end.done.has(r.tx.gtid) && fills(text) {
				r.again(d, "a change of its columns may have changed its rows, of which the binlog tells nothing")
			}
			if err := r.reshape(ctx, d); err != nil {
				return err
			}
		}
	}
	return nil
}

// reshape reads the catalogue again.
func (r *run) reshape(ctx context.Context, d *dataset) error {
	old := d.now
	missing := problem{d.Name, d.table.String(), "table_missing"}
	switch err := r.describe(ctx, d); {
	case errors.Is(err, errNoTable):
		r.tell(missing, "the table was dropped or renamed; its records are deleted when the table is there again and was snapshotted")
		return nil
	case err != nil:
		return fmt.Errorf("the table %s: %w", d.table, err)
	}
	if r.told[missing] {
		r.solved(missing)
	}
	for i, c := range d.now.columns {
		at := slices.IndexFunc(old.columns, func(o column) bool { return o.name == c.name })
		if at < 0 && d.now.defined[i] && !slices.ContainsFunc(old.columns, func(o column) bool { return !slices.Contains(d.now.names(), o.name) && o.kind == c.kind }) {
			r.again(d, fmt.Sprintf("the new column %s has a value in all rows, of which the binlog tells nothing", c.name))
		}
		if at >= 0 && old.columns[at].kind != c.kind {
			r.again(d, fmt.Sprintf("the column %s has another type", c.name))
		}
	}
	return nil
}

// rows takes an event with rows of a table.
func (r *run) rows(ctx context.Context, e *replication.BinlogEvent, event *replication.RowsEvent) error {
	d := r.tables[tableOf(event.Table)]
	if d == nil || r.tx == nil {
		return nil
	}
	if r.tx.waits != nil {
		return r.tx.waits.keep(e)
	}
	if d.skip == math.MaxInt64 {
		return nil
	}
	if err := r.settle(ctx, d, event.Table); err != nil {
		return fmt.Errorf("the table %s: %w", d.table, err)
	}
	data, ok := event.Rows[0][0].([]byte)
	if !ok {
		return errRowImage
	}
	op := event.Type()
	switch e.Header.EventType {
	case replication.MARIADB_WRITE_ROWS_COMPRESSED_EVENT_V1, replication.MARIADB_UPDATE_ROWS_COMPRESSED_EVENT_V1, replication.MARIADB_DELETE_ROWS_COMPRESSED_EVENT_V1:
		if len(data) < 2 {
			return errRowImage
		}
		var err error
		if data, err = gomysql.DecompressMariadbData(data); err != nil {
			return errRowImage
		}
	case replication.PARTIAL_UPDATE_ROWS_EVENT:
		return errors.New("the binlog holds parts of JSON documents; run SET GLOBAL binlog_row_value_options='', see that no session sets it, and give the table another snapshot label")
	}
	for c := (&cursor{rest: data}); len(c.rest) > 0; {
		if err := image(c, d.layout, event.ColumnBitmap1, &d.before, nil); err != nil {
			return fmt.Errorf("the table %s: %w", d.table, err)
		}
		var err error
		switch op {
		case replication.EnumRowsEventTypeInsert:
			err = r.put(ctx, d, change.Create, &d.before)
		case replication.EnumRowsEventTypeDelete:
			err = r.remove(ctx, d, &d.before)
		default:
			if err = image(c, d.layout, event.ColumnBitmap2, &d.after, &d.before); err != nil {
				return fmt.Errorf("the table %s: %w", d.table, err)
			}
			err = r.update(ctx, d)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// settle makes the layout for the rows of a table map; most are the same as the one before.
func (r *run) settle(ctx context.Context, d *dataset, m *replication.TableMapEvent) error {
	signature := mapSignature(m)
	if bytes.Equal(signature, d.layoutOf) {
		return nil
	}
	now := d.now
	layout, err := r.server.layout(ctx, m, now)
	unreadable := problem{d.Name, d.table.String(), "schema_unknown"}
	if err != nil {
		r.tell(unreadable, "%v", err)
		return err
	}
	if r.told[unreadable] {
		r.solved(unreadable)
	}
	columns := make([]string, len(layout))
	for i, f := range layout {
		columns[i] = f.name
	}
	keyer, err := connectors.NewKeyer(d.Dataset, columns)
	if err != nil {
		return fmt.Errorf("%w; mend the contract or the table", err)
	}
	d.layout, d.layoutOf, d.columns, d.keyer = layout, signature, columns, keyer
	return nil
}

// mapSignature is all of a table map but the number that it has on the wire.
func mapSignature(m *replication.TableMapEvent) []byte {
	var b []byte
	b = append(b, m.ColumnType...)
	for _, meta := range m.ColumnMeta {
		b = append(b, byte(meta), byte(meta>>8))
	}
	b = append(b, m.SignednessBitmap...)
	for _, ids := range [][]uint64{m.DefaultCharset, m.ColumnCharset, m.EnumSetDefaultCharset, m.EnumSetColumnCharset} {
		b = append(b, 0xff)
		for _, id := range ids {
			b = append(b, byte(id), byte(id>>8))
		}
	}
	for _, name := range m.ColumnName {
		b = append(append(b, name...), 0)
	}
	for _, labels := range append(slices.Clone(m.EnumStrValue), m.SetStrValue...) {
		b = append(b, 0xff)
		for _, l := range labels {
			b = append(append(b, l...), 0)
		}
	}
	return b
}
