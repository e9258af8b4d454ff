package warehouse_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/google/uuid"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/clickhouse"
)

// versioned is a record for each of the ids, with versions from the given one on, which arrived at that second.
func versioned(table *canonical.Table, dataset string, version uint64, ids ...int) arrow.Record {
	rb := array.NewRecordBuilder(memory.DefaultAllocator, table.Schema())
	defer rb.Release()
	for i, id := range ids {
		for c, col := range table.Columns {
			switch b := rb.Field(c).(type) {
			case *array.StringBuilder:
				if col.Name == "dataset" {
					b.Append(dataset)
				} else {
					b.Append(fmt.Sprint(version))
				}
			case *array.FixedSizeBinaryBuilder:
				id := uuid.NewSHA1(uuid.NameSpaceOID, fmt.Append(nil, id))
				b.Append(id[:])
			case *array.Uint64Builder:
				b.Append(version + uint64(i))
			case *array.Uint8Builder:
				b.Append(0)
			case *array.TimestampBuilder:
				b.Append(arrow.Timestamp(version * 1e6))
			default:
				b.AppendNull()
			}
		}
	}
	return rb.NewRecord()
}

// parts are the directories of a table's parts, oldest first.
func parts(t *testing.T, conn driver.Conn, table string) (paths []string) {
	t.Helper()
	database, name, _ := strings.Cut(table, ".")
	rows, err := conn.Query(t.Context(), "SELECT path FROM system.parts WHERE active AND database = ? AND table = ? ORDER BY min_block_number", database, name)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var path string
		if err := rows.Scan(&path); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

// I3, I4: a server that is killed between a token and its rows knows the one and has not the other. Whatever is repeated is
// there afterwards, in every table, and stands there once.
func TestRowsThatATokenOutlivedComeBack(t *testing.T) {
	if _, err := embedded.FindLibrary(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	options := embedded.Options{Dir: t.TempDir(), Version: "1.0.0", NATS: embedded.NATSOptions{Disabled: true}, Log: slog.New(slog.DiscardHandler)}
	for _, u := range clickhouse.Access() {
		grants := u.Grants
		if u.Name == clickhouse.Loader { // the test asks where the parts are
			grants = append(slices.Clone(grants), "SELECT ON system.parts")
		}
		options.ClickHouse.Users = append(options.ClickHouse.Users, embedded.User{Name: u.Name, Password: "of-" + u.Name, Settings: u.Settings, Readonly: u.Readonly, Grants: grants})
	}
	heard := listening{slog.DiscardHandler, make(chan string, 100)}
	var e *embedded.Engines
	var w *warehouse.Warehouse
	begin := func() {
		t.Helper()
		var err error
		if e, err = embedded.Start(t.Context(), options); err != nil {
			t.Fatal(err)
		}
		w = connect(t, warehouse.Address{Native: e.ClickHouse().Native, User: clickhouse.Loader, Password: "of-" + clickhouse.Loader}, "bus", slog.New(heard))
	}
	end := func() {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := e.Stop(ctx); err != nil {
			t.Error(err)
		}
	}
	begin()
	tables := []string{"store.cases", "store.cases_versions", "restricted.person_records", "store.links", "store.load_log", "store.quarantine_log",
		"store.run_log"}
	for _, table := range tables {
		keepAll(t, w.Conn(), table)
	}
	cases, _ := canonical.Lookup("cases")
	persons, _ := canonical.Lookup("person_records")
	at := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
	load := func() {
		t.Helper()
		for i, step := range []func() error{
			func() error { return w.Load(t.Context(), cases, versioned(cases, "d", 100, 1, 2, 3), "first") },
			func() error { return w.Load(t.Context(), cases, versioned(cases, "d", 200, 4, 5, 6), "second") },
			func() error { return w.Load(t.Context(), cases, versioned(cases, "d", 300, 7, 8, 9), "third") },
			func() error { return w.Load(t.Context(), cases, versioned(cases, "d", 400, 10, 11, 12), "fourth") },
			func() error { return w.Load(t.Context(), persons, versioned(persons, "d", 100, 1, 2, 3), "first") },
			func() error {
				return w.Load(t.Context(), canonical.Links, versioned(canonical.Links, "d", 100, 1, 2, 3), "first")
			},
			func() error {
				return w.Log(t.Context(), "first", []warehouse.Loaded{{Table: "store.cases", First: 1, Last: 2, Started: time.Now().UTC(), Finished: time.Now().UTC()}})
			},
			func() error {
				return w.Quarantine(t.Context(), "first", []warehouse.Held{{Dataset: "d", Version: 5, Event: 7, At: at, State: "waiting"}})
			},
			func() error { return w.RecordRun(t.Context(), warehouse.Run{ID: "r", Started: at, Outcome: "ok"}) },
		} {
			if err := step(); err != nil {
				t.Fatalf("step %d: %v", i, err)
			}
		}
	}
	load()
	load()
	if n := len(heard.failed); n > 0 {
		t.Fatalf("%d warnings where nothing was lost, the first: %s", n, <-heard.failed)
	}
	// What is lost: of cases the first and the third load, of their versions the second and the third.
	lose := func(which map[string][]int) {
		t.Helper()
		var lost []string
		for table, numbers := range which {
			all := parts(t, w.Conn(), table)
			for _, n := range numbers {
				if n < 0 {
					n += len(all)
				}
				lost = append(lost, all[n])
			}
		}
		w.Close()
		end()
		for _, path := range lost {
			if _, err := os.Stat(path); err != nil {
				t.Fatal(err)
			}
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
		}
		begin()
	}
	counts := func() (out []string) {
		t.Helper()
		for _, q := range []string{
			"SELECT toString(count()) || ' of ' || toString(uniqExact(record_id)) FROM store.cases",
			"SELECT toString(count()) || ' of ' || toString(uniqExact(record_id)) FROM store.cases_versions FINAL",
			"SELECT toString(count()) || ' of ' || toString(uniqExact(record_id)) FROM restricted.person_records",
			"SELECT toString(count()) || ' of ' || toString(uniqExact(record_id)) FROM store.links",
			"SELECT toString(count()) FROM store.load_log", "SELECT toString(count()) FROM store.quarantine_log", "SELECT toString(count()) FROM store.run_log",
		} {
			var s string
			if err := w.Conn().QueryRow(t.Context(), q).Scan(&s); err != nil {
				t.Fatal(err)
			}
			out = append(out, s)
		}
		return out
	}
	want := []string{"12 of 12", "12 of 12", "3 of 3", "3 of 3", "1", "1", "1"}
	lose(map[string][]int{"store.cases": {0, 2}, "store.cases_versions": {1, 2}, "restricted.person_records": {0}, "store.links": {0},
		"store.load_log": {0}, "store.quarantine_log": {0}, "store.run_log": {0}})
	load()
	if got := counts(); !slices.Equal(got, want) {
		t.Errorf("after the first loss there are %q, want %q", got, want)
	}
	if n := len(heard.failed); n != 8 {
		t.Errorf("%d warnings, want one for each loss", n)
	}
	// The rows that came under the second token are lost as well, and the server does not tell any more what it knows.
	for i, u := range options.ClickHouse.Users {
		options.ClickHouse.Users[i].Settings = maps.Clone(u.Settings)
		options.ClickHouse.Users[i].Settings["send_profile_events"] = "0"
	}
	lose(map[string][]int{"store.cases": {-1, -2}, "store.cases_versions": {-1}, "restricted.person_records": {0}, "store.links": {0},
		"store.load_log": {0}, "store.quarantine_log": {0}, "store.run_log": {0}})
	load()
	if got := counts(); !slices.Equal(got, want) {
		t.Errorf("after the second loss there are %q, want %q", got, want)
	}
	for len(heard.failed) > 0 {
		<-heard.failed
	}
	load()
	if n := len(heard.failed); n > 0 {
		t.Errorf("%d warnings where nothing was lost any more, the first: %s", n, <-heard.failed)
	}
	w.Close()
	end()
}

// Loads of records that replace each other, in any order, with losses and merges between them: repeating all of them, as a
// start repeats what was recorded, gives each record its newest version, and every version that there ever was.
func TestRepeatedLoadsMendLosses(t *testing.T) {
	_, a := engine(t)
	w := connect(t, a, "bus", slog.New(slog.DiscardHandler))
	table, _ := canonical.Lookup("cases")
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	exec := func(statement string, args ...any) {
		t.Helper()
		if err := w.Conn().Exec(t.Context(), statement, args...); err != nil {
			t.Fatal(err)
		}
	}
	for round := range 8 {
		dataset := fmt.Sprint("d", round)
		var ids [4][]int
		newest, all := map[string]uint64{}, map[string]bool{}
		for k := range ids {
			ids[k] = rng.Perm(6)[:1+rng.IntN(5)]
			for i, id := range ids[k] {
				record, version := uuid.NewSHA1(uuid.NameSpaceOID, fmt.Append(nil, id)).String(), uint64(100*(k+1)+i)
				newest[record] = max(newest[record], version)
				all[fmt.Sprint(record, "/", version)] = true
			}
		}
		load := func(k int) {
			t.Helper()
			if err := w.Load(t.Context(), table, versioned(table, dataset, uint64(100*(k+1)), ids[k]...), fmt.Sprintf("cases:%d:%d", round, k)); err != nil {
				t.Fatal(err)
			}
		}
		var steps []string
		for range 6 {
			switch k := rng.IntN(4); rng.IntN(5) {
			case 0, 1:
				load(k)
				steps = append(steps, fmt.Sprint("load ", k))
			case 2, 3: // a mutation takes the rows and leaves the token, as a kill does
				lost := []string{"store.cases", "store.cases_versions"}[rng.IntN(2)]
				exec("ALTER TABLE "+lost+" DELETE WHERE dataset = ? AND intDiv(version, 100) = ? SETTINGS mutations_sync = 2", dataset, k+1)
				steps = append(steps, fmt.Sprint(lost, " loses ", k))
			case 4:
				exec("OPTIMIZE TABLE store.cases FINAL")
				steps = append(steps, "merge")
			}
		}
		for k := range ids {
			load(k)
		}
		gotNewest, gotAll := map[string]uint64{}, map[string]bool{}
		read := func(query string, row func(record string, version uint64)) {
			t.Helper()
			rows, err := w.Conn().Query(t.Context(), query, dataset)
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			for rows.Next() {
				var record string
				var version uint64
				if err := rows.Scan(&record, &version); err != nil {
					t.Fatal(err)
				}
				row(record, version)
			}
		}
		read("SELECT toString(record_id), version FROM store.cases FINAL WHERE dataset = ?", func(record string, version uint64) { gotNewest[record] = version })
		read("SELECT toString(record_id), version FROM store.cases_versions WHERE dataset = ?", func(record string, version uint64) { gotAll[fmt.Sprint(record, "/", version)] = true })
		read("SELECT toString(record_id), version FROM store.cases WHERE dataset = ? GROUP BY record_id, version HAVING count() > 1", func(record string, version uint64) {
			t.Errorf("round %d: version %d stands twice after %q", round, version, steps)
		})
		if fmt.Sprint(gotNewest) != fmt.Sprint(newest) {
			t.Errorf("round %d: the records stand at %v, want %v, after %q", round, gotNewest, newest, steps)
		}
		if fmt.Sprint(gotAll) != fmt.Sprint(all) {
			t.Errorf("round %d: the versions are %v, want %v, after %q", round, gotAll, all, steps)
		}
	}
}
