package warehouse

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/shirecounty/shire/schemas/metrics"
)

// LargeCounty is from how many rows of cases, steps and papers on figures are prepared. Below it the views answer quickly enough, and figures
// are always of this moment.
const LargeCounty = 2_000_000

// preparing are the settings of the statements that prepare. I10: joins, sorts and groups that outgrow the memory go to the disk. One thread, so
// that readers and loads keep the rest.
var preparing = ch.Settings{
	"max_threads": 1, "max_execution_time": 0, "max_memory_usage": 4_000_000_000, "async_insert": 0,
	"join_algorithm": "grace_hash,hash", "max_bytes_before_external_group_by": 1_000_000_000, "max_bytes_before_external_sort": 1_000_000_000,
	"max_bytes_in_join": 400_000_000, // without a bound, grace_hash keeps all of it in memory
	// Sets of millions help no index here; made while a query is planned, they keep the client waiting without a sign of life.
	"use_index_for_in_with_subqueries": 0,
}

// Preparer prepares the figures of a large county: it keeps in the database prepared what dashboards ask for, so that they never read the facts
// themselves. The figures are those of the views at the moment at which it began.
type Preparer struct {
	Conn  driver.Conn // the loader's
	Set   metrics.Set
	Zone  *time.Location
	Views string // hash of the views: with others, figures have to be prepared anew
	Large uint64 // from how many rows on; 0: LargeCounty
	// Bounds cut the times of how cases went, for their medians; 0: metrics.BoundsOfTimes. No answer depends on them.
	Bounds int

	Definer string // user of the connection, as of [clickhouse.Views]

	shown *uint64 // the preparation that the views of metrics tell; nil: it is not known
}

// Forget makes readers turn to the views when what is prepared was made from other views or by other definitions, and has the views of metrics tell what is
// prepared when it was not: right after a start, when they have been written anew, before anybody reads.
func (p *Preparer) Forget(ctx context.Context) error {
	const others = " WHERE views != ? OR definitions != ?"
	definitions := p.Set.Hash(p.Zone.String())
	var n uint64
	err := p.Conn.QueryRow(ctx, "SELECT count() FROM prepared.state"+others, p.Views, definitions).Scan(&n)
	if err == nil && n > 0 {
		err = p.Conn.Exec(ctx, "ALTER TABLE prepared.state DELETE"+others+" SETTINGS mutations_sync = 1", p.Views, definitions)
	}
	if err != nil {
		return fmt.Errorf("forget the figures that other definitions prepared: %w", err)
	}
	p.shown = new(uint64)
	return p.show(ctx)
}

// Prepare prepares the figures when the county is large and something has changed since. done tells whether it did. Readers have the former figures until all
// new ones are there. One process may do so at a time: who holds the county's lease.
func (p *Preparer) Prepare(ctx context.Context) (done bool, err error) {
	began := time.Now().UTC()
	seen, rows, err := p.seen(ctx)
	if err != nil {
		return false, err
	}
	large := p.Large
	if large == 0 {
		large = LargeCounty
	}
	var number uint64
	var before string
	if err := p.Conn.QueryRow(ctx, "SELECT max(number), argMax(concat(definitions, views, seen), number) FROM prepared.state").Scan(&number, &before); err != nil {
		return false, fmt.Errorf("ask what is prepared: %w", err)
	}
	if rows < large {
		if number > 0 { // a county that has shrunk
			if err := p.run(ctx, "TRUNCATE TABLE prepared.state"); err != nil {
				return false, err
			}
		}
		return false, p.show(ctx)
	}
	if err := p.show(ctx); err != nil { // before the tables that the views may still read are swept away
		return false, err
	}
	definitions := p.Set.Hash(p.Zone.String())
	if before == definitions+p.Views+seen {
		return false, nil
	}
	if err := p.sweep(ctx, number); err != nil {
		return false, err
	}
	build := &build{Preparer: p, Prepared: metrics.Prepared{Number: number + 1}}
	if err := build.all(ctx); err != nil {
		return false, fmt.Errorf("prepare the figures: %w", err)
	}
	err = p.Conn.Exec(ctx, `INSERT INTO prepared.state (number, definitions, views, seen, metrics, process_from, as_of, first_applied_at, began_at, ready_at)
		SETTINGS async_insert = 0 SELECT ?, ?, ?, ?, ?, ?, parseDateTime64BestEffortOrNull(?, 6, 'UTC'), parseDateTime64BestEffortOrNull(?, 6, 'UTC'), parseDateTime64BestEffort(?, 6, 'UTC'), now64(6)`,
		number+1, definitions, p.Views, seen, build.Metrics, build.ProcessFrom, moment(build.asOf), moment(build.first), moment(&began))
	if err != nil {
		return false, fmt.Errorf("prepare the figures: %w", err)
	}
	return true, p.show(ctx)
}

func moment(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05.000000")
}

// seen says what the warehouse holds, so that any change of it changes the answer, and how many rows of facts there are. Loads write store.load_log; what
// retention deletes, and what the program knows from its files, have versions of their own.
func (p *Preparer) seen(ctx context.Context) (seen string, rows uint64, err error) {
	var parts []string
	for _, table := range []string{"load_log", "erasures"} {
		parts = append(parts, "(SELECT count() FROM store."+table+")")
	}
	for _, table := range []string{"calendar", "departments", "catalogue"} {
		parts = append(parts, "(SELECT max(version) FROM store."+table+")")
	}
	parts = append(parts, "(SELECT max(last_sequence) FROM store.load_log)")
	sql := "SELECT arrayStringConcat(arrayMap(x -> toString(x), [" + strings.Join(parts, ", ") + "]), ' '), (SELECT count() FROM store.cases) + (SELECT count() FROM store.case_steps) + (SELECT count() FROM store.submissions)"
	if err := p.Conn.QueryRow(ctx, sql).Scan(&seen, &rows); err != nil {
		return "", 0, fmt.Errorf("ask the warehouse what it holds: %w", err)
	}
	return seen, rows, nil
}

// sweep drops the tables of all preparations but one: former ones, which nobody reads any more, and what a process that was killed left.
func (p *Preparer) sweep(ctx context.Context, keep uint64) error {
	var tables []struct{ Name string }
	if err := p.Conn.Select(ctx, &tables, "SELECT name AS Name FROM system.tables WHERE database = 'prepared' AND name != 'state'"); err != nil {
		return fmt.Errorf("list what is prepared: %w", err)
	}
	for _, t := range tables {
		if keep > 0 && strings.HasSuffix(t.Name, fmt.Sprintf("_%d", keep)) {
			continue
		}
		if err := p.run(ctx, "DROP TABLE IF EXISTS prepared.`"+t.Name+"` SYNC"); err != nil {
			return err
		}
	}
	return nil
}

func (p *Preparer) run(ctx context.Context, sql string) error {
	if err := p.Conn.Exec(ch.Context(ctx, ch.WithSettings(preparing)), sql); err != nil {
		return fmt.Errorf("%.120q: %w", sql, err)
	}
	return nil
}

// build is one preparation.
type build struct {
	*Preparer
	metrics.Prepared
	asOf, first *time.Time
}

func (b *build) all(ctx context.Context) error {
	if err := b.Conn.QueryRow(ctx, "SELECT (SELECT at FROM mart.as_of), (SELECT min(applied_at) FROM store.cases FINAL)").Scan(&b.asOf, &b.first); err != nil {
		return err
	}
	if b.asOf == nil {
		return errors.New("nothing that is loaded has a time")
	}
	views, err := b.copies(ctx)
	if err != nil {
		return err
	}
	for _, d := range b.Set.All() {
		if err := b.metric(ctx, d); err != nil {
			return fmt.Errorf("the metric %s: %w", d.Name, err)
		}
	}
	for name, query := range labelQueries {
		if err := b.run(ctx, "CREATE TABLE "+b.Table("labels", name)+" ENGINE = MergeTree ORDER BY tuple() AS "+b.Instead(query, views...)); err != nil {
			return err
		}
	}
	if err := b.process(ctx); err != nil {
		return fmt.Errorf("how cases went: %w", err)
	}
	for _, view := range views { // what the metrics were made from; coverage is asked itself
		if view == "coverage" {
			continue
		}
		if err := b.run(ctx, "DROP TABLE "+b.Table("view", view)+" SYNC"); err != nil {
			return err
		}
	}
	return nil
}

// copies writes down, once, what of the views the metrics are counted over: a view over the facts costs much more than all sums over its rows. Views that are asked
// beside them stay as they are.
func (b *build) copies(ctx context.Context) ([]string, error) {
	used := map[string]string{"coverage": "", "cases": "item_name record", "incidents": "department"}
	for _, d := range b.Set.All() {
		if d.Kind != metrics.Derived {
			used[strings.TrimPrefix(d.From, "mart.")] += " " + strings.Join(d.Expressions(), " ")
		}
	}
	views, err := b.views(ctx, used)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, v := range views {
		if err := b.run(ctx, v.copy(b.Prepared, used[v.name], names)); err != nil {
			return nil, err
		}
		names = append(names, v.name)
	}
	return names, nil
}

func (b *build) metric(ctx context.Context, d *metrics.Definition) error {
	if d.Kind == metrics.Derived {
		return nil
	}
	first, last := metrics.MonthOf(b.asOf.In(b.Zone)), metrics.MonthOf(b.asOf.In(b.Zone))
	if b.first != nil {
		first = metrics.MonthOf(b.first.In(b.Zone))
	}
	if earliest := last.Add(-mostMonths); first.Before(earliest) {
		first = earliest
	}
	if err := b.run(ctx, b.Instead(d.PrepareStatement(b.Prepared, b.Zone.String()), strings.TrimPrefix(d.From, "mart."))); err != nil {
		return err
	}
	if d.Kind == metrics.Survival {
		var lives, finer uint64
		if err := b.Conn.QueryRow(ctx, d.LivesQuery(b.Prepared)).Scan(&lives, &finer); err != nil {
			return err
		}
		if finer > 0 { // the views answer
			return b.run(ctx, "DROP TABLE "+b.Table("lives", d.Name)+" SYNC")
		}
		if err := b.months(ctx, d); err != nil {
			return err
		}
		for _, sql := range d.CurveStatements(b.Prepared, first, last, lives) {
			if err := b.run(ctx, sql); err != nil {
				return err
			}
		}
	}
	b.Metrics = append(b.Metrics, d.Name)
	return nil
}

// mostMonths is for how many months back curves, and how cases went, are computed beforehand.
const mostMonths = 48
