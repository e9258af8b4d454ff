package warehouse

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/shirecounty/shire/schemas/metrics"
)

// Process tells how the cases of a cohort went. Where the question is at fault the error is a [metrics.InputError].
func (f *Figures) Process(ctx context.Context, q metrics.ProcessQuery) (metrics.Process, error) {
	args, err := q.Args(f.zone)
	if err != nil {
		return metrics.Process{}, err
	}
	p := metrics.Process{Item: q.Item, Department: q.Department, Channel: q.Channel, From: q.From.String(), To: q.To.String()}
	if !q.Known.IsZero() {
		p.Known = q.Known.In(f.zone).Format(time.RFC3339Nano)
	}
	ready, err := f.prepared(ctx)
	if err != nil {
		return metrics.Process{}, err
	}
	summary, variants, follows, rework, activities := q.Statements()
	if ready != nil && q.Prepared(ready.Prepared) {
		p.AsOf, p.Prepared = ready.asOf.In(f.zone).Format(time.RFC3339), ready.began.In(f.zone).Format(time.RFC3339)
		summary, variants, follows, rework, activities = q.PreparedStatements(ready.Prepared)
		args, err = q.PreparedArgs(f.zone)
	} else {
		p.AsOf, err = f.asOf(ctx, metrics.Query{Known: q.Known})
	}
	if err != nil {
		return metrics.Process{}, err
	}
	if err := f.conn.QueryRow(ctx, summary, args...).Scan(&p.Cases, &p.Steps, &p.Variants, &p.Repeating, &p.ExtraSteps,
		&p.MeanSeconds, &p.WorkingSeconds, &p.WaitingSeconds, &p.UntoldSeconds); err != nil {
		return metrics.Process{}, fmt.Errorf("ask the warehouse how cases went: %w", err)
	}
	if p.ListedVariants, err = list(ctx, f.conn, variants, args, func(v *metrics.ProcessVariant) []any {
		return []any{&v.Trace, &v.Cases, &v.Share, &v.ExtraSteps, &v.MedianSeconds}
	}); err != nil {
		return metrics.Process{}, fmt.Errorf("ask the warehouse for the variants: %w", err)
	}
	if p.Follows, err = list(ctx, f.conn, follows, args, func(t *metrics.ProcessTransition) []any {
		return []any{&t.From, &t.To, &t.Count, &t.Cases, &t.MeanSeconds, &t.MedianSeconds, &t.WaitingSeconds}
	}); err != nil {
		return metrics.Process{}, fmt.Errorf("ask the warehouse what followed what: %w", err)
	}
	if p.Rework, err = list(ctx, f.conn, rework, args, func(r *metrics.ProcessRework) []any {
		return []any{&r.Activity, &r.Cases, &r.ExtraSteps, &r.Directly}
	}); err != nil {
		return metrics.Process{}, fmt.Errorf("ask the warehouse what was done again: %w", err)
	}
	if p.Activities, err = list(ctx, f.conn, activities, args, func(a *metrics.ProcessActivity) []any {
		return []any{&a.Activity, &a.Steps, &a.Cases, &a.WorkingSeconds, &a.WaitingSeconds, &a.UntoldSeconds}
	}); err != nil {
		return metrics.Process{}, fmt.Errorf("ask the warehouse where the time went: %w", err)
	}
	return p, nil
}

// list reads the rows of a query; columns are where one row goes.
func list[T any](ctx context.Context, conn driver.Conn, query string, args []any, columns func(*T) []any) ([]T, error) {
	rows, err := conn.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := []T{}
	for rows.Next() {
		var one T
		if err := rows.Scan(columns(&one)...); err != nil {
			return nil, err
		}
		found = append(found, one)
	}
	return found, rows.Err()
}

// asOf is the moment up to which the data speak, in the county's time zone; "" when nothing is loaded.
func (f *Figures) asOf(ctx context.Context, q metrics.Query) (string, error) {
	var at *time.Time
	sql, args := q.AsKnown("SELECT at FROM mart.as_of")
	if err := f.conn.QueryRow(ctx, sql, args...).Scan(&at); err != nil {
		return "", fmt.Errorf("ask the warehouse up to when its data speak: %w", err)
	}
	if at == nil {
		return "", nil
	}
	return at.In(f.zone).Format(time.RFC3339), nil
}
