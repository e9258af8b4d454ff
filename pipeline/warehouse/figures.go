package warehouse

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/shirecounty/shire/schemas/metrics"
)

// Figures answers what a dashboard asks, from the views that an analyst may read.
type Figures struct {
	conn driver.Conn
	set  metrics.Set
	zone *time.Location
}

// NewFigures reads over conn, which belongs to the analyst (clickhouse.Analyst), in the county's time zone.
func NewFigures(conn driver.Conn, set metrics.Set, zone *time.Location) *Figures {
	return &Figures{conn: conn, set: set, zone: zone}
}

// Extent tells what the data covers. The last complete month is the one that the data reaches the last day of.
func (f *Figures) Extent(ctx context.Context) (metrics.Extent, error) {
	var first, asOf *time.Time
	if err := f.conn.QueryRow(ctx, "SELECT (SELECT min(applied_at) FROM mart.cases), (SELECT at FROM mart.as_of)").Scan(&first, &asOf); err != nil {
		return metrics.Extent{}, fmt.Errorf("ask the warehouse what it covers: %w", err)
	}
	if first == nil || asOf == nil {
		return metrics.Extent{Empty: true}, nil
	}
	extent := metrics.Extent{
		First: metrics.MonthOf(first.In(f.zone)),
		Last:  metrics.MonthOf(asOf.In(f.zone).AddDate(0, 0, 1)).Add(-1),
		AsOf:  *asOf,
	}
	if extent.Last.Before(extent.First) {
		extent.Last = extent.First
	}
	return extent, nil
}

// Metric answers a query. Small groups are suppressed and weak curves are not estimable: a Row says which in its State. Where the
// question is at fault the error is a [metrics.InputError].
func (f *Figures) Metric(ctx context.Context, q metrics.Query) (metrics.Result, error) {
	definition, err := f.set.Get(q.Metric)
	if err != nil {
		return metrics.Result{}, err
	}
	sql, args, err := definition.Query(q, f.zone)
	if err != nil {
		return metrics.Result{}, err
	}
	result := metrics.Result{Metric: definition.Name, Version: definition.Version, By: q.By,
		From: q.From.String(), To: q.To.String(), Rows: []metrics.Row{}}
	var asOf *time.Time
	if err := f.conn.QueryRow(ctx, "SELECT at FROM mart.as_of").Scan(&asOf); err != nil {
		return metrics.Result{}, fmt.Errorf("ask the warehouse up to when its data speak: %w", err)
	}
	if asOf != nil {
		result.AsOf = asOf.In(f.zone).Format(time.RFC3339)
	}
	rows, err := f.conn.Query(ctx, sql, args...)
	if err != nil {
		return metrics.Result{}, mend(definition, err)
	}
	defer rows.Close()
	for rows.Next() {
		row, err := scan(definition, rows)
		if err != nil {
			return metrics.Result{}, fmt.Errorf("read the metric %s: %w", definition.Name, err)
		}
		result.Rows = append(result.Rows, row)
	}
	if err := rows.Err(); err != nil {
		return metrics.Result{}, mend(definition, err)
	}
	result.Rows = complete(q, result.Rows)
	return result, nil
}

func scan(d *metrics.Definition, rows driver.Rows) (metrics.Row, error) {
	if d.Kind == metrics.Ratio {
		var key string
		var numerator, denominator float64
		if err := rows.Scan(&key, &numerator, &denominator); err != nil {
			return metrics.Row{}, err
		}
		return d.RatioRow(key, numerator, denominator), nil
	}
	var key string
	var cases, closed uint64
	var median, p90, closedOnly *float64
	if err := rows.Scan(&key, &cases, &closed, &median, &p90, &closedOnly); err != nil {
		return metrics.Row{}, err
	}
	return d.SurvivalRow(key, cases, closed, median, p90, closedOnly), nil
}

// complete adds what has no data: a month of the period, or the whole. A reader must be able to tell nothing from zero.
func complete(q metrics.Query, rows []metrics.Row) []metrics.Row {
	var keys []string
	switch q.By {
	case "":
		keys = []string{""}
	case "month":
		for m := q.From; !q.To.Before(m); m = m.Add(1) {
			keys = append(keys, m.String())
		}
	default:
		return rows
	}
	present := map[string]metrics.Row{}
	for _, row := range rows {
		present[row.Key] = row
	}
	rows = rows[:0]
	for _, key := range keys {
		row, ok := present[key]
		if !ok {
			row = metrics.Row{Key: key, State: metrics.StateEmpty}
		}
		rows = append(rows, row)
	}
	return rows
}

// refused is ClickHouse's FUNCTION_THROW_IF_VALUE_IS_NON_ZERO: the definition's own refusal.
const refused = 395

func mend(d *metrics.Definition, err error) error {
	var exception *clickhouse.Exception
	if errors.As(err, &exception) && exception.Code == refused && d.Refuse != nil {
		return &metrics.InputError{Message: d.Name + " cannot be told: " + d.Refuse.Because}
	}
	return fmt.Errorf("compute the metric %s: %w", d.Name, err)
}

// Labels names the departments and the service items that occur in the data. A department that county.yaml does not name is
// shown by its code; items have one name, in the language of their department.
func (f *Figures) Labels(ctx context.Context) (departments, items []metrics.Label, err error) {
	departments, err = f.labels(ctx, `
		SELECT code, any(name_zh), any(name_en) FROM
		(
			SELECT code, name_zh, name_en FROM mart.departments
			UNION ALL
			SELECT DISTINCT department AS code, toString(code), toString(code) FROM
				(SELECT department FROM mart.cases UNION ALL SELECT department FROM mart.incidents)
			WHERE department != '' AND department NOT IN (SELECT code FROM mart.departments)
		)
		GROUP BY code ORDER BY code`)
	if err != nil {
		return nil, nil, fmt.Errorf("ask the warehouse for the departments: %w", err)
	}
	items, err = f.labels(ctx, `
		SELECT item_code, argMax(if(item_name = '', item_code, item_name), (item_name != '', applied_at, record)) AS name, name
		FROM mart.cases WHERE item_code != '' GROUP BY item_code ORDER BY item_code`)
	if err != nil {
		return nil, nil, fmt.Errorf("ask the warehouse for the service items: %w", err)
	}
	return departments, items, nil
}

func (f *Figures) labels(ctx context.Context, query string) ([]metrics.Label, error) {
	rows, err := f.conn.Query(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	labels := []metrics.Label{}
	for rows.Next() {
		var l metrics.Label
		if err := rows.Scan(&l.Key, &l.Zh, &l.En); err != nil {
			return nil, err
		}
		labels = append(labels, l)
	}
	return labels, rows.Err()
}

// Interventions lists what the county did, by the day it began.
func (f *Figures) Interventions(ctx context.Context) ([]metrics.Intervention, error) {
	rows, err := f.conn.Query(ctx, `
		SELECT intervention, kind, title_zh, title_en, ifNull(toString(starts_on), ''), department, item_code, metric, claim
		FROM mart.interventions ORDER BY starts_on, intervention, record`)
	if err != nil {
		return nil, fmt.Errorf("ask the warehouse for the interventions: %w", err)
	}
	defer rows.Close()
	interventions := []metrics.Intervention{}
	for rows.Next() {
		var i metrics.Intervention
		if err := rows.Scan(&i.Name, &i.Kind, &i.Title.Zh, &i.Title.En, &i.StartsOn, &i.Department, &i.Item, &i.Metric, &i.Claim); err != nil {
			return nil, fmt.Errorf("read the interventions: %w", err)
		}
		interventions = append(interventions, i)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the interventions: %w", err)
	}
	return interventions, nil
}
