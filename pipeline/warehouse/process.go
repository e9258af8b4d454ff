package warehouse

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"golang.org/x/sync/errgroup"

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
	of := metrics.Prepared{}
	prepared := ready != nil && q.Prepared(ready.Prepared)
	if prepared {
		of = ready.Prepared
		p.AsOf, p.Prepared = ready.asOf.In(f.zone).Format(time.RFC3339), ready.began.In(f.zone).Format(time.RFC3339)
		summary, variants, follows, rework, activities = q.PreparedStatements(of)
		args, err = q.PreparedArgs(f.zone)
	} else {
		p.AsOf, err = f.asOf(ctx, metrics.Query{Known: q.Known})
	}
	if err != nil {
		return metrics.Process{}, err
	}
	// The five are asked together: who opens the page waits for all of them.
	group, ctx := errgroup.WithContext(ctx)
	ask := func(what string, fn func() error) {
		group.Go(func() error {
			if err := fn(); err != nil {
				return fmt.Errorf("ask the warehouse %s: %w", what, err)
			}
			return nil
		})
	}
	ask("how cases went", func() error {
		return f.conn.QueryRow(ctx, summary, args...).Scan(&p.Cases, &p.Steps, &p.Variants, &p.Repeating, &p.ExtraSteps,
			&p.MeanSeconds, &p.WorkingSeconds, &p.WaitingSeconds, &p.UntoldSeconds)
	})
	ask("for the variants", func() (err error) {
		if prepared {
			p.ListedVariants, err = f.preparedVariants(ctx, q, of, variants, args)
			return err
		}
		p.ListedVariants, err = list(ctx, f.conn, variants, args, func(v *metrics.ProcessVariant) []any {
			return []any{&v.Trace, &v.Cases, &v.Share, &v.ExtraSteps, &v.MedianSeconds}
		})
		return err
	})
	ask("what followed what", func() (err error) {
		if prepared {
			p.Follows, err = f.preparedFollows(ctx, q, of, follows, args)
			return err
		}
		p.Follows, err = list(ctx, f.conn, follows, args, func(t *metrics.ProcessTransition) []any {
			return []any{&t.From, &t.To, &t.Count, &t.Cases, &t.MeanSeconds, &t.MedianSeconds, &t.WaitingSeconds}
		})
		return err
	})
	ask("what was done again", func() (err error) {
		p.Rework, err = list(ctx, f.conn, rework, args, func(r *metrics.ProcessRework) []any {
			return []any{&r.Activity, &r.Cases, &r.ExtraSteps, &r.Directly}
		})
		return err
	})
	ask("where the time went", func() (err error) {
		p.Activities, err = list(ctx, f.conn, activities, args, func(a *metrics.ProcessActivity) []any {
			return []any{&a.Activity, &a.Steps, &a.Cases, &a.WorkingSeconds, &a.WaitingSeconds, &a.UntoldSeconds}
		})
		return err
	})
	if err := group.Wait(); err != nil {
		return metrics.Process{}, err
	}
	if prepared {
		for i := range p.ListedVariants {
			v := &p.ListedVariants[i]
			v.Share = float64(v.Cases) / float64(p.Cases)
		}
	}
	return p, nil
}

// preparedVariants are the variants of a cohort from what is prepared.
func (f *Figures) preparedVariants(ctx context.Context, q metrics.ProcessQuery, of metrics.Prepared, sql string, args []any) ([]metrics.ProcessVariant, error) {
	type row struct {
		metrics.ProcessVariant
		way    string
		counts []uint64
	}
	rows, err := list(ctx, f.conn, sql, args, func(r *row) []any { return []any{&r.way, &r.Trace, &r.Cases, &r.ExtraSteps, &r.counts} })
	if err != nil {
		return nil, err
	}
	var times []metrics.Times
	for _, r := range rows {
		times = append(times, metrics.Times{Keys: []string{r.way}, Counts: r.counts})
	}
	medians := of.MedianOfWays(q, times)
	if err := f.find(ctx, medians, args); err != nil {
		return nil, err
	}
	found := make([]metrics.ProcessVariant, len(rows))
	for i, r := range rows {
		found[i] = r.ProcessVariant
		found[i].MedianSeconds = medians.Seconds(i)
	}
	return found, nil
}

// preparedFollows is what followed what in a cohort, from what is prepared.
func (f *Figures) preparedFollows(ctx context.Context, q metrics.ProcessQuery, of metrics.Prepared, sql string, args []any) ([]metrics.ProcessTransition, error) {
	type row struct {
		metrics.ProcessTransition
		seconds float64
		counts  []uint64
	}
	rows, err := list(ctx, f.conn, sql, args, func(r *row) []any {
		return []any{&r.From, &r.To, &r.Count, &r.Cases, &r.seconds, &r.WaitingSeconds, &r.counts}
	})
	if err != nil {
		return nil, err
	}
	var times []metrics.Times
	for _, r := range rows {
		times = append(times, metrics.Times{Keys: []string{r.From, r.To}, Counts: r.counts})
	}
	medians := of.MedianOfFollows(q, times)
	if err := f.find(ctx, medians, args); err != nil {
		return nil, err
	}
	found := make([]metrics.ProcessTransition, len(rows))
	for i, r := range rows {
		found[i] = r.ProcessTransition
		found[i].MeanSeconds, found[i].MedianSeconds = r.seconds/float64(r.Count), medians.Seconds(i)
	}
	return found, nil
}

// find reads what medians are found from.
func (f *Figures) find(ctx context.Context, m *metrics.Medians, args []any) error {
	sql := m.Query()
	if sql == "" {
		return nil
	}
	type row struct {
		place  uint32
		half   uint8
		micros int64
	}
	rows, err := list(ctx, f.conn, sql, args, func(r *row) []any { return []any{&r.place, &r.half, &r.micros} })
	if err != nil {
		return err
	}
	for _, r := range rows {
		m.Found(r.place, r.half, r.micros)
	}
	return nil
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
