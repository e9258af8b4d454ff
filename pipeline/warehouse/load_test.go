package warehouse_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/google/uuid"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/clickhouse"
)

// listening is a log handler that tells of every attempt that failed.
type listening struct {
	slog.Handler
	failed chan string
}

func (l listening) Enabled(context.Context, slog.Level) bool { return true }

func (l listening) Handle(_ context.Context, r slog.Record) error {
	select {
	case l.failed <- r.Message:
	default:
	}
	return nil
}

// engine starts an engine and returns where its loader logs in.
func engine(t *testing.T) (*embedded.Engines, warehouse.Address) {
	t.Helper()
	return engineIn(t, t.TempDir())
}

func engineIn(t *testing.T, dir string) (*embedded.Engines, warehouse.Address) {
	t.Helper()
	var users []embedded.User
	for _, u := range clickhouse.Access() {
		users = append(users, embedded.User{Name: u.Name, Password: "of-" + u.Name, Settings: u.Settings, Readonly: u.Readonly, Grants: u.Grants})
	}
	e, err := embedded.Start(t.Context(), embedded.Options{Dir: dir, Version: "1.0.0", NATS: embedded.NATSOptions{Disabled: true},
		ClickHouse: embedded.ClickHouseOptions{Users: users}, Log: slog.New(slog.DiscardHandler)})
	if errors.Is(err, embedded.ErrNoLibrary) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := e.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return e, warehouse.Address{Native: e.ClickHouse().Native, User: clickhouse.Loader, Password: "of-" + clickhouse.Loader}
}

func connect(t *testing.T, a warehouse.Address, bus string, log *slog.Logger) *warehouse.Warehouse {
	t.Helper()
	w, err := warehouse.Connect(t.Context(), a, bus, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// days and moments at the ends of what the warehouse holds.
var (
	days    = []int32{-25567, 0, 120529, 20780} // 1900-01-01, 1970-01-01, 2299-12-31, 2026-11-23
	moments = []int64{time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro(), -1, time.Date(2262, 4, 10, 23, 59, 59, 999_999_000, time.UTC).UnixMicro(), 1_795_406_400_123_456}
	numbers = []int64{math.MinInt64, -1, math.MaxInt64, 0}
	texts   = []string{"", "𠮷野家\U0001F600", "a\x00b'\\\n\t", strings.Repeat("长", 100_000)}
)

// record is rows of a table with the extremes of every type; in every fifth row all that may be NULL is.
func record(table *canonical.Table, rows int) arrow.Record {
	rb := array.NewRecordBuilder(memory.DefaultAllocator, table.Schema())
	defer rb.Release()
	for i := range rows {
		for c, col := range table.Columns {
			k := (i + c) % 4
			switch b := rb.Field(c).(type) {
			case *array.StringBuilder:
				b.Append(texts[k])
			case *array.FixedSizeBinaryBuilder:
				var id [16]byte
				if col.Name == "record_id" || k != 0 {
					id = uuid.NewSHA1(uuid.NameSpaceOID, fmt.Append(nil, c, i))
				}
				b.Append(id[:])
			case *array.Uint8Builder:
				b.Append(0)
			case *array.Uint64Builder:
				b.Append(math.MaxUint64 - uint64(i))
			default:
				if i%5 == 4 {
					b.AppendNull()
					continue
				}
				switch b := b.(type) {
				case *array.Date32Builder:
					b.Append(arrow.Date32(days[k]))
				case *array.TimestampBuilder:
					b.Append(arrow.Timestamp(moments[k]))
				case *array.Int64Builder:
					b.Append(numbers[k])
				}
			}
		}
	}
	return rb.NewRecord()
}

// text is a cell as the query below writes it.
func text(col arrow.Array, i int) string {
	if col.IsNull(i) {
		return "NULL"
	}
	switch a := col.(type) {
	case *array.String:
		return a.Value(i)
	case *array.FixedSizeBinary:
		return uuid.UUID(a.Value(i)).String()
	case *array.Date32:
		return fmt.Sprint(int64(a.Value(i)))
	case *array.Timestamp:
		return fmt.Sprint(int64(a.Value(i)))
	case *array.Int64:
		return fmt.Sprint(a.Value(i))
	case *array.Uint64:
		return fmt.Sprint(a.Value(i))
	case *array.Uint8:
		return fmt.Sprint(a.Value(i))
	}
	return "?"
}

// cells reads a table as text, without the driver's own reading of times.
func cells(t *testing.T, w *warehouse.Warehouse, table *canonical.Table) map[string][]string {
	t.Helper()
	var columns []string
	for _, c := range table.Columns {
		switch c.Type {
		case canonical.Date:
			columns = append(columns, "ifNull(toString(toInt32("+c.Name+")), 'NULL')")
		case canonical.Timestamp:
			columns = append(columns, "ifNull(toString(toUnixTimestamp64Micro("+c.Name+")), 'NULL')")
		default:
			columns = append(columns, "ifNull(toString("+c.Name+"), 'NULL')")
		}
	}
	rows, err := w.Conn().Query(t.Context(), "SELECT ["+strings.Join(columns, ", ")+"] FROM "+table.Database+"."+table.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	found := map[string][]string{}
	for rows.Next() {
		var row []string
		if err := rows.Scan(&row); err != nil {
			t.Fatal(err)
		}
		if _, twice := found[row[0]]; twice {
			t.Fatalf("%s holds record %s twice", table.Name, row[0])
		}
		found[row[0]] = row
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}

func TestEveryColumnArrivesAsItIs(t *testing.T) {
	_, a := engine(t)
	w := connect(t, a, "bus", slog.New(slog.DiscardHandler))
	for _, table := range canonical.Tables {
		rec := record(table, 10)
		for range 2 { // I3: the same token again does nothing
			if err := w.Load(t.Context(), table, rec, table.Name+":1-10:x"); err != nil {
				t.Fatal(err)
			}
		}
		found := cells(t, w, table)
		if len(found) != 10 {
			t.Errorf("%s holds %d rows, want 10", table.Name, len(found))
		}
		for i := range 10 {
			row := found[text(rec.Column(0), i)]
			for c := range row {
				if want := text(rec.Column(c), i); row[c] != want {
					t.Errorf("%s.%s, row %d: %.60q, want %.60q", table.Name, table.Columns[c].Name, i, row[c], want)
				}
			}
		}
	}
}

func TestTokenDecides(t *testing.T) {
	_, a := engine(t)
	w := connect(t, a, "bus", slog.New(slog.DiscardHandler))
	table, _ := canonical.Lookup("ratings")
	rec := record(table, 3)
	count := func() (n uint64) {
		t.Helper()
		if err := w.Conn().QueryRow(t.Context(), "SELECT count() FROM store.ratings").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, step := range []struct {
		token string
		rows  uint64
	}{{"a", 3}, {"a", 3}, {"b", 6}, {"a", 6}} {
		if err := w.Load(t.Context(), table, rec, step.token); err != nil {
			t.Fatal(err)
		}
		if got := count(); got != step.rows {
			t.Fatalf("after token %s: %d rows, want %d", step.token, got, step.rows)
		}
	}
}

// I3: the server is killed again and again while it loads; every load is there once.
func TestKilledServerLoadsOnce(t *testing.T) {
	e, a := engine(t)
	heard := listening{slog.DiscardHandler, make(chan string, 100)}
	w := connect(t, a, "bus", slog.New(heard))
	table, _ := canonical.Lookup("cases")
	const loads, rows = 20, 200
	full := record(table, rows)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	kill := func() {
		if err := e.KillClickHouse(); err != nil {
			t.Error(err)
		}
	}
	for i := range loads {
		switch i % 10 {
		case 3: // the load finds a connection that is dead
			kill()
		case 7: // it dies while the load is on its way
			time.AfterFunc(time.Duration(rng.IntN(15_000))*time.Microsecond, kill)
		}
		rb := array.NewRecordBuilder(memory.DefaultAllocator, table.Schema())
		for c := range table.Columns {
			switch b := rb.Field(c).(type) {
			case *array.FixedSizeBinaryBuilder:
				for k := range rows {
					id := uuid.NewSHA1(uuid.NameSpaceOID, fmt.Append(nil, "load", c, i, k))
					b.Append(id[:])
				}
			case *array.StringBuilder:
				for range rows {
					b.Append("x")
				}
			default:
				for k := range rows {
					copyCell(b, full.Column(c), k)
				}
			}
		}
		if err := w.Load(t.Context(), table, rb.NewRecord(), fmt.Sprintf("cases:%d", i)); err != nil {
			t.Fatal(err)
		}
		rb.Release()
	}
	if len(heard.failed) < loads/10 {
		t.Fatalf("%d attempts failed, though the server was killed before %d loads", len(heard.failed), loads/10)
	}
	var n, distinct uint64
	for { // the last kill may have left it away
		if err := w.Conn().QueryRow(t.Context(), "SELECT count(), uniqExact(record_id) FROM store.cases").Scan(&n, &distinct); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if n != loads*rows || distinct != loads*rows {
		t.Errorf("%d rows, %d records, want %d", n, distinct, loads*rows)
	}
}

func copyCell(b array.Builder, from arrow.Array, i int) {
	if from.IsNull(i) {
		b.AppendNull()
		return
	}
	switch b := b.(type) {
	case *array.TimestampBuilder:
		b.Append(from.(*array.Timestamp).Value(i))
	case *array.Int64Builder:
		b.Append(from.(*array.Int64).Value(i))
	case *array.Uint64Builder:
		b.Append(from.(*array.Uint64).Value(i))
	case *array.Uint8Builder:
		b.Append(from.(*array.Uint8).Value(i))
	}
}

func TestLoadEndsWithItsContextAndWithHopelessErrors(t *testing.T) {
	_, a := engine(t)
	w := connect(t, a, "bus", slog.New(slog.DiscardHandler))
	table, _ := canonical.Lookup("ratings")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Load(ctx, table, record(table, 1), "t"); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
	other := *table
	other.Name = "no_such_table"
	if err := w.Load(t.Context(), &other, record(table, 1), "t"); err == nil || !strings.Contains(err.Error(), "store.no_such_table") {
		t.Errorf("a table that is not there: %v", err)
	}
	mixed, _ := canonical.Lookup("incidents") // its columns, another's rows: what does not fit will not fit later
	if err := w.Load(t.Context(), mixed, record(table, 1), "t"); err == nil {
		t.Error("rows of one table were loaded into another")
	}
}

func TestLogAndQuarantine(t *testing.T) {
	_, a := engine(t)
	w := connect(t, a, "bus", slog.New(slog.DiscardHandler))
	at := time.Date(2026, 11, 23, 1, 2, 3, 456000, time.UTC)
	line := warehouse.Loaded{Table: "store.cases", First: 1, Last: 9, Rows: 5, Bytes: 50, Reason: "age", Contracts: map[string]string{"d": "1/abc"},
		DatasetRows: map[string]uint64{"d": 5}, DatasetLast: map[string]uint64{"d": 9}, Token: "t", Started: at, Finished: at}
	held := warehouse.Held{Dataset: "d", Department: "hall", OwnerZh: "甲", OwnerEn: "A", Source: "s", Unit: "u", Row: 7, Field: "f", Code: "format", Message: "m",
		ContractVersion: 1, ContractHash: "abc", Sequence: 9, Version: 9 << 16, At: at, Event: 9, State: "waiting"}
	for range 2 {
		if err := w.Log(t.Context(), "log:1", []warehouse.Loaded{line}); err != nil {
			t.Fatal(err)
		}
		if err := w.Quarantine(t.Context(), "q:1", []warehouse.Held{held}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Log(t.Context(), "log:2", nil), w.Quarantine(t.Context(), "q:2", nil)); err != nil {
		t.Errorf("nothing to write: %v", err)
	}
	held.Event, held.State, held.StateReason = 12, "released", "the contract accepts it now"
	if err := w.Quarantine(t.Context(), "q:3", []warehouse.Held{held}); err != nil {
		t.Fatal(err)
	}
	var lines, rows uint64
	var state string
	if err := w.Conn().QueryRow(t.Context(), "SELECT (SELECT count() FROM store.load_log), (SELECT count() FROM store.quarantine_log), (SELECT any(state) FROM store.quarantine_log FINAL)").Scan(&lines, &rows, &state); err != nil {
		t.Fatal(err)
	}
	if lines != 1 || rows != 2 || state != "released" {
		t.Errorf("%d lines, %d rows, state %s", lines, rows, state)
	}
}

func TestWarehouseBelongsToOneBus(t *testing.T) {
	_, a := engine(t)
	log := slog.New(slog.DiscardHandler)
	connect(t, a, "first", log)
	connect(t, a, "first", log)
	var other warehouse.OtherBusError
	if _, err := warehouse.Connect(t.Context(), a, "second", log); !errors.As(err, &other) {
		t.Errorf("another bus: %v", err)
	}
}
