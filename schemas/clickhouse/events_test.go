package clickhouse_test

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"time"

	conn "github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/shirecounty/shire/schemas/clickhouse"
	"github.com/shirecounty/shire/schemas/metrics"
)

type event struct {
	at                     time.Time
	fields                 []string
	numerator, denominator float64
	duration               *float64
	ended                  uint8
}

func events(t *testing.T, c conn.Conn, d *metrics.Definition, q metrics.EventsQuery) (found []event) {
	t.Helper()
	where, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	sql, args, err := q.Statement(d, where)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := c.Query(t.Context(), sql, args...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", d.Name, err, sql)
	}
	defer rows.Close()
	for rows.Next() {
		var e event
		if err := rows.Scan(&e.at, &e.fields, &e.numerator, &e.denominator, &e.duration, &e.ended); err != nil {
			t.Fatalf("%s: %v", d.Name, err)
		}
		if len(e.fields) != len(d.EventColumns()) {
			t.Fatalf("%s: %d fields of %d columns", d.Name, len(e.fields), len(d.EventColumns()))
		}
		found = append(found, e)
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", d.Name, err)
	}
	return found
}

// TestEventsAddUp: what is listed behind a figure, page by page, adds up to it (I9), for every metric.
func TestEventsAddUp(t *testing.T) {
	c := ready(t)
	goldenCounty(t, c)
	set, err := metrics.Load()
	if err != nil {
		t.Fatal(err)
	}
	analyst := as(t, clickhouse.Analyst)
	listed := 0
	for _, d := range set.All() {
		if d.Kind == metrics.Derived {
			if of, err := d.Behind(); err != nil || of.Name != strings.TrimPrefix(d.Formula, "1 - ") {
				t.Errorf("%s: the events are those of %v, %v", d.Name, of, err)
			}
			continue
		}
		q := metrics.EventsQuery{Query: months("2025-03", "2025-03")}
		closely := slices.Contains([]string{"citizen_time", "overdue"}, d.Name) // a time and a number
		for _, filters := range []map[string]string{nil, {"department": "hall"}} {
			if filters != nil && !closely {
				continue
			}
			q.Filters = filters
			all := events(t, analyst, d, q)
			listed += len(all)
			var numerator, denominator, ended float64
			for _, e := range all {
				numerator, denominator, ended = numerator+e.numerator, denominator+e.denominator, ended+float64(e.ended)
			}
			row := answered(t, analyst, d, q.Query)[""]
			switch {
			case row.State == metrics.StateEmpty:
				if len(all) > 0 {
					t.Errorf("%s %v: %d events behind nothing", d.Name, filters, len(all))
				}
			case row.State != metrics.StateOK: // its sums are not given
			case d.Kind == metrics.Survival:
				if int64(len(all)) != row.Count || int64(len(all))-int64(ended) != row.Open {
					t.Errorf("%s %v: %d events of which %v have ended; the figure says %+v", d.Name, filters, len(all), ended, row)
				}
				if !slices.IsSortedFunc(all, func(a, b event) int { return cmp.Compare(*b.duration, *a.duration) }) {
					t.Errorf("%s: the longest do not come first", d.Name)
				}
			case d.Kind == metrics.Ratio:
				if numerator != *row.Numerator || denominator != *row.Denominator {
					t.Errorf("%s %v: the events add up to %v / %v, the figure is %v / %v", d.Name, filters, numerator, denominator, *row.Numerator, *row.Denominator)
				}
			default:
				if numerator != *row.Value || denominator != float64(row.Count) {
					t.Errorf("%s %v: the events add up to %v of %v, the figure is %+v", d.Name, filters, numerator, denominator, row)
				}
			}
			if filters != nil || !closely {
				continue
			}
			part := func(name string) []event {
				of := q
				of.Part = name
				return events(t, analyst, d, of)
			}
			parts, whole := toldApart(append(part(metrics.PartCounted), part(metrics.PartRest)...)), toldApart(all)
			if slices.Sort(parts); !slices.Equal(parts, slices.Sorted(slices.Values(whole))) {
				t.Errorf("%s: the parts are not the whole:\n%q\n%q", d.Name, parts, whole)
			}
			var paged []event
			for page := q; ; page.Skip += 3 {
				page.Limit = 3
				got := events(t, analyst, d, page)
				paged = append(paged, got[:min(3, len(got))]...)
				if len(got) <= 3 {
					break
				}
			}
			if !slices.Equal(toldApart(paged), whole) {
				t.Errorf("%s: the pages are not the list:\n%q\n%q", d.Name, toldApart(paged), whole)
			}
		}
	}
	if listed < 90 {
		t.Errorf("only %d events were looked at", listed)
	}
}

// toldApart tells events apart.
func toldApart(list []event) (keys []string) {
	for _, e := range list {
		keys = append(keys, e.at.String()+strings.Join(e.fields, "|"))
	}
	return keys
}
