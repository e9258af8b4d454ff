package clickhouse_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	conn "github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"github.com/shirecounty/shire/schemas/calendar"
	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/clickhouse"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/metrics"
)

const zone = "Asia/Shanghai"

// catalogueItems are three, of the three sharing types.
var catalogueItems = []*contract.Dataset{
	{Name: "free", Department: "police", Title: contract.Text{Zh: "户籍", En: "Residents"}, Version: 1, Sharing: contract.Sharing{Type: "unconditional"}},
	{Name: "granted", Department: "civil", Title: contract.Text{Zh: "婚姻", En: "Marriages"}, Version: 1, Sharing: contract.Sharing{Type: "conditional"}},
	{Name: "closed", Department: "health", Title: contract.Text{Zh: "病历", En: "Files"}, Version: 2, Sharing: contract.Sharing{Type: "none", Ground: "Law 1"}},
}

// ready gives an empty warehouse with its reference tables and views.
func ready(t *testing.T) conn.Conn {
	t.Helper()
	c := migrate(t)
	for _, table := range append([]*canonical.Table{canonical.Links}, canonical.Tables...) {
		exec(t, c, "TRUNCATE TABLE "+table.Database+"."+table.Name)
	}
	for _, table := range clickhouse.Kept() {
		exec(t, c, "TRUNCATE TABLE store."+table+"_versions")
	}
	cal, err := calendar.Load(calendar.National())
	if err != nil {
		t.Fatal(err)
	}
	if err := clickhouse.LoadReference(t.Context(), c, cal, map[string]contract.Text{"housing": {Zh: "住建局", En: "Housing"}}, slices.Values(catalogueItems)); err != nil {
		t.Fatal(err)
	}
	set, err := metrics.Load()
	if err != nil {
		t.Fatal(err)
	}
	if err := clickhouse.ApplyViews(t.Context(), c, zone, clickhouse.Loader, set); err != nil {
		t.Fatal(err)
	}
	return c
}

type row map[string]any

// id is a pseudonym for tests: the same for the same name.
func id(name string) uuid.UUID { return uuid.NewSHA1(uuid.NameSpaceOID, []byte(name)) }

// local reads a time in the county's zone: "2026-02-13 10:00".
func local(s string) time.Time {
	where, err := time.LoadLocation(zone)
	if err != nil {
		panic(err)
	}
	at, err := time.ParseInLocation("2006-01-02 15:04", s, where)
	if err != nil {
		panic(err)
	}
	return at
}

func date(s string) time.Time {
	at, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return at
}

// insert adds rows of a table, each with its record named by "record"; the dataset is "d" and the version 1 unless a row says so.
func insert(t *testing.T, c conn.Conn, table string, rows ...row) {
	t.Helper()
	for _, r := range rows {
		full := row{"version": uint64(1)}
		if table != "store.links" {
			maps.Copy(full, row{"dataset": "d", "source": "s", "source_department": "hall"})
		}
		maps.Copy(full, r)
		full["record_id"] = id(fmt.Sprint(full["record"]))
		delete(full, "record")
		columns := slices.Sorted(maps.Keys(full))
		batch, err := c.PrepareBatch(t.Context(), "INSERT INTO "+table+" ("+strings.Join(columns, ", ")+")")
		if err != nil {
			t.Fatal(err)
		}
		values := make([]any, len(columns))
		for i, name := range columns {
			values[i] = full[name]
		}
		if err := batch.Append(values...); err != nil {
			t.Fatal(err)
		}
		if err := batch.Send(); err != nil {
			t.Fatal(err)
		}
	}
}

// insertAll is insert for many rows with the same columns; what one lacks is empty.
func insertAll(t *testing.T, c conn.Conn, table string, rows []row) {
	t.Helper()
	columns := map[string]bool{}
	for _, r := range rows {
		for name := range r {
			columns[name] = true
		}
	}
	delete(columns, "record")
	names := slices.Sorted(maps.Keys(columns))
	batch, err := c.PrepareBatch(t.Context(), "INSERT INTO "+table+" (dataset, version, record_id, "+strings.Join(names, ", ")+")")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		values := []any{"d", uint64(1), id(fmt.Sprint(r["record"]))}
		for _, name := range names {
			value := r[name]
			if value == nil {
				value = ""
			}
			values = append(values, value)
		}
		if err := batch.Append(values...); err != nil {
			t.Fatal(err)
		}
	}
	if err := batch.Send(); err != nil {
		t.Fatal(err)
	}
}

// read gives the rows of a query as text: columns divided by a space, NULL as ~.
func read(t *testing.T, c conn.Conn, columns, rest string) []string {
	t.Helper()
	var parts []string
	for _, column := range strings.Split(columns, "; ") {
		parts = append(parts, "ifNull(toString("+column+"), '~')")
	}
	rows, err := c.Query(t.Context(), "SELECT arrayStringConcat(["+strings.Join(parts, ", ")+"], ' ') "+rest)
	if err != nil {
		t.Fatalf("%s\n%v", rest, err)
	}
	defer rows.Close()
	var lines []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

func same(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}
