package clickhouse_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	conn "github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/clickhouse"
	"github.com/shirecounty/shire/schemas/metrics"
)

// twoCases is a county of two cases with a step each: four rows.
func twoCases(t *testing.T, c conn.Conn) {
	for _, number := range []string{"1", "2"} {
		insert(t, c, "store.cases", row{"record": number, "case_number": number, "department": "hall", "applied_at": local("2025-03-03 09:00"), "accepted_at": local("2025-03-03 09:00"), "visits": int64(1), "closed_at": local("2025-03-04 09:00")})
		insert(t, c, "store.case_steps", row{"record": "step " + number, "case_number": number, "activity": "a", "started_at": local("2025-03-03 09:00")})
	}
}

var ofMarch = metrics.Month{Year: 2025, Month: 3}

// preparedOrNot says whether each reader is answered from a preparation: figures, how cases went, and SQL.
func preparedOrNot(t *testing.T, c conn.Conn, figures *warehouse.Figures, want bool) {
	t.Helper()
	r, err := figures.Metric(t.Context(), metrics.Query{Metric: "visits", From: ofMarch, To: ofMarch})
	if err != nil || (r.Prepared != "") != want || r.Rows[0].Count != 2 {
		t.Errorf("a figure: %+v, %v", r, err)
	}
	p, err := figures.Process(t.Context(), metrics.ProcessQuery{From: ofMarch, To: ofMarch})
	if err != nil || (p.Prepared != "") != want || p.Cases != 2 {
		t.Errorf("how cases went: %+v, %v", p, err)
	}
	same(t, read(t, c, "comment LIKE '%Prepared: loads up to%'", "FROM system.tables WHERE database = 'metrics' AND name = 'visits'"), map[bool]string{false: "0", true: "1"}[want])
	same(t, read(t, as(t, clickhouse.Analyst), "sum(units)", "FROM metrics.visits"), "2")
}

// A county is large from so many rows of cases, steps and papers on, and no longer when it has fewer.
func TestOnlyALargeCountyIsPrepared(t *testing.T) {
	c, _, figures, preparer := preparing(t)
	exec(t, c, "TRUNCATE TABLE prepared.state")
	twoCases(t, c)
	prepare(t, preparer(0), false) // two million
	prepare(t, preparer(5), false)
	preparedOrNot(t, c, figures, false)
	prepare(t, preparer(4), true)
	preparedOrNot(t, c, figures, true)
	prepare(t, preparer(5), false)
	preparedOrNot(t, c, figures, false)
	same(t, read(t, c, "count()", "FROM prepared.state"), "0")
}

// What other views or definitions prepared is not read, and what these did is read again after a start, which writes the views anew.
func TestWhatOthersPreparedIsForgotten(t *testing.T) {
	c, set, figures, preparer := preparing(t)
	exec(t, c, "TRUNCATE TABLE prepared.state")
	twoCases(t, c)
	prepare(t, preparer(1), true)
	started := func(change func(*warehouse.Preparer)) {
		t.Helper()
		if err := clickhouse.ApplyViews(t.Context(), c, zone, clickhouse.Loader, set); err != nil {
			t.Fatal(err)
		}
		p := preparer(1)
		change(p)
		if err := p.Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	started(func(*warehouse.Preparer) {})
	preparedOrNot(t, c, figures, true)
	started(func(p *warehouse.Preparer) { p.Views = "others" })
	preparedOrNot(t, c, figures, false)
	prepare(t, preparer(1), true)
	preparedOrNot(t, c, figures, true)
	started(func(p *warehouse.Preparer) { p.Zone = time.UTC }) // months are others there
	preparedOrNot(t, c, figures, false)
}

// failing fails where a statement says so.
type failing struct {
	conn.Conn
	at string
}

func (f failing) Exec(ctx context.Context, query string, args ...any) error {
	if strings.Contains(query, f.at) {
		return errors.New("the engine was killed")
	}
	return f.Conn.Exec(ctx, query, args...)
}

// Readers have the last preparation until the next is whole, and who still reads it then can: its tables go when the one after begins.
func TestThePreparationBeforeIsKept(t *testing.T) {
	c, set, figures, preparer := preparing(t)
	exec(t, c, "TRUNCATE TABLE prepared.state")
	twoCases(t, c)
	next := 0
	p := preparer(1)
	again := func() { // something has changed
		next++
		p.Views = fmt.Sprint(next)
	}
	there := func(numbers ...string) {
		t.Helper()
		same(t, read(t, c, "extract(name, '[0-9]+$')", "FROM system.tables WHERE database = 'prepared' AND name != 'state' GROUP BY ALL ORDER BY 1"), numbers...)
	}
	prepare(t, p, true)
	there("1")
	for _, at := range []string{"prepared.sums_visits_2", "prepared.process_follows_2", "INSERT INTO prepared.state"} {
		again()
		p.Conn = failing{c, at}
		if done, err := p.Prepare(t.Context()); err == nil || done {
			t.Fatalf("killed at %s: %v, %v", at, done, err)
		}
		preparedOrNot(t, c, figures, true)
		there("1", "2")
	}
	p.Conn = c
	prepare(t, p, true)
	there("1", "2") // a reader that had looked up the first one finds it
	preparedOrNot(t, c, figures, true)
	same(t, read(t, c, "sum(units)", "FROM prepared.sums_visits_1"), "2")
	again()
	prepare(t, p, true)
	there("2", "3")

	// Killed after its row was written: the views of metrics still tell the one before, whose tables are there, until a start or the next preparation.
	again()
	p.Conn = failing{c, "CREATE OR REPLACE VIEW metrics.visits"}
	if _, err := p.Prepare(t.Context()); err == nil {
		t.Fatal("nothing failed")
	}
	preparedOrNot(t, c, figures, true)
	p.Conn = c
	again()
	prepare(t, p, true)
	there("4", "5")
	preparedOrNot(t, c, figures, true)
	for _, d := range set.All() { // none is left on what was swept away
		exec(t, c, "SELECT * FROM metrics."+d.Name+" FORMAT Null")
	}
}
