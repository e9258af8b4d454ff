package publish_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/jobs/publish"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/calendar"
	"github.com/shirecounty/shire/schemas/clickhouse"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/metrics"
)

func TestMain(m *testing.M) {
	embedded.RunChildIfAsked()
	os.Exit(m.Run())
}

// newPublish is a job over a warehouse of its own; its clock stands at now.
func newPublish(t *testing.T, now *time.Time) (*publish.Publish, driver.Conn, driver.Conn) {
	t.Helper()
	if _, err := embedded.FindLibrary(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	o := embedded.Options{Dir: t.TempDir(), Version: "1.0.0", NATS: embedded.NATSOptions{Disabled: true}, Log: slog.New(slog.DiscardHandler)}
	for _, u := range clickhouse.Access() {
		o.ClickHouse.Users = append(o.ClickHouse.Users, embedded.User{Name: u.Name, Password: "of-" + u.Name, Settings: u.Settings, Readonly: u.Readonly, Grants: u.Grants})
	}
	engines, err := embedded.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := engines.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	address := func(user string) warehouse.Address {
		return warehouse.Address{Native: engines.ClickHouse().Native, User: user, Password: "of-" + user}
	}
	w, err := warehouse.Connect(t.Context(), address(clickhouse.Loader), "the bus of the test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	analyst, err := warehouse.Open(address(clickhouse.Analyst))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { analyst.Close() })
	set, err := metrics.Load()
	if err != nil {
		t.Fatal(err)
	}
	days, err := calendar.Load(calendar.National())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(clickhouse.LoadReference(t.Context(), w.Conn(), days, nil, maps.Values(contract.Set{})),
		clickhouse.ApplyViews(t.Context(), w.Conn(), "Asia/Shanghai", clickhouse.Loader, set)); err != nil {
		t.Fatal(err)
	}
	zone := time.FixedZone("Asia/Shanghai", 8*60*60)
	p := &publish.Publish{Settings: publish.Settings{Metrics: []string{"citizen_time", "supplement_rate"}, Months: 2}, Set: set, Zone: zone,
		Figures: warehouse.NewFigures(analyst, set, zone), Keep: w.Publish, Now: func() time.Time { return *now },
		Published: func(ctx context.Context, from, to metrics.Month) ([]warehouse.Published, error) {
			return warehouse.PublishedFigures(ctx, analyst, from, to)
		},
		Changes: func(ctx context.Context, since time.Time) ([]metrics.Restated, error) {
			return warehouse.Changes(ctx, analyst, since)
		}}
	return p, w.Conn(), analyst
}

// A figure that comes out otherwise becomes another edition with what has changed since, and the one before stays.
func TestPublish(t *testing.T) {
	now := time.Date(2025, 4, 2, 0, 0, 0, 0, time.UTC)
	p, loader, analyst := newPublish(t, &now)
	exec := func(sql string, args ...any) {
		t.Helper()
		if err := loader.Exec(t.Context(), sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	do := func(run string) (jobs.Result, string) {
		t.Helper()
		var output bytes.Buffer
		r, err := p.Do(t.Context(), jobs.Task{Run: run, Attempt: 1, Due: now}, &output)
		if err != nil {
			t.Fatal(err)
		}
		return r, output.String()
	}
	if r, _ := do("nothing"); !strings.Contains(r.Message, "nothing to publish") {
		t.Errorf("of an empty warehouse: %+v", r)
	}
	// Eight cases a month of a and twelve of b, January to April; each takes two days.
	exec(`INSERT INTO store.cases (record_id, dataset, case_number, department, item_code, applied_at, accepted_at, closed_at, delivered_at, version, received_at)
		WITH intDiv(number, 20) AS month, addMonths(toDateTime64('2025-01-03 02:00:00', 6, 'UTC'), month) + toIntervalHour(number % 20) AS applied
		SELECT toUUID(concat('00000000-0000-0000-0000-', leftPad(toString(number), 12, '0'))), 'hall', toString(number), if(number % 5 < 2, 'a', 'b'), 'i', applied, applied,
			addDays(applied, 2), addDays(applied, 2), 1, '2025-04-01 00:00:00' FROM numbers(80)`)

	// February and March are the last two complete months; the county and two departments, of two metrics.
	if r, _ := do("first"); r.Counts["new"] != 12 || r.Counts["restated"] != 0 {
		t.Errorf("at first: %+v", r)
	}
	if r, _ := do("second"); r.Counts["unchanged"] != 12 || r.Counts["new"]+r.Counts["restated"] != 0 {
		t.Errorf("again: %+v", r)
	}
	// What is published later of a month that was not complete is published first.
	now = time.Date(2025, 5, 10, 0, 0, 0, 0, time.UTC)
	exec(`INSERT INTO store.cases (record_id, dataset, case_number, department, applied_at, version, received_at) SELECT generateUUIDv4(), 'hall', 'later', 'c', '2025-05-09 00:00:00', 1, '2025-05-09 01:00:00'`)
	if r, _ := do("third"); r.Counts["new"] != 6 || r.Counts["unchanged"] != 6 {
		t.Errorf("a month later: %+v", r)
	}
	// Of March, department b: every case took six days. That was known late, and is no figure of a.
	now = time.Date(2025, 5, 20, 0, 0, 0, 0, time.UTC)
	exec(`INSERT INTO store.cases (record_id, dataset, case_number, department, item_code, applied_at, accepted_at, closed_at, delivered_at, version, received_at)
		SELECT record_id, 'hall', case_number, department, item_code, applied_at, accepted_at, addDays(applied_at, 6), addDays(applied_at, 6), 2, '2025-05-15 00:00:00'
		FROM store.cases FINAL WHERE department = 'b' AND applied_at >= '2025-03-01' AND applied_at < '2025-04-01'`)
	r, said := do("fourth")
	if r.Counts["restated"] != 2 || r.Counts["unchanged"] != 10 || !strings.Contains(said, "citizen_time of 2025-03 is restated: 1.728e+05, published 2025-04-02, is now") ||
		!strings.Contains(said, "12 of hall were corrected") || !strings.Contains(said, "1 of hall were added") {
		t.Errorf("restated: %+v\n%s", r, said)
	}
	// All of b is removed: what was published of it is restated as empty, once.
	now = time.Date(2025, 5, 25, 0, 0, 0, 0, time.UTC)
	exec(`INSERT INTO store.cases (record_id, dataset, case_number, department, item_code, applied_at, version, received_at, deleted)
		SELECT record_id, 'hall', case_number, department, item_code, applied_at, 3, '2025-05-24 00:00:00', 1 FROM store.cases FINAL WHERE department = 'b'`)
	if r, _ = do("fifth"); r.Counts["restated"] < 4 {
		t.Errorf("removed: %+v", r)
	}
	if r, _ = do("sixth"); r.Counts["unchanged"] != 12 {
		t.Errorf("removed, again: %+v", r)
	}
	var editions, newest uint64
	var value *float64
	var before float64
	var state, reason string
	if err := analyst.QueryRow(t.Context(), `SELECT count(), countIf(newest), argMax(state, edition), argMax(reason, edition), anyIf(value, edition = 2), anyIf(before, edition = 2)
		FROM ops.published WHERE metric = 'citizen_time' AND month = '2025-03' AND department = 'b'`).Scan(&editions, &newest, &state, &reason, &value, &before); err != nil {
		t.Fatal(err)
	}
	if editions != 3 || newest != 1 || state != metrics.StateEmpty || !strings.Contains(reason, "were removed") || value == nil || *value != 6*86400 || before != 2*86400 {
		t.Errorf("%d editions, %d newest, %s, %q, %v after %v", editions, newest, state, reason, value, before)
	}
	// A definition that has changed is its own reason.
	p.Settings.Metrics = []string{"supplement_rate"}
	changed := *p.Set["supplement_rate"]
	changed.Version++
	p.Set["supplement_rate"] = &changed
	if r, said = do("seventh"); r.Counts["unchanged"] != 0 || !strings.Contains(said, "defined anew: it was version 1 and is version 2") {
		t.Errorf("defined anew: %+v\n%s", r, said)
	}
}

func TestSettings(t *testing.T) {
	set, err := metrics.Load()
	if err != nil {
		t.Fatal(err)
	}
	var all publish.Settings
	if key, _, _ := all.Prove(set); key != "" || len(all.Metrics) != len(set) || all.Months != 12 {
		t.Errorf("the defaults are %+v: %s", all, key)
	}
	for want, s := range map[string]publish.Settings{"months": {Months: 61}, "metrics[1]": {Metrics: []string{"visits", "visit"}}} {
		if key, message, do := s.Prove(set); key != want || message == "" || do == "" {
			t.Errorf("%+v: %s: %s; %s", s, key, message, do)
		}
	}
}
