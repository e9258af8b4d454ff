package clickhouse_test

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shirecounty/shire/deploy/grafana"
	"github.com/shirecounty/shire/schemas/clickhouse"
	"github.com/shirecounty/shire/schemas/metrics"
)

// filledIn is a panel's statement as Grafana sends it.
func filledIn(sql, department string) string {
	from, to := local("2025-03-01 00:00").Unix(), local("2025-03-31 23:59").Unix()
	return strings.NewReplacer("$__fromTime", fmt.Sprintf("toDateTime(%d)", from), "$__toTime", fmt.Sprintf("toDateTime(%d)", to),
		"${department:singlequote}", "'"+department+"'").Replace(sql)
}

// TestGrafanaPanels: every panel's statement is understood, with an analyst's rights, and gives the columns that its panel needs; and what the
// panels of figures show is what the program itself answers.
func TestGrafanaPanels(t *testing.T) {
	c := ready(t)
	goldenCounty(t, c)
	goldenRequests(t, c)
	set, err := metrics.Load()
	if err != nil {
		t.Fatal(err)
	}
	analyst := as(t, clickhouse.Analyst)
	// The plugin gives each query a deadline, which the driver hands on to the server as a setting, beyond which an analyst may not go.
	asked := func(board grafana.Dashboard, p grafana.Panel, sql string) (list [][]any) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
		defer cancel()
		rows, err := analyst.Query(ctx, sql)
		if err != nil {
			t.Fatalf("%s, %s: %v\n%s", board.File, p.Title, err, sql)
		}
		defer rows.Close()
		if !slices.Equal(rows.Columns(), p.Columns) {
			t.Errorf("%s, %s: the columns %q, not %q", board.File, p.Title, rows.Columns(), p.Columns)
		}
		for rows.Next() {
			line := make([]any, len(rows.Columns()))
			for i, column := range rows.ColumnTypes() {
				line[i] = reflect.New(column.ScanType()).Interface()
			}
			if err := rows.Scan(line...); err != nil {
				t.Fatal(err)
			}
			list = append(list, line)
		}
		if err := rows.Err(); err != nil {
			t.Fatalf("%s, %s: %v\n%s", board.File, p.Title, err, sql)
		}
		return list
	}
	same := func(what string, cell any, row metrics.Row) {
		t.Helper()
		got, ok := cell.(**float64)
		if !ok {
			t.Fatalf("%s is a %T, not a number that may be missing", what, cell)
		}
		switch want := row.Value; {
		case row.State != metrics.StateOK && *got != nil:
			t.Errorf("%s shows %v, which is %s", what, **got, row.State)
		case row.State == metrics.StateOK && (*got == nil || math.Abs(**got-*want) > 1e-12*max(1, math.Abs(*want))):
			t.Errorf("%s shows %v, not %v", what, deref(*got), *want)
		}
	}
	march := months("2025-03", "2025-03")
	codes := map[string]string{} // of departments that have a name
	named, err := analyst.Query(t.Context(), "SELECT toString(code), name_en FROM mart.departments")
	if err != nil {
		t.Fatal(err)
	}
	for named.Next() {
		var code, name string
		if err := named.Scan(&code, &name); err != nil {
			t.Fatal(err)
		}
		codes[name] = code
	}
	named.Close()
	byDepartment := march
	byDepartment.By = "department"
	for _, board := range grafana.Dashboards(set) {
		for _, p := range board.Panels {
			sql := filledIn(p.SQL, "*")
			if strings.Contains(board.File, ".zh.") { // the languages differ in names alone: what comes out is looked at once
				asked(board, p, "SELECT * FROM ("+sql+") LIMIT 0")
				continue
			}
			got := asked(board, p, sql)
			for _, d := range set.All() {
				switch p.Title {
				case d.Label.En:
					if len(got) != 1 {
						t.Errorf("%s: %d months", p.Title, len(got))
						continue
					}
					same(p.Title, got[0][1], answered(t, analyst, d, march)[""])
					if d.Name == "on_time_rate" || d.Name == "legal_time" { // one department alone
						same(p.Title+" of the hall", asked(board, p, filledIn(p.SQL, "hall"))[0][1], answered(t, analyst, d, byDepartment)["hall"])
					}
				case d.Label.En + " by department":
					if !slices.Contains([]string{"overdue", "on_time_rate", "actual_compression", "legal_time", "council_turnout", "coverage"}, d.Name) {
						continue // one of each kind; with and without names, open ones and coverage
					}
					rows := answered(t, analyst, d, byDepartment)
					if len(got) != len(rows) {
						t.Errorf("%s: %d departments of %d", p.Title, len(got), len(rows))
					}
					for _, line := range got {
						name := *line[0].(*string)
						same(p.Title+", "+name, line[1], rows[cmp.Or(codes[name], name)])
					}
				}
			}
		}
	}
}
