package warehouse

import (
	"context"
	"errors"
	"fmt"
	"maps"
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
	note func(ctx context.Context, metric string, from, to metrics.Month, asOf time.Time)

	definitions string // hash of set: what others have prepared is not read
}

// NewFigures reads over conn, which belongs to the analyst (clickhouse.Analyst), in the county's time zone.
func NewFigures(conn driver.Conn, set metrics.Set, zone *time.Location) *Figures {
	return &Figures{conn: conn, set: set, zone: zone, definitions: set.Hash(zone.String())}
}

// Noting has note told of every figure before it is given: of which months, and up to when the data spoke, in the county's time zone.
func (f *Figures) Noting(note func(ctx context.Context, metric string, from, to metrics.Month, asOf time.Time)) {
	f.note = note
}

// Extent tells what the data covers. The last complete month is the one that the data reaches the last day of.
func (f *Figures) Extent(ctx context.Context) (metrics.Extent, error) {
	var first, asOf *time.Time
	if p, err := f.prepared(ctx); err != nil {
		return metrics.Extent{}, err
	} else if p != nil {
		first, asOf = p.first, p.asOf
	} else if err := f.conn.QueryRow(ctx, "SELECT (SELECT min(applied_at) FROM mart.cases), (SELECT at FROM mart.as_of)").Scan(&first, &asOf); err != nil {
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
	earlier, compares, err := q.Earlier()
	if err != nil {
		return metrics.Result{}, err
	}
	if q.Compare == metrics.CompareKnown {
		q.Known = time.Time{}
	}
	result, err := f.period(ctx, definition, q)
	if err != nil {
		return result, err
	}
	f.noted(ctx, q, result)
	if !compares {
		return result, nil
	}
	before, err := f.period(ctx, definition, earlier)
	if err != nil {
		return metrics.Result{}, err
	}
	f.noted(ctx, earlier, before)
	result.Beside(q, before)
	if q.Compare == metrics.CompareKnown {
		if result.Restated, err = f.Changes(ctx, earlier.Known); err != nil {
			return metrics.Result{}, err
		}
	}
	return result, nil
}

// Changes tells what has changed in the county's records since a moment: why what was known then is restated. Nothing is an empty list.
func (f *Figures) Changes(ctx context.Context, since time.Time) ([]metrics.Restated, error) {
	return Changes(ctx, f.conn, since)
}

func (f *Figures) noted(ctx context.Context, q metrics.Query, r metrics.Result) {
	if asOf, err := time.Parse(time.RFC3339, r.AsOf); err == nil && f.note != nil { // without data nothing was shown
		f.note(ctx, q.Metric, q.From, q.To, asOf)
	}
}

// period answers a query without its comparison.
func (f *Figures) period(ctx context.Context, d *metrics.Definition, q metrics.Query) (metrics.Result, error) {
	sql, args, err := d.Query(q, f.zone)
	if err != nil {
		return metrics.Result{}, err
	}
	p, err := f.prepared(ctx)
	if err != nil {
		return metrics.Result{}, err
	}
	if p != nil {
		quick, quickArgs, ok, err := d.PreparedQuery(q, f.zone, p.Prepared)
		if err != nil {
			return metrics.Result{}, err
		}
		if sql, args = quick, quickArgs; !ok {
			p = nil
			sql, args, _ = d.Query(q, f.zone)
		}
	}
	result := metrics.Result{Metric: d.Name, Version: d.Version, Grade: d.Grade, By: q.By, Quantile: q.Quantile,
		From: q.From.String(), To: q.To.String(), Rows: []metrics.Row{}}
	if !q.Known.IsZero() {
		result.Known = q.Known.In(f.zone).Format(time.RFC3339)
	}
	if d.Kind == metrics.Survival && q.Quantile == 0 {
		result.Quantile = 0.5
	}
	if p != nil {
		result.AsOf, result.Prepared = p.asOf.In(f.zone).Format(time.RFC3339), p.began.In(f.zone).Format(time.RFC3339)
	} else if result.AsOf, err = f.asOf(ctx, q); err != nil {
		return metrics.Result{}, err
	}
	rows, err := f.conn.Query(ctx, sql, args...)
	if err != nil {
		return metrics.Result{}, mend(d, err)
	}
	defer rows.Close()
	for rows.Next() {
		row, err := d.Scan(rows.Scan)
		if err != nil {
			return metrics.Result{}, fmt.Errorf("read the metric %s: %w", d.Name, err)
		}
		result.Rows = append(result.Rows, row)
	}
	if err := rows.Err(); err != nil {
		return metrics.Result{}, mend(d, err)
	}
	result.Rows = d.Suppress(q.By, complete(q, result.Rows))
	return result, f.cover(ctx, d, q, p, &result)
}

// cover puts beside the figures how much of what departments report they are counted over.
func (f *Figures) cover(ctx context.Context, d *metrics.Definition, q metrics.Query, p *preparation, result *metrics.Result) error {
	if d.Coverage == "" {
		return nil
	}
	by := q.By
	if by != "month" {
		by = "department" // the whole is made up of them
	}
	sql, args := q.AsKnown(metrics.CoverageQuery(by),
		clickhouse.Named("subject", d.Coverage), clickhouse.Named("department", q.Filters["department"]),
		clickhouse.Named("from", q.From.String()+"-01"), clickhouse.Named("until", q.To.Add(1).String()+"-01"))
	if p != nil {
		sql = p.Instead(sql, "coverage")
	}
	rows, err := f.conn.Query(ctx, sql, args...)
	if err != nil {
		return fmt.Errorf("ask the warehouse for the coverage: %w", err)
	}
	defer rows.Close()
	whole, byKey := metrics.Coverage{}, map[string]metrics.Coverage{}
	for rows.Next() {
		var key string
		var c metrics.Coverage
		if err := rows.Scan(&key, &c.Captured, &c.Reported, &c.Stopped, &c.Unreported); err != nil {
			return fmt.Errorf("read the coverage: %w", err)
		}
		c.Judge()
		whole.Add(c)
		byKey[key] = c
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the coverage: %w", err)
	}
	whole.Judge()
	if q.By == "" {
		byKey = map[string]metrics.Coverage{"": whole}
	}
	if q.By != "" && q.By != "month" && q.By != "department" {
		byKey = nil
	}
	result.Cover(whole, byKey)
	return nil
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
	if errors.As(err, &exception) && exception.Code == refused && d.Because() != "" {
		return &metrics.InputError{Message: d.Name + " cannot be told: " + d.Because()}
	}
	return fmt.Errorf("compute the metric %s: %w", d.Name, err)
}

// Labels names the departments and the service items that occur in the data. A department that county.yaml does not name is
// shown by its code; items have one name, in the language of their department.
func (f *Figures) Labels(ctx context.Context) (departments, items []metrics.Label, err error) {
	queries := maps.Clone(labelQueries)
	if p, err := f.prepared(ctx); err != nil {
		return nil, nil, err
	} else if p != nil {
		for name := range queries {
			queries[name] = "SELECT * FROM " + p.Table("labels", name) + " ORDER BY 1"
		}
	}
	departments, err = f.labels(ctx, queries["departments"])
	if err != nil {
		return nil, nil, fmt.Errorf("ask the warehouse for the departments: %w", err)
	}
	items, err = f.labels(ctx, queries["items"])
	if err != nil {
		return nil, nil, fmt.Errorf("ask the warehouse for the service items: %w", err)
	}
	return departments, items, nil
}

var labelQueries = map[string]string{
	"departments": `
		SELECT code, any(name_zh) AS zh, any(name_en) AS en FROM
		(
			SELECT code, name_zh, name_en FROM mart.departments
			UNION ALL
			SELECT DISTINCT department AS code, toString(code), toString(code) FROM
				(SELECT department FROM mart.cases UNION ALL SELECT department FROM mart.incidents)
			WHERE department != '' AND department NOT IN (SELECT code FROM mart.departments)
		)
		GROUP BY code ORDER BY code`,
	"items": `
		SELECT item_code, argMax(if(item_name = '', item_code, item_name), (item_name != '', applied_at, record)) AS zh, zh AS en
		FROM mart.cases WHERE item_code != '' GROUP BY item_code ORDER BY item_code`,
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
