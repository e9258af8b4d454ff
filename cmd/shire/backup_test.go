package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/jackc/pgx/v5"

	"github.com/shirecounty/shire/connectors/conformance"
	"github.com/shirecounty/shire/jobs/backup"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// grid is a department's PostgreSQL beside the files of a simulated county, and somebody who works on it.
type grid struct {
	t      *testing.T
	server *conformance.Postgres
	file   string // county.yaml
	quit   chan struct{}
	work   sync.WaitGroup
}

func newGrid(t *testing.T) *grid {
	t.Helper()
	g := &grid{t: t, server: conformance.StartPostgres(t), quit: make(chan struct{})}
	g.exec("CREATE TABLE calls (number text PRIMARY KEY, category text, reported_at timestamp NOT NULL)")
	g.exec("INSERT INTO calls SELECT 'N' || i, 'first ' || i, timestamp '2026-03-02 09:00' FROM generate_series(1, 3000) i")
	county := copyCounty(t, demoCounty(t, 2000, 180))
	text := strings.NewReplacer("%s", "calls").Replace(strings.Replace(followedContract, "%s\nsharing", "sharing", 1))
	if err := os.WriteFile(filepath.Join(county, "contracts", "calls.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	g.file = countyYAML(t, county, func(settings map[string]any) {
		delete(settings, "pseudonyms") // the key is generated, as it is at most counties
		settings["flow"] = map[string]any{"pack_rows": 50, "load_rows": 200, "pack_linger": "20ms", "load_age": "100ms"}
		settings["sources"] = append(settings["sources"].([]any), map[string]any{
			"name": "grid", "kind": "postgres", "datasets": []any{"calls"},
			"with": map[string]any{"address": g.server.Address, "database": "postgres", "user": "postgres", "tls": "disable",
				"tables": []any{map[string]any{"table": "calls", "dataset": "calls"}}},
		})
	})
	return g
}

func (g *grid) exec(sql string) {
	g.t.Helper()
	conn, err := pgx.Connect(g.t.Context(), g.server.URL("postgres"))
	if err == nil {
		defer conn.Close(context.Background())
		_, err = conn.Exec(g.t.Context(), sql)
	}
	if err != nil {
		g.t.Fatalf("%s: %v", sql, err)
	}
}

// begin has somebody insert, change and delete until end is called.
func (g *grid) begin() {
	g.work.Go(func() {
		conn, err := pgx.Connect(context.Background(), g.server.URL("postgres"))
		if err != nil {
			g.t.Error(err)
			return
		}
		defer conn.Close(context.Background())
		for i := 0; ; i++ {
			select {
			case <-g.quit:
				return
			case <-time.After(5 * time.Millisecond):
			}
			if _, err := conn.Exec(context.Background(), fmt.Sprintf(`UPDATE calls SET category = 'again %[1]d' WHERE number IN ('N%[2]d', 'X%[3]d');
				DELETE FROM calls WHERE number = 'X%[4]d'; INSERT INTO calls VALUES ('X%[1]d', 'new', '2026-03-02 10:00')`, i, 1+i*37%3000, i-5, i-50)); err != nil {
				g.t.Error(err)
				return
			}
		}
	})
}

func (g *grid) end() { close(g.quit); g.work.Wait() }

// rows are the records of the department's table.
func (g *grid) rows() map[string]string {
	g.t.Helper()
	conn, err := pgx.Connect(g.t.Context(), g.server.URL("postgres"))
	if err != nil {
		g.t.Fatal(err)
	}
	defer conn.Close(context.Background())
	found, err := conn.Query(g.t.Context(), "SELECT number, category FROM calls")
	if err != nil {
		g.t.Fatal(err)
	}
	out := map[string]string{}
	for found.Next() {
		var number, category string
		if err := found.Scan(&number, &category); err != nil {
			g.t.Fatal(err)
		}
		out[number] = category
	}
	return out
}

// loadedCalls are the same records as the warehouse has them.
func loadedCalls(t *testing.T, data string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, r := range query(t, data, "SELECT incident_number, category FROM mart.incidents WHERE dataset = 'calls'") {
		if _, twice := out[r[0].(string)]; twice {
			t.Errorf("call %v is there twice", r[0])
		}
		out[r[0].(string)] = r[1].(string)
	}
	return out
}

// manifestOf reads what a backup says of itself.
func manifestOf(t *testing.T, folder string) *backup.Manifest {
	t.Helper()
	b, err := backup.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	return b.Manifest
}

// takeBackup runs shire backup and returns the folder.
func takeBackup(t *testing.T, args ...string) string {
	t.Helper()
	var done backedUp
	envelopeOf(t, shire(t, append([]string{"backup", "--json"}, args...)...).ok(t), &done)
	return done.Folder
}

const backupPhrase = "a pass phrase for the tests alone"

func keyFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "backup.key")
	if err := os.WriteFile(path, []byte(backupPhrase+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// While files are loaded and a database is written to, backups are taken. Each is restored into an empty data directory,
// catches up, reconciles equal with the database, and has the people of the county that went on.
func TestBackupUnderLoad(t *testing.T) {
	needEngine(t)
	g := newGrid(t)
	key, to := keyFile(t), filepath.Join(t.TempDir(), "backups")
	data := filepath.Join(t.TempDir(), "node")
	shire(t, "load", "grid", "-c", g.file, "--data", data).ok(t)
	logAccesses(t, data, 3)

	up := start(t, "up", "-c", g.file, "--data", data)
	g.begin()
	up.WaitFor("Shire serves")
	up.waitUntil("files are being loaded", func() bool { return streamBytes(t, data, "CHANGES") > 300<<10 })
	taken := []string{takeBackup(t, "--data", data, "--to", to, "--key-file", key)}
	during := manifestOf(t, taken[0])
	shire(t, "load", "--data", data).ok(t) // by the one that runs, to the end of the files
	taken = append(taken, takeBackup(t, "--data", data, "--to", to, "--key-file", key))
	if all := manifestOf(t, taken[1]); all.Messages() <= during.Messages() || all.Rows() <= during.Rows() {
		t.Errorf("the first backup was not taken while the county was loaded: %d messages and %d rows, then %d and %d", during.Messages(), during.Rows(), all.Messages(), all.Rows())
	}
	if r := up.Stop(); r.Code != exitOK {
		t.Fatalf("the platform did not stop well: %v", r)
	}
	want := peopleOf(t, data)

	again := 0
	for i, folder := range taken {
		if err := os.Rename(data, data+fmt.Sprint(" lost ", i)); err != nil {
			t.Fatal(err)
		}
		r := shire(t, "restore", folder, "-c", g.file, "--data", data, "--key-file", key).ok(t)
		if !strings.Contains(r.Stdout, "shire reconcile grid --repair") {
			t.Errorf("it does not say what to run: %v", r)
		}
		up := start(t, "up", "-v", "-c", g.file, "--data", data)
		up.WaitFor("Shire serves")
		shire(t, "load", "--data", data).ok(t)
		if i == len(taken)-1 {
			g.end()
		}
		shire(t, "reconcile", "grid", "--repair", "--data", data).ok(t)
		again += strings.Count(up.Output(), "a load that was not finished is made again")
		if i == len(taken)-1 {
			var reports []struct{ Equal bool }
			envelopeOf(t, shire(t, "reconcile", "grid", "--json", "--data", data).ok(t), &reports)
			if len(reports) != 1 || !reports[0].Equal {
				t.Errorf("the restored county differs from the department: %+v", reports)
			}
			if lines := differences(g.rows(), loadedCalls(t, data)); len(lines) > 0 {
				t.Errorf("%d records differ: %s", len(lines), strings.Join(lines[:min(5, len(lines))], "\n"))
			}
		}
		if strings.Contains(up.Output(), "the bus has lost messages") {
			t.Errorf("the restored bus does not fit: %s", up.Output())
		}
		if r := up.Stop(); r.Code != exitOK {
			t.Fatalf("the restored platform did not stop well: %v", r)
		}
		got := peopleOf(t, data)
		for _, view := range slices.Sorted(maps.Keys(want)) {
			// What the department's database brings goes on meanwhile, and loads are counted as they happened.
			if strings.HasPrefix(view, "mart.") && view != "mart.incidents" && view != "mart.as_of" && got[view] != want[view] {
				t.Errorf("backup %d, %s: in the county that went on %s, in the restored one %s", i, view, want[view], got[view])
			}
		}
		noRowTwice(t, data)
		checkAccesses(t, data, 3)
		sameSecrets(t, data+" lost 0", data)
	}
	if again == 0 {
		t.Error("no backup caught a load under way: this proved nothing about the ledger")
	}
	t.Logf("%d ranges were loaded again; backups of %d and %d MB", again, during.Bytes()>>20, manifestOf(t, taken[1]).Bytes()>>20)
}

// logAccesses writes into the log of accesses.
func logAccesses(t *testing.T, data string, n int) {
	t.Helper()
	hasher, err := pseudonym.New([]byte(sharedKey))
	if err != nil {
		t.Fatal(err)
	}
	asLoader(t, data, func(conn driver.Conn) {
		log := warehouse.NewAccesses(conn, hasher)
		for range n {
			if err := log.Record(t.Context(), warehouse.Access{At: time.Now(), Caller: "test", Clerk: "clerk", Decision: "granted"}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func checkAccesses(t *testing.T, data string, n uint64) {
	t.Helper()
	asLoader(t, data, func(conn driver.Conn) {
		if got, err := warehouse.VerifyAccesses(t.Context(), conn); err != nil || got != n {
			t.Errorf("the log of accesses has %d rows, want %d: %v", got, n, err)
		}
	})
}

func sameSecrets(t *testing.T, want, got string) {
	t.Helper()
	var files [2]map[string]string
	for i, dir := range []string{want, got} {
		path := filepath.Join(dir, "secrets.json")
		text, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(text, &files[i])
		}
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s may be read by others: %v %v", path, info.Mode(), err)
		}
	}
	if !maps.Equal(files[0], files[1]) {
		t.Error("the secrets are not those that were backed up")
	}
}
