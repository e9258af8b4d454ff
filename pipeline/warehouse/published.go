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
	columns := []string{"metric", "month", "department", "edition", "metric_version", "value", "state", "units", "published_at", "run_id", "as_of", "reason"}
	return w.insert(ctx, "store.published", fmt.Sprintf("published/%s/%s", run, part), columns, func(b driver.Batch) error {
		for _, p := range figures {
			if err := b.Append(p.Metric, p.Month, p.Department, p.Edition, p.Version, p.Value, p.State, p.Units, p.At.UTC(), p.Run, p.AsOf, p.Reason); err != nil {
				return err
			}
		}
		return nil
	})
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
