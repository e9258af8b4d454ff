package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shirecounty/shire/connectors/conformance"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/reconcile"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/clickhouse"
)

// database is a department's PostgreSQL with a table of calls, and a county that reads it into an external ClickHouse,
// which a test may damage.
type database struct {
	t            *testing.T
	server       *conformance.Postgres
	file, data   string
	house        string
	certainWords string // in every category: no output may quote it (I7)
}

const databaseCounty = `county: {division: "330782", name_zh: 义县, name_en: Yi}
departments: {grid: {zh: 网格化服务中心, en: Grid Service Centre}}
contracts: contracts
engines:
  clickhouse: {address: "%s", user: %s, password: "${TEST_LOADER_PASSWORD}", analyst_password: "${TEST_ANALYST_PASSWORD}"}
sources:
  - name: grid
    kind: postgres
    datasets: [calls]
    with:
      address: %s
      database: postgres
      user: postgres
      tls: disable
      tables: [{table: calls, dataset: calls}]
  - name: drop
    kind: file
    datasets: [patrols]
    with: {directory: drop, files: [{match: "patrols-*.csv", dataset: patrols}]}
portal: {listen: "127.0.0.1:0"}
`

func newDatabase(t *testing.T, rows int) *database {
	t.Helper()
	needEngine(t)
	d := &database{t: t, server: conformance.StartPostgres(t), house: externalClickHouse(t), data: filepath.Join(t.TempDir(), "node"), certainWords: "secret words"}
	d.exec("CREATE TABLE calls (number text PRIMARY KEY, category text, reported_at timestamp NOT NULL)")
	d.exec(fmt.Sprintf("INSERT INTO calls SELECT 'N' || i, '%s ' || i, timestamp '2026-03-02 09:00' FROM generate_series(1, %d) i", d.certainWords, rows))
	dir := t.TempDir()
	d.file = filepath.Join(dir, "county.yaml")
	for name, text := range map[string]string{
		"county.yaml":            fmt.Sprintf(databaseCounty, d.house, clickhouse.Loader, d.server.Address),
		"contracts/calls.yaml":   strings.NewReplacer("%s", "calls").Replace(strings.Replace(followedContract, "%s\nsharing", "sharing", 1)),
		"contracts/patrols.yaml": strings.NewReplacer("%s", "patrols").Replace(strings.Replace(followedContract, "%s\nsharing", "sharing", 1)),
		"drop/keep":              "",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func (d *database) exec(sql string) {
	d.t.Helper()
	conn, err := pgx.Connect(d.t.Context(), d.server.URL("postgres"))
	if err != nil {
		d.t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(d.t.Context(), sql); err != nil {
		d.t.Fatalf("%s: %v", sql, err)
	}
}

// damage does to the warehouse what nobody should.
func (d *database) damage(statements ...string) {
	d.t.Helper()
	conn, err := warehouse.Open(warehouse.Address{Native: d.house, User: clickhouse.Loader, Password: clickhouse.Loader + "-password"})
	if err != nil {
		d.t.Fatal(err)
	}
	defer conn.Close()
	for _, s := range statements {
		if err := conn.Exec(d.t.Context(), s); err != nil {
			d.t.Fatalf("%s: %v", s, err)
		}
	}
}

// reconcile runs the command and returns its report of the one dataset.
func (d *database) reconcile(code int, args ...string) *reconcile.Report {
	d.t.Helper()
	r := shire(d.t, append([]string{"reconcile", "grid", "--json", "-c", d.file, "--data", d.data}, args...)...)
	if r.Code != code {
		d.t.Fatalf("the exit code is not %d: %v", code, r)
	}
	var reports []*reconcile.Report
	envelopeOf(d.t, r, &reports)
	if len(reports) != 1 {
		d.t.Fatalf("%d reports: %v", len(reports), r)
	}
	return reports[0]
}

func (d *database) calls() string {
	d.t.Helper()
	row := query(d.t, d.data, "SELECT count(), countIf(category LIKE '"+d.certainWords+"%') FROM mart.incidents")
	return fmt.Sprint(row[0]...)
}

var someDamage = []string{
	"ALTER TABLE store.incidents DELETE WHERE incident_number IN ('N1', 'N2', 'N3') SETTINGS mutations_sync = 2",
	"ALTER TABLE store.incidents UPDATE category = 'never said' WHERE incident_number IN ('N4', 'N5') SETTINGS mutations_sync = 2",
}

// A warehouse that lost rows and holds wrong ones is found out and repaired from the department's database, at rest and
// beside a running platform with writes going on; and made whole again from the bus.
func TestReconcileAndReplay(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, 3000)
	shire(t, "load", "-c", d.file, "--data", d.data).ok(t)
	if got := d.reconcile(exitOK); !got.Equal || got.Records != 3000 || got.Tables[0].Warehouse != 3000 {
		t.Fatalf("%+v", got)
	}
	if r := shire(t, "reconcile", "drop", "--data", d.data); r.Code != exitInput || !strings.Contains(r.Stderr, "is of kind file") {
		t.Errorf("a source that cannot be asked: %v", r)
	}

	d.damage(someDamage...)
	if got := d.reconcile(exitFailed); got.Missing != 3 || got.Stale != 2 || got.Extra+got.Lost != 0 || len(got.Differences) != 5 {
		t.Errorf("%+v", got)
	}
	r := shire(t, "reconcile", "grid", "--data", d.data)
	if r.Code != exitFailed || !strings.Contains(r.Stdout, "3 missing, 0 extra, 2 stale") || strings.Contains(r.Stdout+r.Stderr, "N1") || strings.Contains(r.Stdout+r.Stderr, d.certainWords) {
		t.Errorf("as text: %v", r)
	}
	if got := d.reconcile(exitOK, "--repair", "--dataset", "calls"); !got.Equal || got.Repaired != 5 {
		t.Errorf("%+v", got)
	}
	if got := d.calls(); got != "3000 3000" {
		t.Errorf("after the repair %s", got)
	}

	d.damage("TRUNCATE TABLE store.incidents")
	if r := shire(t, "replay", "--source", "grid", "--from", "1", "--data", d.data).ok(t); !strings.Contains(r.Stdout, "calls: 3005 changes") {
		t.Errorf("%v", r)
	}
	if got := d.reconcile(exitOK); !got.Equal {
		t.Errorf("after the replay %+v", got)
	}

	up := start(t, "up", "-c", d.file, "--data", d.data)
	up.WaitFor("Shire serves")
	quit := make(chan struct{})
	var department sync.WaitGroup
	department.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-quit:
				return
			case <-time.After(30 * time.Millisecond):
			}
			d.exec(fmt.Sprintf(`UPDATE calls SET category = '%[1]s again %[2]d' WHERE number = 'N%[3]d';
				DELETE FROM calls WHERE number = 'X%[4]d'; INSERT INTO calls VALUES ('X%[2]d', '%[1]s', '2026-03-02 10:00')`, d.certainWords, i, 100+i%50, i-20))
		}
	})
	if got := d.reconcile(exitOK); !got.Equal {
		t.Errorf("beside writes %+v", got)
	}
	d.damage(someDamage...)
	if got := d.reconcile(exitOK, "--repair"); !got.Equal || got.Repaired != 5 {
		t.Errorf("beside writes %+v", got)
	}
	d.damage(someDamage...)
	shire(t, "replay", "--source", "grid", "--dataset", "calls", "--from", "2026-01-01", "--data", d.data).ok(t)
	close(quit)
	department.Wait()
	if got := d.reconcile(exitOK); !got.Equal {
		t.Errorf("at last %+v", got)
	}
	if r := up.Stop(); r.Code != exitOK {
		t.Errorf("the platform did not stop well: %v", r)
	}
}

func TestStretch(t *testing.T) {
	t.Parallel()
	shanghai, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"1234": "1234", "2026-03-02": "2026-03-02T00:00:00+08:00", "2026-03-02 12:00": "2026-03-02T12:00:00+08:00", "2026-03-02 12:00:05": "2026-03-02T12:00:05+08:00",
		"2026-03-02T12:00:00Z": "2026-03-02T12:00:00Z", "0": "", "-1": "", "": "", "yesterday": "", "2026-13-02": "",
	} {
		p, err := parsePlace(text, shanghai)
		got := ""
		switch {
		case err != nil:
		case p.sequence != 0:
			got = fmt.Sprint(p.sequence)
		default:
			got = p.at.Format(time.RFC3339)
		}
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q is %q, %v", text, got, err)
		}
	}

	nc, err := nats.Connect(externalNATS(t, nil), nats.UserInfo("county", "nats-password"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	b, err := bus.Open(t.Context(), nc, bus.Options{County: "330782", Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	w, err := b.ChangesWriter(t.Context(), b.ChangesSubject("hall", "a"))
	if err != nil {
		t.Fatal(err)
	}
	for range 9 {
		if _, err := w.Publish(t.Context(), nats.Header{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	check := func(from, to place, want string) {
		t.Helper()
		first, last, err := stretch(t.Context(), b, "grid", from, to, shanghai)
		got := fmt.Sprint(first, " ", last)
		if err != nil {
			got = err.Error()
		}
		if want == "" || !strings.Contains(got, want) {
			t.Errorf("%+v to %+v: %s", from, to, got)
		}
	}
	long := time.Now().Add(-time.Hour)
	check(place{sequence: 1}, place{}, "1 9")
	check(place{at: long}, place{}, "1 9")
	check(place{sequence: 3}, place{sequence: 5}, "3 5")
	check(place{sequence: 3}, place{sequence: 50}, "3 9")
	check(place{at: long}, place{at: time.Now()}, "1 9")
	check(place{at: long}, place{at: long.Add(time.Minute)}, "1 0")
	check(place{sequence: 5}, place{sequence: 3}, "exchange --from and --to")
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	changes, err := js.Stream(t.Context(), bus.Changes)
	if err != nil {
		t.Fatal(err)
	}
	if err := changes.Purge(t.Context(), jetstream.WithPurgeSequence(4)); err != nil {
		t.Fatal(err)
	}
	check(place{sequence: 4}, place{}, "4 9")
	check(place{sequence: 3}, place{}, "it begins with message 4, of ")
	check(place{at: long}, place{}, "shire reconcile grid --repair")
}
