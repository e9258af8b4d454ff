package warehouse

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/shirecounty/shire/schemas/metrics"
)

// Published is a figure as it was given out.
type Published struct {
	Metric     string
	Month      string // 2026-03
	Department string // empty for the whole county
	Edition    uint32 // from 1; each restatement is one more
	Version    uint32 // of the metric's definition
	Value      *float64
	State      string // of [metrics.Row]
	Units      int64
	At         time.Time
	Run        string
	AsOf       string
	Reason     string // of a restatement
}

// PublishedFigures are the editions in force of the months between from and to, both included.
func PublishedFigures(ctx context.Context, conn driver.Conn, from, to metrics.Month) ([]Published, error) {
	found, err := list(ctx, conn, `SELECT metric, month, department, edition, metric_version, value, state, units, published_at, run_id, as_of, reason
		FROM ops.published WHERE newest AND month >= ? AND month <= ?`, []any{from.String(), to.String()}, func(p *Published) []any {
		return []any{&p.Metric, &p.Month, &p.Department, &p.Edition, &p.Version, &p.Value, &p.State, &p.Units, &p.At, &p.Run, &p.AsOf, &p.Reason}
	})
	if err != nil {
		return nil, fmt.Errorf("ask the warehouse for the published figures: %w", err)
	}
	return found, nil
}

// Publish keeps figures as they are given out. part tells the inserts of a run apart: the same one again does nothing.
func (w *Warehouse) Publish(ctx context.Context, run, part string, figures []Published) error {
	if len(figures) == 0 {
		return nil
	}
	return w.insert(ctx, &block{table: "store.published", token: fmt.Sprintf("published/%s/%s", run, part), place: place{row: []string{"metric", "month", "department", "edition"}}, columns: []cells{
		cellsOf("metric", figures, func(p Published) string { return p.Metric }),
		cellsOf("month", figures, func(p Published) string { return p.Month }),
		cellsOf("department", figures, func(p Published) string { return p.Department }),
		cellsOf("edition", figures, func(p Published) uint32 { return p.Edition }),
		cellsOf("metric_version", figures, func(p Published) uint32 { return p.Version }),
		cellsOf("value", figures, func(p Published) *float64 { return p.Value }),
		cellsOf("state", figures, func(p Published) string { return p.State }),
		cellsOf("units", figures, func(p Published) int64 { return p.Units }),
		cellsOf("published_at", figures, func(p Published) time.Time { return p.At.UTC() }),
		cellsOf("run_id", figures, func(p Published) string { return p.Run }),
		cellsOf("as_of", figures, func(p Published) string { return p.AsOf }),
		cellsOf("reason", figures, func(p Published) string { return p.Reason }),
	}})
}

// Changes tells what has changed in the county's model since a moment.
func Changes(ctx context.Context, conn driver.Conn, since time.Time) ([]metrics.Restated, error) {
	sql, args := metrics.Query{Known: since}.ChangesQuery()
	found, err := list(ctx, conn, sql, args, func(r *metrics.Restated) []any { return []any{&r.Dataset, &r.Change, &r.Records} })
	if err != nil {
		return nil, fmt.Errorf("ask the warehouse what has changed since: %w", err)
	}
	return found, nil
}
