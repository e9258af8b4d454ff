package clickhouse_test

import (
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
	set, err := metrics.Load()
	if err != nil {
		t.Fatal(err)
	}
	analyst := as(t, clickhouse.Analyst)
	// The plugin gives each query a deadline, which the driver hands on to the server as a setting, beyond which an analyst may not go.
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
	defer cancel()
	boards := grafana.Dashboards(set)
	for _, board := range boards {
		for _, p := range board.Panels {
			rows, err := analyst.Query(ctx, "SELECT * FROM ("+filledIn(p.SQL, "*")+") LIMIT 0")
			if err != nil {
				t.Fatalf("%s, %s: %v\n%s", board.File, p.Title, err, p.SQL)
			}
			columns := rows.Columns()
			rows.Close()
			if err := rows.Err(); err != nil || !slices.Equal(columns, p.Columns) {
				t.Errorf("%s, %s: the columns %q, not %q (%v)", board.File, p.Title, columns, p.Columns, err)
			}
		}
	}
	// What comes out, once: the languages differ in names alone.
	shown := func(sql, department string) (list [][]any) {
		t.Helper()
		rows, err := analyst.Query(t.Context(), filledIn(sql, department))
		if err != nil {
			t.Fatalf("%v\n%s", err, sql)
		}
		defer rows.Close()
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
			t.Fatalf("%v\n%s", err, sql)
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
	for _, board := range boards {
		if !strings.Contains(board.File, ".en.") {
			continue
		}
		for _, p := range board.Panels {
			got := shown(p.SQL, "*")
			for _, d := range set.All() {
				switch p.Title {
				case d.Label.En:
					if len(got) != 1 {
						t.Errorf("%s: %d months", p.Title, len(got))
						continue
					}
					same(p.Title, got[0][1], answered(t, analyst, d, march)[""])
				case d.Label.En + " by department":
					byDepartment := march
					byDepartment.By = "department"
					rows := answered(t, analyst, d, byDepartment)
					if len(got) != len(rows) {
						t.Errorf("%s: %d departments of %d", p.Title, len(got), len(rows))
					}
					for _, line := range got {
						same(p.Title, line[1], rows[*line[0].(*string)])
					}
				}
			}
		}
	}
	// One department alone.
	for _, p := range boards[1*2].Panels {
		for _, name := range []string{"on_time_rate", "legal_time"} {
			if p.Title == set[name].Label.En {
				byDepartment := march
				byDepartment.By = "department"
				same(p.Title+" of the hall", shown(p.SQL, "hall")[0][1], answered(t, analyst, set[name], byDepartment)["hall"])
			}
		}
	}
}
