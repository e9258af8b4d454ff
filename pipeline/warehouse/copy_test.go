package warehouse_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/clickhouse"
)

// anyValue is SQL for values of a column's type, many of them and odd ones among them, from the number of a row.
func anyValue(t *testing.T, kind string) string {
	t.Helper()
	switch {
	case strings.HasPrefix(kind, "Nullable("):
		return "if(number % 3 = 0, NULL, " + anyValue(t, strings.TrimSuffix(strings.TrimPrefix(kind, "Nullable("), ")")) + ")"
	case kind == "String":
		return `multiIf(number % 4 = 0, '', number % 4 = 1, concat('义县 ', toString(number), char(0, 9, 10, 39, 92, 255)), repeat('x', number % 300))`
	case kind == "LowCardinality(String)":
		return "toString(number % 7)"
	case kind == "UUID":
		return "reinterpretAsUUID(sipHash128(number))"
	case strings.HasPrefix(kind, "DateTime64(6"):
		return "fromUnixTimestamp64Micro(toInt64(number) * 86400000123 - 1000000000000000)"
	case kind == "Date32":
		return "toDate32('1900-01-01') + number"
	case kind == "UInt8":
		return "toUInt8(number % 2)"
	case kind == "UInt16":
		return "toUInt16(number * 123)"
	case kind == "UInt32":
		return "toUInt32(number * 12345)"
	case kind == "UInt64":
		return "number * 1234567890123"
	case kind == "Float64":
		return "toFloat64(number) / 7 - 3"
	case kind == "Int32", kind == "Int64":
		return "to" + kind + "(number) * -77"
	case kind == "Array(LowCardinality(String))":
		return "arrayMap(i -> toString(i), range(number % 4))"
	case kind == "Map(LowCardinality(String), String)":
		return "map('k', toString(number), 'l', '')"
	case kind == "Map(LowCardinality(String), UInt64)":
		return "if(number % 2 = 0, map(), map('k', number))"
	case strings.HasPrefix(kind, "Enum8("):
		return "toInt8(1 + number % 3)"
	}
	t.Fatalf("the test makes no values of %s", kind)
	return ""
}

// keepAll has a table keep every row that was ever inserted.
func keepAll(t *testing.T, conn driver.Conn, table string) {
	t.Helper()
	if err := conn.Exec(t.Context(), "ALTER TABLE "+table+" MODIFY SETTING max_bytes_to_merge_at_max_space_in_pool = 1, max_bytes_to_merge_at_min_space_in_pool = 1"); err != nil {
		t.Fatal(err)
	}
}

func sums(t *testing.T, conn driver.Conn, table, condition string) string {
	t.Helper()
	var n, a uint64
	if err := conn.QueryRow(t.Context(), fmt.Sprintf("SELECT count(), sum(sipHash64(toString(tuple(*)))) FROM %s %s", table, condition)).Scan(&n, &a); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(n, " rows, sum ", a)
}

// Every table comes back value for value, every version of a row, and nothing that a message after the mark brought.
func TestCopyTables(t *testing.T) {
	_, from := engine(t)
	w, err := warehouse.Connect(t.Context(), from, "this bus", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	tables, err := warehouse.CopiedTables(t.Context(), w.Conn())
	if err != nil {
		t.Fatal(err)
	}
	const through = uint64(500)
	mark := map[string]string{"store.load_log": "last_sequence", "store.quarantine_log": "event"}
	conditions := map[string]string{}
	for _, table := range tables {
		if table.Name == "store.bus" {
			continue
		}
		var columns []struct {
			Name string `ch:"name"`
			Type string `ch:"type"`
		}
		database, name, _ := strings.Cut(table.Name, ".")
		if err := w.Conn().Select(t.Context(), &columns, "SELECT name, type FROM system.columns WHERE database = ? AND table = ? ORDER BY position", database, name); err != nil {
			t.Fatal(err)
		}
		var names, values []string
		messages := false
		for _, c := range columns {
			value := anyValue(t, c.Type)
			switch {
			case c.Name == "version" && table.Name != "store.quarantine_log" && !slices.Contains([]string{"store.calendar", "store.departments", "store.catalogue", "store.material_rules", "store.sharing_limits", "store.evaluations", "audit.interventions"}, table.Name):
				value, messages = "bitShiftLeft(toUInt64(number % 1000), 16) + number % 3", true
				conditions[table.Name] = fmt.Sprintf("WHERE version < %d", change.Version(through+1, 0))
			case c.Name == mark[table.Name]:
				value, messages = "number % 1000", true
				conditions[table.Name] = fmt.Sprintf("WHERE %s <= %d", c.Name, through)
			}
			names, values = append(names, "`"+c.Name+"`"), append(values, value)
		}
		if !messages && strings.HasPrefix(table.Name, "restricted.") {
			t.Errorf("%s is loaded from messages, and nothing says which", table.Name)
		}
		rows := 2000
		if table.Name == "restricted.person_records" {
			rows = 40_000 // twice: more than a block
		}
		keepAll(t, w.Conn(), table.Name)
		insert := fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM numbers(%d)", table.Name, strings.Join(names, ", "), strings.Join(values, ", "), rows)
		if err := w.Conn().Exec(t.Context(), insert); err != nil {
			t.Fatal(err)
		}
		if err := w.Conn().Exec(t.Context(), insert+" SETTINGS insert_deduplicate = 0"); err != nil { // and all of it twice
			t.Fatal(err)
		}
	}

	_, to := engine(t)
	if err := warehouse.Prepare(t.Context(), to, clickhouse.Version()); err != nil {
		t.Fatal(err)
	}
	conn, err := warehouse.Open(to)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if name, err := warehouse.Filled(t.Context(), conn); err != nil || name != "" {
		t.Fatalf("%q has rows, %v", name, err)
	}
	var again bytes.Buffer
	for _, table := range tables {
		var data bytes.Buffer
		n, err := warehouse.CopyTable(t.Context(), from, table.Name, through, &data)
		if err != nil {
			t.Fatal(err)
		}
		if table.Name == "audit.accesses" {
			again.Write(data.Bytes())
		}
		keepAll(t, conn, table.Name)
		filled, err := warehouse.FillTable(t.Context(), to, table.Name, &data)
		if err != nil || filled != n {
			t.Fatalf("%s: %d rows were copied and %d filled in, %v", table.Name, n, filled, err)
		}
		if want, got := sums(t, w.Conn(), table.Name, conditions[table.Name]), sums(t, conn, table.Name, ""); got != want {
			t.Errorf("%s: %s, want %s", table.Name, got, want)
		}
	}
	if name, err := warehouse.Filled(t.Context(), conn); err != nil || name == "" {
		t.Errorf("nothing has rows, %v", err)
	}
	if err := warehouse.Clear(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	if name, err := warehouse.Filled(t.Context(), conn); err != nil || name != "" {
		t.Errorf("%q has rows, %v", name, err)
	}
	// What the server lost, dying after it had noted that it knows the blocks, is filled in all the same.
	for range 2 {
		if err := conn.Exec(t.Context(), "ALTER TABLE audit.accesses DELETE WHERE 1 SETTINGS mutations_sync = 2"); err != nil {
			t.Fatal(err)
		}
		if _, err := warehouse.FillTable(t.Context(), to, "audit.accesses", bytes.NewReader(again.Bytes())); err != nil {
			t.Fatal(err)
		}
	}
	if want, got := sums(t, w.Conn(), "audit.accesses", ""), sums(t, conn, "audit.accesses", ""); got != want {
		t.Errorf("audit.accesses was filled again: %s, want %s", got, want)
	}
}

// What cannot be done ends with an error that says so, not with half a table that looks whole.
func TestCopyFails(t *testing.T) {
	_, at := engine(t)
	w, err := warehouse.Connect(t.Context(), at, "this bus", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Conn().Exec(t.Context(), "INSERT INTO store.run_log (run_id, job) SELECT toString(number), repeat('x', 100) FROM numbers(300000)"); err != nil {
		t.Fatal(err)
	}
	var data bytes.Buffer
	if _, err := warehouse.CopyTable(t.Context(), at, "store.run_log", 0, &data); err != nil {
		t.Fatal(err)
	}
	if _, err := warehouse.CopyTable(t.Context(), at, "store.nothing", 0, io.Discard); err == nil || !strings.Contains(err.Error(), "store.nothing") {
		t.Errorf("a table that is not there: %v", err)
	}
	if _, err := warehouse.FillTable(t.Context(), at, "store.run_log", bytes.NewReader(data.Bytes()[:data.Len()-3])); err == nil {
		t.Error("a copy without its end was taken")
	}
	if _, err := warehouse.FillTable(t.Context(), at, "store.bus", bytes.NewReader(data.Bytes())); err == nil {
		t.Error("a copy of another table was taken")
	}
	full := errors.New("no room")
	if _, err := warehouse.CopyTable(t.Context(), at, "store.run_log", 0, failing{full}); !errors.Is(err, full) {
		t.Errorf("a file that takes nothing: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := warehouse.CopyTable(ended, at, "store.run_log", 0, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
	wrong := at
	wrong.Password = "wrong"
	if _, err := warehouse.CopyTable(t.Context(), wrong, "store.run_log", 0, io.Discard); err == nil {
		t.Error("a wrong password was let in")
	}
	if n, err := warehouse.CountRows(t.Context(), w.Conn(), "store.run_log"); err != nil || n < 300_000 {
		t.Errorf("%d rows, %v", n, err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
