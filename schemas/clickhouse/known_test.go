package clickhouse_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/clickhouse"
	"github.com/shirecounty/shire/schemas/metrics"
)

// A view of known shows what its view in mart showed then: the same histories are loaded once up to a moment, and once whole.
func TestKnownIsWhatMartShowed(t *testing.T) {
	c := ready(t)
	a := as(t, clickhouse.Analyst)
	views := read(t, c, "name", "FROM system.tables WHERE database = 'known' AND name != 'changes' ORDER BY name")
	start := local("2026-03-02 09:00")
	rapid.Check(t, func(rt *rapid.T) {
		type load struct {
			table string
			row
			received time.Time
		}
		var history []load
		hour := func(label string) time.Time {
			return start.Add(time.Duration(rapid.IntRange(0, 240).Draw(rt, label)) * time.Hour)
		}
		for i := range rapid.IntRange(1, 14).Draw(rt, "loads") {
			received := start.AddDate(0, 1, 0).Add(time.Duration(i/2) * time.Minute) // two in a message
			number := fmt.Sprint("case ", rapid.IntRange(1, 3).Draw(rt, "case"))
			r := row{"version": uint64(i + 1), "received_at": received, "deleted": uint8(rapid.IntRange(0, 4).Draw(rt, "deleted") / 4), "case_number": number}
			table := rapid.SampledFrom([]string{"cases", "cases", "case_steps", "submissions", "submissions", "ratings", "links"}).Draw(rt, "table")
			switch table {
			case "cases":
				r["record"], r["applied_at"], r["accepted_at"], r["item_code"] = number, hour("applied"), hour("accepted"), "item"
				r["person_id"], r["person_record"] = id(rapid.SampledFrom([]string{"anna", "bert"}).Draw(rt, "person")), id("person of "+number)
				if rapid.Bool().Draw(rt, "closed") {
					r["closed_at"] = hour("closed at")
				}
			case "case_steps":
				r["record"], r["kind"], r["started_at"], r["ended_at"] = fmt.Sprint("step ", rapid.IntRange(1, 3).Draw(rt, "step")), "special", hour("started"), hour("ended")
			case "submissions":
				r["record"], r["document"], r["submitted_at"], r["department"] = fmt.Sprint("paper ", i%5), fmt.Sprint("document ", rapid.IntRange(1, 2).Draw(rt, "document")), hour("submitted"), rapid.SampledFrom([]string{"hall", "housing"}).Draw(rt, "department")
			case "ratings":
				r["record"], r["score"] = "rating of "+number, int64(rapid.IntRange(1, 5).Draw(rt, "score"))
			case "links":
				r = row{"record": "person of " + number, "party": "person", "kind": "merge", "party_id": id("both"), "version": uint64(i + 1), "effective_at": received}
			}
			history = append(history, load{table, r, received})
		}
		moment := start.AddDate(0, 1, 0).Add(time.Duration(rapid.IntRange(-1, 7).Draw(rt, "moment")) * time.Minute)
		fill := func(until time.Time) {
			for _, name := range append(clickhouse.Kept(), "links") {
				exec(t, c, "TRUNCATE TABLE store."+name)
				if name != "links" {
					exec(t, c, "TRUNCATE TABLE store."+name+"_versions")
				}
			}
			for _, l := range history {
				if !l.received.After(until) {
					insert(t, c, "store."+l.table, l.row)
				}
			}
		}
		rows := func(of string) (lines []string) {
			for _, view := range views {
				for _, line := range read(t, a, "tuple(*)", "FROM "+fmt.Sprintf(of, view)+" ORDER BY 1") {
					lines = append(lines, view+" "+line)
				}
			}
			return lines
		}
		fill(moment)
		want := rows("mart.%s")
		fill(moment.AddDate(1, 0, 0))
		for _, name := range clickhouse.Kept() { // what is merged away must not be missed
			exec(t, c, "OPTIMIZE TABLE store."+name+" FINAL")
		}
		if got := rows("known.%s(at = '" + moment.UTC().Format(time.DateTime) + "')"); !slices.Equal(got, want) {
			rt.Fatalf("as of %s\ngot\n  %s\nwant\n  %s", moment, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
		}
	})
}

// Whatever is added to a table of the model is kept with its versions.
func TestVersionsHaveTheColumnsOfTheirTables(t *testing.T) {
	c := ready(t)
	for _, name := range clickhouse.Kept() {
		table, _ := canonical.Lookup(name)
		var columns []string
		for _, col := range table.Columns {
			columns = append(columns, col.Name)
		}
		for _, suffix := range []string{"_versions", "_kept"} {
			same(t, read(t, c, "name", "FROM system.columns WHERE database = 'store' AND table = '"+name+suffix+"' ORDER BY position"), columns...)
		}
	}
}

// A paper that was a repeat then, and is another document since its correction, was a repeat then.
func TestKnownRepeats(t *testing.T) {
	c := ready(t)
	received := local("2026-04-01 09:00")
	paper := func(record, document string, version uint64) row {
		return row{"record": record, "document": document, "submitted_at": local("2026-03-0" + record + " 09:00"), "department": "hall",
			"person_id": id("anna"), "version": version, "received_at": received.AddDate(0, 0, int(version))}
	}
	insert(t, c, "store.submissions", paper("1", "household register", 1), paper("2", "household register", 2), paper("1", "diploma", 3))
	exec(t, c, "OPTIMIZE TABLE store.submissions FINAL")
	same(t, read(t, c, "day(submitted_at); repeat", "FROM mart.submissions ORDER BY 1"), "1 ", "2 ")
	same(t, read(t, c, "day(submitted_at); repeat", "FROM known.submissions(at = '2026-04-03 12:00:00') ORDER BY 1"), "1 ", "2 same_department")
	same(t, read(t, c, "day(submitted_at); repeat", "FROM known.submissions(at = '2026-04-02 12:00:00') ORDER BY 1"), "1 ")
	same(t, read(t, c, "count()", "FROM known.submissions(at = '2026-04-01 00:00:00')"), "0")
}

// Load, correct, merge, and ask again as of before and as of now: both are right, and what changed is said.
func TestFiguresAreRestated(t *testing.T) {
	c, a := ready(t), as(t, clickhouse.Analyst)
	first := local("2026-04-01 09:00")
	paper := func(i, person int, version uint64, document string) row {
		return row{"record": fmt.Sprint("paper ", i), "document": document, "material_code": "m", "submitted_at": local(fmt.Sprintf("2026-03-%02d 09:00", 1+i)), "department": "hall",
			"person_id": id(fmt.Sprint("person ", person)), "person_record": id(fmt.Sprint("record ", i)), "version": version, "received_at": first.AddDate(0, 0, int(version))}
	}
	for i := range 10 { // ten people, of whom 0 and 1 turn out to be one; the paper of 2 turns out to be that of 3
		insert(t, c, "store.submissions", paper(i, i, 1, fmt.Sprint("document ", i/2)))
	}
	insert(t, c, "store.links", row{"record": "record 1", "party": "person", "kind": "merge", "previous_id": id("person 1"), "party_id": id("person 0"), "version": uint64(2), "effective_at": first.AddDate(0, 0, 2)})
	insert(t, c, "store.submissions", paper(2, 3, 3, "document 1"), paper(10, 10, 3, "x"), row{"record": "paper 9", "version": uint64(3), "deleted": uint8(1), "received_at": first.AddDate(0, 0, 3)})
	zone, _ := time.LoadLocation(zone)
	set, err := metrics.Load()
	if err != nil {
		t.Fatal(err)
	}
	figures := warehouse.NewFigures(a, set, zone)
	march := metrics.Query{Metric: "repeat_rate", From: metrics.Month{Year: 2026, Month: 3}, To: metrics.Month{Year: 2026, Month: 3}}
	ask := func(known string, compare string) metrics.Result {
		q := march
		q.Compare = compare
		if known != "" {
			if q.Known, err = metrics.ParseKnown(known, zone); err != nil {
				t.Fatal(err)
			}
		}
		r, err := figures.Metric(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	figure := func(r metrics.Row) string { return fmt.Sprintf("%v of %v", *r.Numerator, *r.Denominator) }
	for known, want := range map[string]string{"2026-04-02": "0 of 10", "2026-04-03": "1 of 10", "2026-04-04": "2 of 10", "": "2 of 10"} {
		if got := figure(ask(known, "").Rows[0]); got != want {
			t.Errorf("known %q: %s, not %s", known, got, want)
		}
	}
	r := ask("2026-04-02", metrics.CompareKnown)
	if got := figure(r.Rows[0]) + ", was " + figure(*r.Rows[0].Before); got != "2 of 10, was 0 of 10" {
		t.Error(got)
	}
	want := []metrics.Restated{{Dataset: "", Change: "merge", Records: 1}, {Dataset: "d", Change: "added", Records: 1}, {Dataset: "d", Change: "corrected", Records: 1}, {Dataset: "d", Change: "removed", Records: 1}}
	if !slices.Equal(r.Restated, want) {
		t.Errorf("restated by %v", r.Restated)
	}
}
