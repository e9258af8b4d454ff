package warehouse

import (
	"context"
	"fmt"
	"time"

	"github.com/shirecounty/shire/schemas/metrics"
)

// Events lists what a figure is made of (I9). Where the question is at fault the error is a [metrics.InputError].
func (f *Figures) Events(ctx context.Context, q metrics.EventsQuery) (metrics.Events, error) {
	definition, err := f.set.Get(q.Metric)
	if err != nil {
		return metrics.Events{}, err
	}
	evidence, err := definition.Behind()
	if err != nil {
		return metrics.Events{}, err
	}
	sql, args, err := q.Statement(evidence, f.zone)
	if err != nil {
		return metrics.Events{}, err
	}
	q.By, q.Compare = "", ""
	whole, err := f.Metric(ctx, q.Query)
	if err != nil {
		return metrics.Events{}, err
	}
	events := metrics.Events{Metric: definition.Name, Version: definition.Version, Of: evidence.Name, View: evidence.From, From: whole.From, To: whole.To,
		AsOf: whole.AsOf, Known: whole.Known, Figure: whole.Rows[0], Columns: evidence.EventColumns(), Skip: q.Skip, Rows: []metrics.Event{}}
	if state := events.Figure.State; state == metrics.StateSuppressed || state == metrics.StateEmpty {
		return events, nil // I7: what is too few to count is too few to list
	}
	rows, err := f.conn.Query(ctx, sql, args...)
	if err != nil {
		return metrics.Events{}, mend(definition, err)
	}
	defer rows.Close()
	limit := q.Limit
	if limit == 0 {
		limit = metrics.EventsLimit
	}
	for rows.Next() {
		if len(events.Rows) == limit {
			events.More = true
			break
		}
		var at time.Time
		var ended uint8
		var e metrics.Event
		if err := rows.Scan(&at, &e.Fields, &e.Numerator, &e.Denominator, &e.Duration, &ended); err != nil {
			return metrics.Events{}, fmt.Errorf("read the events of %s: %w", definition.Name, err)
		}
		e.At = at.UTC().Format(time.RFC3339)
		if over := ended == 1; evidence.Kind == metrics.Survival {
			e.Ended = &over
		}
		events.Rows = append(events.Rows, e)
	}
	if err := rows.Err(); err != nil {
		return metrics.Events{}, mend(definition, err)
	}
	return events, nil
}
