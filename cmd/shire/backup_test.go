package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/goccy/go-yaml"
	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"

	"github.com/shirecounty/shire/connectors/conformance"
	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/jobs/backup"
	"github.com/shirecounty/shire/pipeline/audit"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/clickhouse"
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
	g.exec("INSERT INTO calls SELECT 'N' || i, 'first ' || i, timestamp '2026-03-02 09:00' FROM generate_series(1, 1000) i")
	county := copyCounty(t, demoCounty(t, 1000, 90))
	text := strings.NewReplacer("%s", "calls").Replace(strings.Replace(followedContract, "%s\nsharing", "sharing", 1))
	if err := os.WriteFile(filepath.Join(county, "contracts", "calls.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	g.file = countyYAML(t, county, func(settings map[string]any) {
		delete(settings, "pseudonyms") // the key is generated, as it is at most counties
		settings["flow"] = map[string]any{"pack_rows": 50, "load_rows": 200, "pack_linger": "20ms", "load_age": "100ms"}
		settings["sources"] = append(settings["sources"].([]any), map[string]any{
			"name": "calls", "kind": "postgres", "datasets": []any{"calls"},
			"with": map[string]any{"address": g.server.Address, "database": "postgres", "user": "postgres", "tls": "disable",
				"on_gap": "snapshot", // its slot was told that what came after the backup is safe
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
			case <-time.After(8 * time.Millisecond):
			}
			if _, err := conn.Exec(context.Background(), fmt.Sprintf(`UPDATE calls SET category = 'again %[1]d' WHERE number IN ('N%[2]d', 'X%[3]d');
				DELETE FROM calls WHERE number = 'X%[4]d'; INSERT INTO calls VALUES ('X%[1]d', 'new', '2026-03-02 10:00')`, i, 1+i*37%1000, i-5, i-50)); err != nil {
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
	t.Parallel()
	needEngine(t)
	g := newGrid(t)
	key, to := keyFile(t), filepath.Join(t.TempDir(), "backups")
	data := filepath.Join(t.TempDir(), "node")
	shire(t, "load", "calls", "-c", g.file, "--data", data).ok(t)
	logAccesses(t, data, 3)

	up := start(t, "up", "-c", g.file, "--data", data)
	g.begin()
	up.WaitFor("Shire serves")
	up.waitUntil("files are being loaded", func() bool { return streamBytes(t, data, "CHANGES") > 100<<10 })
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

	again, lost := 0, data+" lost 0"
	for i, folder := range taken {
		if err := os.Rename(data, fmt.Sprint(data, " lost ", i)); err != nil {
			t.Fatal(err)
		}
		r := shire(t, "restore", folder, "-c", g.file, "--data", data, "--key-file", key).ok(t)
		if !strings.Contains(r.Stdout, "shire reconcile calls --repair") {
			t.Errorf("it does not say what to run: %v", r)
		}
		m := manifestOf(t, folder)
		if got := newestLoad(t, data); got != m.Loaded.Through {
			t.Errorf("backup %d: the restored warehouse is at message %d, and the ledger at %d", i, got, m.Loaded.Through)
		}
		// Before the sources say anything again, the bus brings all that it holds, with the people of then.
		drained := shire(t, "load", "data_bureau", "-v", "-c", g.file, "--data", data).ok(t)
		again += strings.Count(drained.Stderr, "a load that was not finished is made again")
		sameRows(t, lost, data, streamOf(m, bus.Changes).Last)
		up := start(t, "up", "-v", "-c", g.file, "--data", data)
		up.WaitFor("Shire serves")
		if r := shire(t, "load", "--data", data); r.Code != exitOK && !strings.Contains(r.Stderr, "what was deleted in between is found by: shire reconcile calls --repair") {
			t.Fatalf("the sources could not go on: %v", r)
		}
		if i == len(taken)-1 {
			g.end()
			shire(t, "reconcile", "calls", "--repair", "--data", data).ok(t)
			var reports []struct{ Equal bool }
			envelopeOf(t, shire(t, "reconcile", "calls", "--json", "--data", data).ok(t), &reports)
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
		sameSecrets(t, lost, data)
	}
	if again == 0 {
		t.Error("no backup caught a load under way: this proved nothing about the ledger")
	}
	t.Logf("%d ranges were loaded again; backups of %d and %d MB", again, during.Bytes()>>20, manifestOf(t, taken[1]).Bytes()>>20)
}

func streamOf(m *backup.Manifest, name string) *bus.Snapshot {
	for _, p := range m.Of(backup.KindStream) {
		if p.Stream.Stream == name {
			return p.Stream
		}
	}
	return &bus.Snapshot{}
}

// newestLoad is the last message that brought any row of the warehouse's tables.
func newestLoad(t *testing.T, data string) (newest uint64) {
	t.Helper()
	asLoader(t, data, func(conn driver.Conn) {
		for _, table := range canonical.Tables {
			var version uint64
			if err := conn.QueryRow(t.Context(), "SELECT max(version) FROM "+table.Database+"."+table.Name).Scan(&version); err != nil {
				t.Fatal(err)
			}
			newest = max(newest, change.SequenceOf(version))
		}
		var logged uint64
		if err := conn.QueryRow(t.Context(), "SELECT max(last_sequence) FROM store.load_log").Scan(&logged); err != nil {
			t.Fatal(err)
		}
		newest = max(newest, logged)
	})
	return newest
}

// newestRows is the newest version of every record, with all that it says, and its place on the bus.
func newestRows(t *testing.T, data string) map[string]struct{ version, hash uint64 } {
	t.Helper()
	out := map[string]struct{ version, hash uint64 }{}
	asLoader(t, data, func(conn driver.Conn) {
		for _, table := range canonical.Tables {
			name := table.Database + "." + table.Name
			var rows []struct {
				Record  string `ch:"record"`
				Version uint64 `ch:"newest"`
				Hash    uint64 `ch:"hash"`
			}
			all := "*"
			if table.Sealed() != nil { // sealed twice, a value is never the same; content_hash says whether it is
				all = "* EXCEPT sealed"
			}
			if err := conn.Select(t.Context(), &rows, "SELECT concat(dataset, ' ', toString(record_id)) AS record, max(version) AS newest, argMax(sipHash64(toString(tuple("+all+"))), version) AS hash FROM "+name+" GROUP BY record"); err != nil {
				t.Fatal(err)
			}
			for _, r := range rows {
				out[name+" "+r.Record] = struct{ version, hash uint64 }{r.Version, r.Hash}
			}
		}
	})
	return out
}

// sameRows fails the test unless every record that did not change after a message is the same in both data directories.
func sameRows(t *testing.T, wantData, gotData string, through uint64) {
	t.Helper()
	want, got := newestRows(t, wantData), newestRows(t, gotData)
	compared, wrong := 0, 0
	for record, w := range want {
		if change.SequenceOf(w.version) > through {
			continue
		}
		if compared++; got[record] != w {
			if wrong++; wrong < 4 {
				t.Errorf("%s is version %d (of message %d) and should be %d (of message %d)", record, got[record].version, change.SequenceOf(got[record].version), w.version, change.SequenceOf(w.version))
			}
		}
	}
	if wrong > 0 || compared < 100 {
		t.Errorf("%d of %d records differ", wrong, compared)
	}
}

// logAccesses writes into the log of accesses, on engines that nothing else uses.
func logAccesses(t *testing.T, data string, n int) {
	t.Helper()
	o := embedded.Options{Dir: data, Version: layoutVersion}
	for _, u := range clickhouse.Access() {
		if u.Name == clickhouse.Loader {
			o.ClickHouse.Users = []embedded.User{{Name: u.Name, Password: "for-this-test", Settings: u.Settings, Grants: u.Grants}}
		}
	}
	e, err := embedded.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Stop(t.Context())
	nc, err := nats.Connect(e.NATS().URL, e.NATS().InProcess()...)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	conn, err := warehouse.Open(warehouse.Address{Native: e.ClickHouse().Native, User: clickhouse.Loader, Password: "for-this-test"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	hasher, err := pseudonym.New([]byte(sharedKey))
	if err != nil {
		t.Fatal(err)
	}
	key, err := audit.LoadOrCreateKey(data, audit.Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	const simulated = "339921" // division of the simulated county
	log, err := audit.Open(t.Context(), nc, audit.Options{County: simulated, Hasher: hasher, Key: key, Old: audit.OldChain(conn), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		if err := log.Record(t.Context(), audit.Access{At: time.Now(), Caller: "test", Clerk: "clerk", Decision: "granted"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// checkAccesses proves the log with the key of its data directory: a restored one has the key that signed before.
func checkAccesses(t *testing.T, data string, n uint64) {
	t.Helper()
	var report audit.Report
	envelopeOf(t, shire(t, "audit", "verify", "--json", "--data", data).ok(t), &report)
	if report.Entries != n || report.Signed != n || report.Behind != 0 {
		t.Errorf("the log of accesses: %+v, want %d entries", report, n)
	}
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

// saved is a small county that was loaded and rests, with a backup of it, for all tests that do not change either.
var saved struct {
	once   sync.Once
	file   string
	data   string
	folder string
	key    string
	marts  map[string]string
}

func smallBackup(t *testing.T) {
	t.Helper()
	needEngine(t)
	saved.once.Do(func() {
		dir := filepath.Join(counties.dir, "small")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		county := demoCounty(t, 1000, 90)
		saved.file, saved.data, saved.key = filepath.Join(dir, "county.yaml"), filepath.Join(dir, "node"), filepath.Join(dir, "key")
		text, err := os.ReadFile(countyYAML(t, county, func(settings map[string]any) { delete(settings, "pseudonyms"); smallLoads(settings) }))
		if err == nil {
			err = os.WriteFile(saved.file, text, 0o600)
		}
		if err == nil {
			err = os.WriteFile(saved.key, []byte(backupPhrase), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		shire(t, "load", "-c", saved.file, "--data", saved.data).ok(t)
		saved.folder = takeBackup(t, "--data", saved.data, "--to", filepath.Join(dir, "backups"), "--key-file", saved.key)
		saved.marts = dump(t, saved.data)
	})
	if saved.marts == nil {
		t.Fatal("the small county could not be made")
	}
}

// copyOfBackup copies the small county's backup into a folder that the test may damage.
func copyOfBackup(t *testing.T) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), filepath.Base(saved.folder))
	if err := os.CopyFS(to, os.DirFS(saved.folder)); err != nil {
		t.Fatal(err)
	}
	return to
}

// rewriteManifest changes a backup's manifest as somebody does who knows how.
func rewriteManifest(t *testing.T, folder string, change func(map[string]any)) {
	t.Helper()
	path := filepath.Join(folder, "manifest.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	change(m)
	if text, err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	sum := fmt.Sprintf("%x  manifest.json\n", sha256.Sum256(text))
	if err := errors.Join(os.WriteFile(path, text, 0o600), os.WriteFile(path+".sha256", []byte(sum), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func flip(t *testing.T, path string, at int64) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[(at+int64(len(data)))%int64(len(data))] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// What cannot be restored is refused with a sentence that names it, before anything is changed.
func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	smallBackup(t)
	if info, err := os.Stat(saved.folder); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("others may look into the backup: %v %v", info.Mode(), err)
	}
	if err := filepath.WalkDir(saved.folder, func(path string, d os.DirEntry, err error) error {
		if info, e := d.Info(); err == nil && (e != nil || info.Mode().Perm()&0o077 != 0) {
			t.Errorf("others may read %s: %v %v", path, info.Mode(), e)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	var secrets map[string]string
	if text, err := os.ReadFile(filepath.Join(saved.data, "secrets.json")); err != nil || json.Unmarshal(text, &secrets) != nil {
		t.Fatal(err)
	}
	sealed, err := os.ReadFile(filepath.Join(saved.folder, "secrets.sealed"))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range secrets {
		if strings.Contains(string(sealed), value) {
			t.Errorf("the secret %s is in the backup in the clear", name)
		}
	}

	wrongKey := filepath.Join(t.TempDir(), "wrong.key")
	otherSecrets := filepath.Join(t.TempDir(), "secrets.json")
	occupied := t.TempDir()
	for path, text := range map[string]string{wrongKey: "another pass phrase of some length", otherSecrets: `{"pseudonym_key": "not this one, but long enough for a key"}`, filepath.Join(occupied, "something"): ""} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	in := func(name string) func(string) {
		return func(folder string) { flip(t, filepath.Join(folder, name), -40) }
	}
	for name, c := range map[string]struct {
		damage func(folder string)
		args   []string
		says   string
	}{
		"a flipped bit in a stream":        {in("bus/CHANGES.s2"), nil, "bus/CHANGES.s2 was changed"},
		"a flipped bit in the ledger":      {in("bus/LEDGER.s2"), nil, "bus/LEDGER.s2 was changed"},
		"a flipped bit in a table":         {in("warehouse/store.cases.native.zst"), nil, "warehouse/store.cases.native.zst was changed"},
		"a flipped bit in the identities":  {in("identity/person/state-1/MANIFEST"), nil, "identity/person/state-1/MANIFEST was changed"},
		"a flipped bit in the secrets":     {in("secrets.sealed"), nil, "secrets.sealed was changed"},
		"a flipped bit in the manifest":    {in("manifest.json"), nil, "manifest.json of"},
		"a flipped bit in the hash of all": {in("manifest.json.sha256"), nil, "manifest.json of"},
		"a part that is missing":           {func(f string) { os.Remove(filepath.Join(f, "warehouse", "store.cases.native.zst")) }, nil, "store.cases.native.zst cannot be read"},
		"a part that was cut off":          {func(f string) { os.Truncate(filepath.Join(f, "bus", "CHANGES.s2"), 100) }, nil, "bus/CHANGES.s2 has 100 bytes instead of"},
		"no manifest":                      {func(f string) { os.Remove(filepath.Join(f, "manifest.json")) }, nil, "it is no backup of shire"},
		"a newer format": {func(f string) {
			rewriteManifest(t, f, func(m map[string]any) { m["format"], m["program"] = 99, "9.9.9" })
		}, nil, "a newer shire wrote it (9.9.9)"},
		"a newer schema": {func(f string) { rewriteManifest(t, f, func(m map[string]any) { m["schema"] = 999 }) }, nil, "schema version 999"},
		"another county": {func(f string) { rewriteManifest(t, f, func(m map[string]any) { m["county"] = "999999" }) }, nil, "the backup is of county 999999"},
		"a part from outside": {func(f string) {
			rewriteManifest(t, f, func(m map[string]any) { m["parts"].([]any)[0].(map[string]any)["file"] = "../../etc/passwd" })
		}, nil, "a part that cannot be one"},
		"a table that is SQL": {func(f string) {
			rewriteManifest(t, f, func(m map[string]any) {
				for _, p := range m["parts"].([]any) {
					if p := p.(map[string]any); p["kind"] == "table" {
						p["table"] = "store.cases; DROP TABLE store.cases"
					}
				}
			})
		}, nil, "a part that cannot be one"},
		"no key":                {nil, []string{"--key-file", ""}, "give the file with their pass phrase: --key-file"},
		"a wrong key":           {nil, []string{"--key-file", wrongKey}, "do not open with this key"},
		"no key file":           {nil, []string{"--key-file", "/nowhere"}, "cannot be read"},
		"other secrets":         {nil, []string{"--secrets", otherSecrets}, "is not the one that the backup's county had"},
		"an occupied directory": {nil, []string{"--data", occupied}, "is not empty"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := copyOfBackup(t)
			if c.damage != nil {
				c.damage(folder)
			}
			data := filepath.Join(t.TempDir(), "node")
			r := shire(t, append([]string{"restore", folder, "-c", saved.file, "--data", data, "--key-file", saved.key}, c.args...)...)
			if r.Code != exitInput || !strings.Contains(r.Stderr, c.says) {
				t.Errorf("want exit code %d and %q: %v", exitInput, c.says, r)
			}
			if _, err := os.Stat(data); err == nil {
				t.Error("it made a data directory")
			}
			for name, value := range secrets {
				if strings.Contains(r.Stdout+r.Stderr, value) {
					t.Errorf("it quotes the secret %s", name)
				}
			}
		})
	}
	if entries, err := os.ReadDir(occupied); err != nil || len(entries) != 1 {
		t.Errorf("the occupied directory has %v, %v", entries, err)
	}
	if r := shire(t, "backup", "verify", saved.folder).ok(t); !strings.Contains(r.Stdout, "is whole") {
		t.Errorf("%v", r)
	}
}

// A backup that is killed never looks whole, and the next one clears it away. One that finds no room says so and leaves
// nothing. Old ones go when a new one is whole.
func TestBackupIsWholeOrNone(t *testing.T) {
	t.Parallel()
	smallBackup(t)
	up := start(t, "up", "-c", saved.file, "--data", saved.data)
	up.WaitFor("Shire serves")
	to := filepath.Join(t.TempDir(), "backups")
	whole := func() []backedUp {
		t.Helper()
		var list []backedUp
		envelopeOf(t, shire(t, "backup", "list", to, "--json").ok(t), &list)
		return list
	}
	first := takeBackup(t, "--data", saved.data, "--to", to, "--key-file", saved.key)

	killed := 0
	for try := 0; try < 20 && killed < 3; try++ {
		p := start(t, "backup", "--data", saved.data, "--to", to, "--keep", "1")
		p.waitUntil("the backup is being written", func() bool {
			names, _ := filepath.Glob(filepath.Join(to, "*.partial", "*", "*"))
			return p.Ended() || len(names) > 3*killed
		})
		if p.Kill().Code == -1 {
			killed++
			if list := whole(); len(list) != 1 || list[0].Folder != first {
				t.Fatalf("after a kill there are %+v", list)
			}
			if names, _ := filepath.Glob(filepath.Join(to, "*.partial")); len(names) != 1 {
				t.Fatalf("what was killed left %v", names)
			} else if r := shire(t, "restore", names[0], "-c", saved.file, "--data", filepath.Join(t.TempDir(), "node"), "--key-file", saved.key); r.Code != exitInput || !strings.Contains(r.Stderr, "was not finished") {
				t.Errorf("a backup that was killed: %v", r)
			}
			continue
		}
		first = whole()[0].Folder // it was quicker than the kill
	}
	if killed < 3 {
		t.Errorf("only %d backups were killed", killed)
	}

	p := startWith(t, nil, "backup", "--data", saved.data, "--to", to, "--keep", "1")
	limitFiles(t, p, 16<<10)
	if r := p.Wait(); r.Code != exitFailed || !strings.Contains(r.Stderr, "there is no room in "+to) {
		t.Errorf("without room: %v", r)
	}
	entries, err := os.ReadDir(to)
	if err != nil || len(entries) != 2 { // the lock is the other
		t.Errorf("there is %v, %v", entries, err)
	}
	if list := whole(); len(list) != 1 || list[0].Folder != first {
		t.Errorf("afterwards there are %+v", list)
	}

	second := takeBackup(t, "--data", saved.data, "--to", to, "--keep", "2")
	third := takeBackup(t, "--data", saved.data, "--to", to, "--keep", "2")
	if list := whole(); len(list) != 2 || list[0].Folder != second || list[1].Folder != third || list[0].Secrets {
		t.Errorf("two are to be kept: %+v", list)
	}
	r := shire(t, "backup", "--data", saved.data, "--to", to, "--keep", "1").ok(t)
	if !strings.Contains(r.Stdout, "the generated secrets are not in it") || strings.Contains(r.Stdout, "\x1b") {
		t.Errorf("%v", r)
	}
	if r := shire(t, "backup", "--data", saved.data); r.Code != exitInput {
		t.Errorf("without a folder: %v", r)
	}
	if r := shire(t, "backup", "--data", saved.data, "--to", filepath.Join(saved.file, "below")); r.Code != exitInput {
		t.Errorf("a folder that cannot be: %v", r)
	}
	short := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(short, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := shire(t, "backup", "--data", saved.data, "--to", to, "--key-file", short); r.Code != exitInput || !strings.Contains(r.Stderr, "shorter than") {
		t.Errorf("a short key: %v", r)
	}
	if r := up.Stop(); r.Code != exitOK {
		t.Errorf("the platform did not stop well: %v", r)
	}
}

// A restore that is killed leaves a data directory on which nothing starts; the next one begins anew and gives the county
// that was backed up. Kept secrets do where the backup has none.
func TestRestoreIsKilled(t *testing.T) {
	t.Parallel()
	smallBackup(t)
	data := filepath.Join(t.TempDir(), "node")
	args := []string{"restore", saved.folder, "-c", saved.file, "--data", data, "--key-file", saved.key}
	there := func(pattern string) func() bool {
		return func() bool {
			names, _ := filepath.Glob(filepath.Join(data, pattern))
			return len(names) > 0
		}
	}
	for what, reached := range map[string]func() bool{
		"it has begun": there("restoring.json"), "streams are made": there("nats/jetstream/*/streams/CHANGES"), "tables are made": there("clickhouse/data/store/cases"),
	} {
		p := start(t, args...)
		p.waitUntil(what, reached)
		if p.Kill().Code != -1 {
			t.Fatalf("it ended before it was killed when %s: %v", what, p.result)
		}
		if r := shire(t, "up", "-c", saved.file, "--data", data); r.Code != exitInput || !strings.Contains(r.Stderr, "run shire restore again") {
			t.Errorf("killed when %s, and then: %v", what, r)
		}
	}
	var done restored
	envelopeOf(t, shire(t, append(args, "--json")...).ok(t), &done)
	if done.Messages == 0 || done.Rows == 0 {
		t.Errorf("%+v", done)
	}
	if again := counts(t, shire(t, "load", "-c", saved.file, "--data", data)); again != (loadCounts{}) {
		t.Errorf("a load after the restore did %+v", again)
	}
	sameMarts(t, saved.marts, saved.data, data)
	noRowTwice(t, data)
	if r := shire(t, args...); r.Code != exitInput || !strings.Contains(r.Stderr, "is not empty") {
		t.Errorf("once more into the same: %v", r)
	}

	bare := takeBackup(t, "--data", data, "--to", filepath.Join(t.TempDir(), "backups"))
	other := filepath.Join(t.TempDir(), "node")
	if r := shire(t, "restore", bare, "-c", saved.file, "--data", other); r.Code != exitInput || !strings.Contains(r.Stderr, "--secrets FILE") {
		t.Errorf("without secrets: %v", r)
	}
	shire(t, "restore", bare, "-c", saved.file, "--data", other, "--secrets", filepath.Join(data, "secrets.json")).ok(t)
	sameSecrets(t, data, other)
}

// With engines elsewhere: a restore refuses those that hold anything, and clears away what a killed one has put there.
func TestRestoreIntoExternalEngines(t *testing.T) {
	t.Parallel()
	smallBackup(t)
	text, err := os.ReadFile(saved.file)
	if err != nil {
		t.Fatal(err)
	}
	var settings map[string]any
	if err := yaml.Unmarshal(text, &settings); err != nil {
		t.Fatal(err)
	}
	external(externalNATS(t, nil), externalClickHouse(t), "")(settings)
	if text, err = yaml.Marshal(settings); err != nil {
		t.Fatal(err)
	}
	file, data := filepath.Join(t.TempDir(), "county.yaml"), filepath.Join(t.TempDir(), "node")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"restore", saved.folder, "-c", file, "--key-file", saved.key, "--data", data}
	killed := 0
	for range 20 {
		p := start(t, args...)
		p.waitUntil("engines are written to", func() bool {
			note, _ := os.ReadFile(filepath.Join(data, "restoring.json"))
			return p.Ended() || strings.Contains(string(note), `"filling":true`)
		})
		time.Sleep(time.Duration(killed) * 50 * time.Millisecond)
		if p.Kill().Code != -1 {
			t.Fatalf("it ended before it was killed: %v", p.result)
		}
		if killed++; killed == 3 {
			break
		}
	}
	shire(t, args...).ok(t)
	if again := counts(t, shire(t, "load", "-c", file, "--data", data)); again != (loadCounts{}) {
		t.Errorf("a load after the restore did %+v", again)
	}
	sameMarts(t, saved.marts, saved.data, data)
	args[len(args)-1] = filepath.Join(t.TempDir(), "node")
	if r := shire(t, args...); r.Code != exitInput || !strings.Contains(r.Stderr, "already: a backup is restored into an empty one") {
		t.Errorf("into engines that are in use: %v", r)
	}
	if _, err := os.Stat(filepath.Join(args[len(args)-1], "restoring.json")); err == nil {
		t.Error("what was refused left its note behind")
	}
	// A backup of engines elsewhere is like any other.
	folder := takeBackup(t, "--data", data, "--to", filepath.Join(t.TempDir(), "backups"), "--key-file", saved.key)
	back := filepath.Join(t.TempDir(), "node")
	shire(t, "restore", folder, "-c", saved.file, "--data", back, "--key-file", saved.key).ok(t)
	shire(t, "load", "-c", saved.file, "--data", back).ok(t)
	sameMarts(t, saved.marts, saved.data, back)
}
