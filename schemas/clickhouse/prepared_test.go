package clickhouse_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	driver "github.com/ClickHouse/clickhouse-go/v2"
	conn "github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"pgregory.net/rapid"

	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/clickhouse"
	"github.com/shirecounty/shire/schemas/metrics"
)

// history is what reached a county in some order: corrections, deletions, late data and people who turned out to be one included.
type history map[string][]row

func drawHistory(t *rapid.T) history {
	h := history{}
	start := local("2025-01-01 00:00")
	hour := func(label string, upTo int) time.Time {
		return start.Add(time.Duration(rapid.IntRange(0, upTo).Draw(t, label)) * time.Hour)
	}
	pick := func(label string, from ...string) string { return rapid.SampledFrom(from).Draw(t, label) }
	person := func() string { return pick("person", "anna", "bert", "carl", "dora", "emil") }
	version := uint64(0)
	// add loads a record, and perhaps once more with other fields, in either order, or takes it back.
	add := func(table, record string, fields func() row) {
		for again := rapid.SampledFrom([]int{1, 1, 1, 2}).Draw(t, "versions"); again > 0; again-- {
			version++
			r := fields()
			r["record"], r["version"] = record, version+uint64(rapid.IntRange(0, 3).Draw(t, "late"))*1000
			if rapid.IntRange(0, 12).Draw(t, "deleted") == 0 {
				r["deleted"] = uint8(1)
			}
			h[table] = append(h[table], r)
		}
	}
	department := func() string { return pick("department", "hall", "housing", "police") }
	for i := range rapid.IntRange(60, 90).Draw(t, "cases") {
		number := fmt.Sprint("case ", i)
		add("store.cases", number, func() row {
			applied := hour("applied", 4300)
			r := row{"case_number": number, "department": department(), "item_code": pick("item", "birth", "shop", "roof"), "kind": pick("kind", "on_spot", "promised"), "channel": pick("channel", "window", "online"),
				"applied_at": applied, "person_id": id(person()), "person_record": id("applicant of " + number), "statutory_days": int64(rapid.IntRange(0, 20).Draw(t, "statutory")), "promised_days": int64(5)}
			if rapid.IntRange(0, 9).Draw(t, "accepted") > 0 {
				accepted := applied.Add(time.Duration(rapid.IntRange(0, 48).Draw(t, "wait")) * time.Hour)
				r["accepted_at"] = accepted
				if rapid.IntRange(0, 9).Draw(t, "closed") > 1 {
					closed := accepted.Add(time.Duration(rapid.IntRange(-5, 600).Draw(t, "lasts")) * time.Hour)
					r["closed_at"], r["visits"] = closed, int64(rapid.IntRange(0, 3).Draw(t, "visits"))
					if rapid.Bool().Draw(t, "delivered") {
						r["delivered_at"] = closed.Add(time.Hour)
					}
				}
			}
			return r
		})
		if rapid.IntRange(0, 2).Draw(t, "stopped") == 0 {
			add("store.case_steps", "step of "+number, func() row {
				began := hour("began", 4400)
				r := row{"case_number": number, "kind": pick("step", "supplement", "special", ""), "activity": "a", "started_at": began}
				if rapid.Bool().Draw(t, "ended") {
					r["ended_at"] = began.Add(30 * time.Hour)
				}
				return r
			})
		}
		for j := range rapid.IntRange(0, 4).Draw(t, "steps") {
			add("store.case_steps", fmt.Sprint("step ", j, " of ", number), func() row {
				began := hour("step began", 4300)
				r := row{"case_number": number, "step": fmt.Sprint(j), "activity": pick("activity", "a", "b", "c", ""), "started_at": began}
				if worked := rapid.IntRange(-1, 40).Draw(t, "worked"); worked >= 0 { // an end that is the start is no end; parts of a second add up to other sums in another order
					r["ended_at"] = began.Add(time.Duration(worked) * 1_000_001 * time.Microsecond)
				}
				return r
			})
		}
		add("store.submissions", "paper of "+number, func() row {
			return row{"case_number": number, "department": department(), "material_code": pick("material", "register", "deed"), "document": pick("document", "", "1", "2", "3"), "submitted_at": hour("submitted", 4300),
				"method": pick("method", "paper", "shared")}
		})
		add("store.ratings", "rating of "+number, func() row {
			return row{"case_number": number, "rated_at": hour("rated", 4300), "score": int64(rapid.IntRange(1, 5).Draw(t, "score"))}
		})
		add("store.incidents", "incident "+number, func() row {
			r := row{"incident_number": number, "department": department(), "category": pick("category", "noise", "road"), "reported_at": hour("reported", 4300), "reopened": int64(rapid.IntRange(0, 1).Draw(t, "reopened"))}
			if rapid.Bool().Draw(t, "closed") {
				r["closed_at"] = hour("closed", 4400)
			}
			return r
		})
		if i%6 == 0 {
			h["store.links"] = append(h["store.links"], row{"record": "applicant of " + number, "party": "person", "kind": "merge", "party_id": id("anna"), "version": uint64(100_000 + i)})
			add("store.holdings", "holding "+number, func() row {
				return row{"dataset": pick("catalogue", "free", "granted", "closed"), "person_id": id(person()), "material_code": pick("held", "register", "deed"), "issued_at": hour("issued", 4300)}
			})
			add("store.department_reports", "report "+number, func() row {
				return row{"department": department(), "subject": pick("subject", "cases", "incidents"), "month": date("2025-0" + pick("month", "1", "2", "3", "4") + "-01"), "reported": int64(rapid.IntRange(0, 9).Draw(t, "reported"))}
			})
		}
	}
	// Nobody knows which days were worked in 2023.
	h["store.cases"] = append(h["store.cases"], row{"record": "old", "case_number": "old", "department": "hall", "applied_at": local("2023-12-20 09:00"), "accepted_at": local("2023-12-20 09:00"), "closed_at": local("2024-01-09 09:00"), "statutory_days": int64(20), "promised_days": int64(5)})
	return h
}

// load inserts a history, the rows of each table in one block for each set of columns.
func (h history) load(t *testing.T, c conn.Conn) {
	t.Helper()
	for table, rows := range h {
		blocks := map[string][]row{}
		for _, r := range rows {
			full := row{"deleted": uint8(0), "dataset": "d"}
			if table == "store.links" {
				full = row{}
			}
			for k, v := range r {
				full[k] = v
			}
			full["record_id"] = id(fmt.Sprint(full["record"]))
			delete(full, "record")
			names := fmt.Sprint(keysOf(full))
			blocks[names] = append(blocks[names], full)
		}
		for _, block := range blocks {
			names := keysOf(block[0])
			columns := ""
			for i, name := range names {
				if i > 0 {
					columns += ", "
				}
				columns += name
			}
			batch, err := c.PrepareBatch(t.Context(), "INSERT INTO "+table+" ("+columns+")")
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range block {
				var values []any
				for _, name := range names {
					values = append(values, r[name])
				}
				if err := batch.Append(values...); err != nil {
					t.Fatal(err)
				}
			}
			if err := batch.Send(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func keysOf(r row) (names []string) {
	for name := range r {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func drawQuestion(t *rapid.T, set metrics.Set) metrics.Query {
	d := rapid.SampledFrom(set.All()).Draw(t, "metric")
	from := metrics.Month{Year: 2024, Month: 12}.Add(rapid.IntRange(-1, 8).Draw(t, "from"))
	if rapid.IntRange(0, 9).Draw(t, "refused") == 0 {
		from = metrics.Month{Year: 2023, Month: 12}
	}
	q := metrics.Query{Metric: d.Name, From: from, To: from.Add(rapid.SampledFrom([]int{0, 1, 2, 5, 11, 16}).Draw(t, "months")), Filters: map[string]string{},
		By: rapid.SampledFrom(append([]string{"", "month"}, d.DimensionNames()...)).Draw(t, "by"), Compare: rapid.SampledFrom([]string{"", "", "", metrics.CompareYear}).Draw(t, "compare")}
	if d.Kind == metrics.Survival && rapid.IntRange(0, 3).Draw(t, "quantile") == 0 {
		q.Quantile = 0.75
	}
	for range rapid.IntRange(0, 2).Draw(t, "filters") {
		name := rapid.SampledFrom(d.DimensionNames()).Draw(t, "filter")
		q.Filters[name] = rapid.SampledFrom([]string{"hall", "housing", "birth", "shop", "window", "on_spot", "register", "noise", "nowhere"}).Draw(t, "value")
	}
	return q
}

func drawProcessQuestion(t *rapid.T) metrics.ProcessQuery {
	from := metrics.Month{Year: 2024, Month: 12}.Add(rapid.IntRange(-14, 8).Draw(t, "from"))
	pick := func(label string, from ...string) string { return rapid.SampledFrom(from).Draw(t, label) }
	return metrics.ProcessQuery{From: from, To: from.Add(rapid.SampledFrom([]int{0, 2, 5, 11, 30}).Draw(t, "months")), Limit: rapid.SampledFrom([]int{0, 1, 3}).Draw(t, "limit"),
		Item: pick("item", "", "", "", "birth", "shop", "nowhere"), Department: pick("department", "", "", "", "hall", "police"), Channel: pick("channel", "", "", "window")}
}

// preparing gives what prepares a county of any size, and what reads the figures.
func preparing(t *testing.T) (c conn.Conn, set metrics.Set, figures *warehouse.Figures, preparer func(large uint64) *warehouse.Preparer) {
	c, a := ready(t), as(t, clickhouse.Analyst)
	where, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	if set, err = metrics.Load(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c, err := driver.Open(options(clickhouse.Loader))
		if err == nil {
			err = c.Exec(context.Background(), "TRUNCATE TABLE prepared.state")
			c.Close()
		}
		if err != nil {
			t.Error(err)
		}
	}) // the other tests ask the views, which each writes anew
	return c, set, warehouse.NewFigures(a, set, where), func(large uint64) *warehouse.Preparer {
		return &warehouse.Preparer{Conn: c, Set: set, Zone: where, Views: "these", Large: large, Definer: clickhouse.Loader}
	}
}

// never is more rows than any county has.
const never = 1 << 40

func prepare(t *testing.T, p *warehouse.Preparer, want bool) {
	t.Helper()
	if done, err := p.Prepare(t.Context()); err != nil || done != want {
		t.Fatalf("prepared %v, %v", done, err)
	}
}

// answers are what is asked of metrics, of how cases went, and in SQL, as texts, and how many of the former are prepared.
func answers(t *testing.T, figures *warehouse.Figures, a conn.Conn, set metrics.Set, questions []metrics.Query, ways []metrics.ProcessQuery) (list []string, prepared int) {
	t.Helper()
	add := func(question, answer any, at *string, err error) {
		if *at != "" {
			prepared++
		}
		*at = ""
		text, marshalled := json.Marshal(answer)
		if marshalled != nil {
			t.Fatal(marshalled)
		}
		list = append(list, fmt.Sprintf("%+v: %s %v", question, text, err))
	}
	for _, q := range questions {
		r, err := figures.Metric(t.Context(), q)
		add(q, &r, &r.Prepared, err)
	}
	for _, q := range ways {
		p, err := figures.Process(t.Context(), q)
		add(q, &p, &p.Prepared, err)
	}
	for _, d := range set.All() {
		rows := read(t, a, "tuple(*)", "FROM metrics."+d.Name+" WHERE month >= '2024-06-01' ORDER BY 1")
		list = append(list, fmt.Sprint(d.Name, rows))
		if d.Name == "legal_time" || d.Name == "on_time_rate" { // what is refused is refused here too
			err := a.Exec(t.Context(), "SELECT * FROM metrics."+d.Name+" FORMAT Null")
			list = append(list, fmt.Sprint(d.Name, " is refused: ", err != nil && strings.Contains(err.Error(), d.Because())))
		}
	}
	labels, items, err := figures.Labels(t.Context())
	extent, failed := figures.Extent(t.Context())
	return append(list, fmt.Sprint(labels, items, err), fmt.Sprint(extent, failed)), prepared
}

// What is prepared says what the views say, whatever reached the county and whatever is asked.
func TestPreparedFiguresAreThoseOfTheViews(t *testing.T) {
	c, set, figures, preparer := preparing(t)
	a := as(t, clickhouse.Analyst)
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == "8" { // each asks some hundred questions
		flag.Set("rapid.checks", "2")
		defer flag.Set("rapid.checks", "8")
	}
	every := true
	rapid.Check(t, func(rt *rapid.T) {
		h := drawHistory(rt)
		questions := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) metrics.Query { return drawQuestion(t, set) }), 12, 12).Draw(rt, "questions")
		ways := rapid.SliceOfN(rapid.Custom(drawProcessQuestion), 5, 5).Draw(rt, "how cases went")
		ways = append(ways, metrics.ProcessQuery{From: metrics.Month{Year: 2025, Month: 1}, To: metrics.Month{Year: 2025, Month: 6}})
		if every {
			for _, d := range set.All() { // a breakdown of every metric, and a cohort for which some are refused
				questions = append(questions, metrics.Query{Metric: d.Name, From: metrics.Month{Year: 2025, Month: 1}, To: metrics.Month{Year: 2025, Month: 3}, By: "department"},
					metrics.Query{Metric: d.Name, From: metrics.Month{Year: 2023, Month: 12}, To: metrics.Month{Year: 2024, Month: 2}})
			}
			every = false
		}
		empty(t, c)
		h.load(t, c)
		prepare(t, preparer(never), false)
		want, prepared := answers(t, figures, a, set, questions, ways)
		if prepared != 0 {
			rt.Fatalf("%d answers come from what nobody prepared", prepared)
		}
		p := preparer(1)
		p.Bounds = rapid.SampledFrom([]int{0, 1, 2, 4}).Draw(rt, "bounds") // few: medians lie on a bound, and before, between and after them
		prepare(t, p, true)
		got, prepared := answers(t, figures, a, set, questions, ways)
		for i := range got {
			if got[i] != want[i] {
				rt.Fatalf("got\n  %s\nwant\n  %s", got[i], want[i])
			}
		}
		if prepared < len(questions)/2+len(ways) {
			rt.Fatalf("only %d of %d answers were prepared", prepared, len(questions)+len(ways))
		}
		prepare(t, p, false) // nothing has changed
	})
}
