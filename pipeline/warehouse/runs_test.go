package warehouse_test

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/clickhouse"
	"github.com/shirecounty/shire/schemas/metrics"
)

func TestRecordRun(t *testing.T) {
	if _, err := embedded.FindLibrary(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	options := embedded.Options{Dir: t.TempDir(), Version: "1.0.0", NATS: embedded.NATSOptions{Disabled: true}, Log: slog.New(slog.DiscardHandler)}
	for _, u := range clickhouse.Access() {
		options.ClickHouse.Users = append(options.ClickHouse.Users,
			embedded.User{Name: u.Name, Password: "of-" + u.Name, Settings: u.Settings, Readonly: u.Readonly, Grants: u.Grants})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	engines, err := embedded.Start(ctx, options)
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
	w, err := warehouse.Connect(ctx, address(clickhouse.Loader), "the bus of the test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := clickhouse.ApplyViews(ctx, w.Conn(), "Asia/Shanghai", clickhouse.Loader, metrics.Set{}); err != nil {
		t.Fatal(err)
	}
	analyst, err := warehouse.Open(address(clickhouse.Analyst))
	if err != nil {
		t.Fatal(err)
	}
	defer analyst.Close()

	began := time.Date(2026, 11, 23, 3, 0, 0, 250_000, time.UTC)
	begin := warehouse.Run{ID: "hall@2026-11-23T11:00:00+08:00", Job: "read", Source: "hall", Started: began, Outcome: "running"}
	end := begin
	end.Attempt, end.Cause, end.Owner, end.Node, end.Rows = 2, "missed", "data bureau", "n1", 5
	end.Due, end.From, end.To = began, began.Add(-24*time.Hour), began
	end.Event, end.Outcome, end.Finished, end.Changes, end.Message = 1, "failed", began.Add(time.Minute), 7, "the folder is away"
	other := warehouse.Run{ID: "grid@2026-11-23T11:00:00+08:00", Job: "read", Source: "grid", Started: began, Outcome: "running"}
	// In any order, and each as often as you like: a report is a fact.
	for _, runs := range [][]warehouse.Run{{end}, {begin, other}, {end}, {begin, other}} {
		if err := w.RecordRun(ctx, runs...); err != nil {
			t.Fatal(err)
		}
	}
	var stored uint64
	if err := w.Conn().QueryRow(ctx, "SELECT count() FROM store.run_log").Scan(&stored); err != nil || stored != 3 {
		t.Errorf("%d reports are stored, want 3: %v", stored, err)
	}
	var runs []struct {
		ID       string     `ch:"run_id"`
		Source   string     `ch:"source"`
		Started  time.Time  `ch:"started_at"`
		Finished *time.Time `ch:"finished_at"`
		Outcome  string     `ch:"outcome"`
		Changes  uint64     `ch:"changes"`
		Message  string     `ch:"message"`
		Rows     uint64     `ch:"rows"`
		Attempt  uint32     `ch:"attempt"`
		Cause    string     `ch:"cause"`
		Due      *time.Time `ch:"due_at"`
		From     *time.Time `ch:"interval_from"`
		To       *time.Time `ch:"interval_to"`
		Node     string     `ch:"node"`
		Owner    string     `ch:"owner"`
	}
	if err := analyst.Select(t.Context(), &runs, "SELECT run_id, source, started_at, finished_at, outcome, changes, message, rows, attempt, cause, due_at, interval_from, interval_to, node, owner FROM ops.runs ORDER BY source"); err != nil {
		t.Fatal(err)
	}
	if len(runs) != 2 || runs[0].Outcome != "running" || runs[0].Finished != nil {
		t.Fatalf("the analyst sees %+v", runs)
	}
	if r := runs[1]; r.ID != end.ID || r.Outcome != "failed" || r.Changes != 7 || r.Message != end.Message || r.Finished == nil ||
		!r.Finished.Equal(end.Finished) || !r.Started.Equal(began.Truncate(time.Microsecond)) {
		t.Errorf("the analyst sees %+v", r)
	}
	if r := runs[1]; r.Rows != 5 || r.Attempt != 2 || r.Cause != "missed" || r.Node != "n1" || r.Owner != "data bureau" || r.Due == nil || !r.Due.Equal(began.Truncate(time.Microsecond)) ||
		r.From == nil || r.To == nil || r.To.Sub(*r.From) != 24*time.Hour {
		t.Errorf("the analyst sees %+v", r)
	}
	if r := runs[0]; r.From != nil || r.Due != nil {
		t.Errorf("a run without an interval has %+v", r)
	}
}
