package clickhouse

import (
	"context"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/shirecounty/shire/schemas/document"
	"github.com/shirecounty/shire/schemas/metrics"
)

var (
	viewHeader  = regexp.MustCompile(`(?s)CREATE OR REPLACE VIEW (\w+\.\w+)\s*\((.*?)\n\)`)
	viewColumn  = regexp.MustCompile(`(?m)^\s+(\w+) .*COMMENT '`)
	text        = regexp.MustCompile(`'(?:[^'\\]|\\.)*'`)
	identifiers = regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)?\s*\(?`)
	words       = strings.Fields("AND OR NOT IS NULL IN SELECT FROM WHERE LIKE BETWEEN AS DISTINCT CASE WHEN THEN ELSE END")
)

// viewColumns are the columns of the views that the program ships, by view.
func viewColumns() (map[string][]string, error) {
	files, err := fs.Glob(views, "views/*.sql")
	if err != nil {
		return nil, fmt.Errorf("read the views: %w", err)
	}
	columns := map[string][]string{}
	for _, file := range files {
		content, err := fs.ReadFile(views, file)
		if err != nil {
			return nil, fmt.Errorf("read the views: %w", err)
		}
		header := viewHeader.FindStringSubmatch(string(content))
		if header == nil {
			return nil, fmt.Errorf("the view of %s does not name its columns", file)
		}
		for _, column := range viewColumn.FindAllStringSubmatch(header[2], -1) {
			columns[header[1]] = append(columns[header[1]], column[1])
		}
	}
	return columns, nil
}

// ReadMetrics proves without an engine that the metrics speak of views and columns that there are. The error names the metric, the
// key and the nearest column.
func ReadMetrics(set metrics.Set) error {
	columns, err := viewColumns()
	if err != nil {
		return err
	}
	var views []string
	for view := range columns {
		views = append(views, view)
	}
	slices.Sort(views)
	for _, d := range set.All() {
		if d.Kind == metrics.Derived {
			continue // it speaks of other metrics alone
		}
		if columns[d.From] == nil {
			return fmt.Errorf("the metric %s is counted over %s, which is no view; %s", d.Name, d.From, document.DidYouMean(d.From, views))
		}
		expressions := [][2]string{{"where", d.Where}, {"time", d.Time}, {"numerator", d.Numerator}, {"denominator", d.Denominator}, {"units", d.Units},
			{"open", d.Open}, {"duration", d.Duration}, {"event", d.Event}}
		if d.Refuse != nil {
			expressions = append(expressions, [2]string{"refuse.when", d.Refuse.When})
		}
		for _, name := range d.DimensionNames() {
			expressions = append(expressions, [2]string{"dimensions." + name, d.Dimensions[name]})
		}
		for _, e := range expressions {
			if err := readExpression(d, e[0], e[1], columns); err != nil {
				return err
			}
		}
	}
	return nil
}

func readExpression(d *metrics.Definition, key, expression string, columns map[string][]string) error {
	expression = text.ReplaceAllString(expression, "''")
	known := slices.Clone(columns[d.From])
	tokens := identifiers.FindAllString(expression, -1)
	for _, token := range tokens { // a view that is asked beside it
		known = append(known, columns[token]...)
		known = append(known, columns[strings.TrimSpace(token)]...)
	}
	for _, token := range tokens {
		name := strings.TrimSpace(token)
		if strings.HasSuffix(name, "(") || slices.Contains(words, strings.ToUpper(name)) || columns[name] != nil || slices.Contains(known, name) {
			continue
		}
		return fmt.Errorf("the metric %s, %s: %s has no column %q; %s", d.Name, key, d.From, name, document.DidYouMean(name, columns[d.From]))
	}
	return nil
}

// ProveMetrics has the engine compute every metric as a whole, by month, with every filter, and in its view by every dimension, over
// whatever the warehouse holds, after [ApplyViews]: that creating a view succeeds proves nothing, since its columns are declared. zone is
// the county's.
func ProveMetrics(ctx context.Context, conn driver.Conn, zone *time.Location, set metrics.Set) error {
	for _, d := range set.All() {
		q := metrics.Query{Metric: d.Name, By: "month", From: metrics.Month{Year: 2025, Month: 1}, To: metrics.Month{Year: 2025, Month: 12}}
		filtered := q
		filtered.By, filtered.Filters = "", map[string]string{}
		for _, name := range d.DimensionNames() {
			filtered.Filters[name] = "x"
		}
		for _, q := range []metrics.Query{q, filtered} {
			sql, args, err := d.Query(q, zone)
			if err != nil {
				return fmt.Errorf("the metric %s: %w", d.Name, err)
			}
			if err := answers(ctx, conn, sql, args, d.Columns()); err != nil {
				return fmt.Errorf("the metric %s is not valid: %w", d.Name, err)
			}
		}
		if err := answers(ctx, conn, "SELECT * FROM metrics."+d.Name+" LIMIT 0", nil, nil); err != nil {
			return fmt.Errorf("the view metrics.%s is not valid: %w", d.Name, err)
		}
	}
	return nil
}

// answers runs a query and compares its columns, "name type", with the wanted ones.
func answers(ctx context.Context, conn driver.Conn, sql string, args []any, want []string) error {
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var got []string
	for _, c := range rows.ColumnTypes() {
		got = append(got, c.Name()+" "+strings.Replace(c.DatabaseTypeName(), "LowCardinality(String)", "String", 1)) // read alike
	}
	for rows.Next() { // to its end, where a fault may come
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if want != nil && !slices.Equal(got, want) {
		return fmt.Errorf("its columns are %s, and have to be %s", strings.Join(got, ", "), strings.Join(want, ", "))
	}
	return nil
}
