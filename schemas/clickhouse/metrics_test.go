package clickhouse_test

import (
	"encoding/csv"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	conn "github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/shirecounty/shire/schemas/clickhouse"
	"github.com/shirecounty/shire/schemas/metrics"
)

func definition(t *testing.T, name string) *metrics.Definition {
	t.Helper()
	set, err := metrics.Load()
	if err != nil {
		t.Fatal(err)
	}
	d, err := set.Get(name)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func months(from, to string) metrics.Query {
	first, err := metrics.ParseMonth(from)
	if err != nil {
		panic(err)
	}
	last, err := metrics.ParseMonth(to)
	if err != nil {
		panic(err)
	}
	return metrics.Query{From: first, To: last}
}

type curve struct {
	cases, closed           uint64
	median, p90, closedOnly *float64
	lower, upper            *float64 // of the median
	p90Lower, p90Upper      *float64
}

func survival(t *testing.T, c conn.Conn, name, timeZone string, q metrics.Query) (map[string]curve, error) {
	t.Helper()
	where, err := time.LoadLocation(timeZone)
	if err != nil {
		t.Fatal(err)
	}
	sql, args, err := definition(t, name).Query(q, where)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := c.Query(t.Context(), sql, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	curves := map[string]curve{}
	for rows.Next() {
		var key string
		var r curve
		if err := rows.Scan(&key, &r.cases, &r.closed, &r.median, &r.lower, &r.upper, &r.p90, &r.p90Lower, &r.p90Upper, &r.closedOnly); err != nil {
			t.Fatal(err)
		}
		curves[key] = r
	}
	return curves, rows.Err()
}

func ratio(t *testing.T, c conn.Conn, name string, q metrics.Query) map[string][2]float64 {
	t.Helper()
	where, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	sql, args, err := definition(t, name).Query(q, where)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := c.Query(t.Context(), sql, args...)
	if err != nil {
		t.Fatalf("%v\n%s", err, sql)
	}
	defer rows.Close()
	parts := map[string][2]float64{}
	for rows.Next() {
		var key string
		var numerator, denominator, units, open float64
		if err := rows.Scan(&key, &numerator, &denominator, &units, &open); err != nil {
			t.Fatal(err)
		}
		parts[key] = [2]float64{numerator, denominator}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return parts
}

// Six cases, in days: 1, 2, 2+ (open), 3, 4+ (open), 5. The curve is 5/6, 2/3, then 2/3 * 2/3 = 4/9 at 3 days, and 0 at 5. The median
// of the four that ended is 2.5.
func TestKaplanMeierByHand(t *testing.T) {
	c := ready(t)
	end := local("2025-03-31 10:00")
	insert(t, c, "store.case_steps", row{"record": "now", "case_number": "x", "activity": "x", "started_at": end})
	add := func(number string, days int, ended bool) {
		applied := end.AddDate(0, 0, -days)
		r := row{"record": number, "case_number": number, "department": "hall", "applied_at": applied}
		if ended {
			r["applied_at"] = applied.AddDate(0, 0, -10)
			r["delivered_at"] = end.AddDate(0, 0, -10)
		}
		insert(t, c, "store.cases", r)
	}
	add("a", 5, true)
	add("b", 2, false)
	add("c", 2, true)
	add("d", 4, false)
	add("e", 1, true)
	add("f", 3, true)
	got, err := survival(t, as(t, clickhouse.Analyst), "citizen_time", zone, months("2025-03", "2025-03"))
	if err != nil {
		t.Fatal(err)
	}
	r := got[""]
	if r.cases != 6 || r.closed != 4 || *r.median != 3*86400 || *r.p90 != 5*86400 || *r.closedOnly != 2.5*86400 {
		t.Errorf("got %+v: median %v, p90 %v, closed only %v", r, *r.median, *r.p90, *r.closedOnly)
	}
	// In the view, four ends are too few for a curve: the cell is shown, the median is not.
	same(t, read(t, as(t, clickhouse.Analyst), "month; by; department; cases; closed; median; closed_only_median",
		"FROM metrics.citizen_time WHERE by IN ('', 'department') ORDER BY by"),
		"2025-03-01   6 4 ~ 216000", "2025-03-01 department hall 6 4 ~ 216000")
	add("g", 3, true)
	same(t, read(t, as(t, clickhouse.Analyst), "cases; closed; median; p90", "FROM metrics.citizen_time WHERE by = ''"), "7 5 259200 432000")
}

func TestLegalTimeRefusesAnUnpublishedYear(t *testing.T) {
	c := ready(t)
	for i, accepted := range []string{"2025-03-03 09:00", "2025-03-03 10:00", "2025-03-03 11:00", "2025-03-04 09:00", "2025-03-04 10:00"} {
		insert(t, c, "store.cases", row{"record": string(rune('a' + i)), "case_number": string(rune('a' + i)), "department": "hall",
			"applied_at": local("2025-03-01 09:00"), "accepted_at": local(accepted), "closed_at": local("2025-03-06 15:00")})
	}
	got, err := survival(t, c, "legal_time", zone, months("2025-03", "2025-03"))
	if err != nil {
		t.Fatal(err)
	}
	if r := got[""]; r.cases != 5 || *r.median != 3 || *r.p90 != 3 || *r.closedOnly != 3 {
		t.Errorf("got %+v, median %v", r, *r.median)
	}
	insert(t, c, "store.cases", row{"record": "old", "case_number": "old", "applied_at": local("2019-03-01 09:00"),
		"accepted_at": local("2019-03-02 09:00"), "closed_at": local("2019-03-06 15:00")})
	if _, err := survival(t, c, "legal_time", zone, months("2025-03", "2025-03")); err != nil {
		t.Errorf("a month with its calendar: %v", err)
	}
	analyst := as(t, clickhouse.Analyst)
	same(t, read(t, analyst, "month; median", "FROM metrics.legal_time WHERE by = '' AND month = '2025-03-01'"), "2025-03-01 3")
	if _, err := survival(t, analyst, "legal_time", zone, months("2019-03", "2019-03")); err == nil || !strings.Contains(err.Error(), "not published") {
		t.Errorf("a month without its calendar: got %v", err)
	}
}

func TestRatiosByHand(t *testing.T) {
	c := ready(t)
	add := func(number, department, item string, more row) {
		r := row{"record": number, "case_number": number, "department": department, "item_code": item,
			"applied_at": local("2025-03-31 23:30"), "accepted_at": local("2025-04-01 09:00")} // March in the county, and in UTC
		for k, v := range more {
			r[k] = v
		}
		insert(t, c, "store.cases", r)
	}
	in, late := local("2025-04-02 09:00"), local("2025-04-09 09:00")
	due := local("2025-04-03 18:00")
	add("1", "hall", "a", row{"promised_at": due, "closed_at": in})
	add("2", "hall", "a", row{"promised_at": due, "closed_at": in})
	add("3", "hall", "b", row{"promised_at": due, "closed_at": late})
	add("4", "it's", "b", row{"promised_at": due})
	add("5", "it's", "b", row{"closed_at": in})
	add("6", "it's", "b", row{"accepted_at": nil})
	add("7", "hall", "b", row{"promised_at": due, "closed_at": in, "applied_at": local("2025-04-01 00:30")}) // April, though March in UTC
	insert(t, c, "store.case_steps", row{"record": "s1", "case_number": "3", "kind": "supplement", "activity": "s", "started_at": in},
		row{"record": "s2", "case_number": "3", "kind": "supplement", "activity": "s", "started_at": in},
		row{"record": "s3", "case_number": "4", "kind": "special", "activity": "s", "started_at": in})
	insert(t, c, "store.ratings", row{"record": "r1", "case_number": "1", "score": int64(1), "rated_at": late},
		row{"record": "r2", "case_number": "2", "score": int64(2), "rated_at": late},
		row{"record": "r3", "case_number": "3", "score": int64(3), "rated_at": late},
		row{"record": "r4", "case_number": "gone", "score": int64(5), "rated_at": local("2025-03-15 09:00")})
	paper := func(record, number, method string, at time.Time) row {
		return row{"record": record, "case_number": number, "department": "hall", "material_code": "m", "document": "x", "person_id": id("anna"),
			"method": method, "submitted_at": at}
	}
	insert(t, c, "store.submissions", paper("p1", "1", "paper", local("2025-03-02 09:00")), paper("p2", "1", "upload", local("2025-03-03 09:00")),
		paper("p3", "1", "shared", local("2025-03-04 09:00")), row{"record": "p4", "case_number": "2", "department": "it's", "material_code": "m",
			"document": "x", "person_id": id("anna"), "submitted_at": local("2025-03-05 09:00")})

	analyst := as(t, clickhouse.Analyst)
	march := months("2025-03", "2025-03")
	whole := map[string][2]float64{
		"on_time_rate":                   {2, 4},
		"supplement_rate":                {1, 5},
		"satisfaction_rate":              {2, 4},
		"rating_rate":                    {3, 4},
		"repeat_rate":                    {2, 4},
		"repeat_rate_same_department":    {1, 4},
		"repeat_rate_across_departments": {1, 4},
		"papers_spared":                  {1, 4},
	}
	for name, want := range whole {
		if got := ratio(t, analyst, name, march)[""]; got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
		// The view adds up to the same.
		got := read(t, analyst, "sum(numerator); sum(denominator)", "FROM metrics."+name+" WHERE month = '2025-03-01'")
		query := ratio(t, analyst, name, march)[""]
		same(t, got, strings.Join([]string{text(query[0]), text(query[1])}, " "))
	}
	by := func(q metrics.Query, dimension string) metrics.Query { q.By = dimension; return q }
	if got := ratio(t, analyst, "on_time_rate", by(march, "department")); got["hall"] != [2]float64{2, 3} || got["it's"] != [2]float64{0, 1} || len(got) != 2 {
		t.Errorf("by department: %v", got)
	}
	if got := ratio(t, analyst, "on_time_rate", by(months("2025-03", "2025-04"), "month")); got["2025-03"] != [2]float64{2, 4} || got["2025-04"] != [2]float64{1, 1} || len(got) != 2 {
		t.Errorf("by month: %v", got)
	}
	// What the reader chose is bound, whatever it is.
	for value, want := range map[string][2]float64{"it's": {0, 1}, "' OR 1 = 1 --": {}, `\`: {}, "{x:String}": {}, "a\nb\t": {}} {
		q := march
		q.Filters = map[string]string{"department": value, "item": "b"}
		if got := ratio(t, analyst, "on_time_rate", q)[""]; got != want {
			t.Errorf("filter %q: got %v, want %v", value, got, want)
		}
	}
	// Below the minimum cell a view gives no value.
	same(t, read(t, analyst, "department; item; denominator; value", "FROM metrics.supplement_rate WHERE month = '2025-03-01' ORDER BY department, item"),
		"hall a 2 ~", "hall b 1 ~", "it's b 2 ~")
	comment := read(t, analyst, "comment", "FROM system.tables WHERE database = 'metrics' AND name = 'supplement_rate'")
	if len(comment) != 1 || !strings.Contains(comment[0], "version 1") || !strings.Contains(comment[0], "补正率") {
		t.Errorf("the view's comment names no version: %v", comment)
	}
}

func text(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// TestReceiptTrap is the golden trap of the domain: the closed-only median falls by 88% and nothing has become faster.
func TestReceiptTrap(t *testing.T) {
	dir := os.Getenv("SHIRE_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	file, err := os.Open(filepath.Join(dir, "receipt.csv"))
	if errors.Is(err, fs.ErrNotExist) && os.Getenv("CI") != "true" {
		t.Skip("no receipt.csv: set SHIRE_DATA to the folder of test data")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]int{}
	for i, name := range lines[0] {
		at[name] = i
	}
	moment := func(s string) *time.Time {
		if s == "" {
			return nil
		}
		m, err := time.Parse("2006-01-02 15:04:05.999999-07:00", s)
		if err != nil {
			t.Fatal(err)
		}
		return &m
	}
	c := ready(t)
	cases, err := c.PrepareBatch(t.Context(), "INSERT INTO store.cases (record_id, dataset, case_number, applied_at, promised_at, closed_at, delivered_at, accepted_at)")
	if err != nil {
		t.Fatal(err)
	}
	steps, err := c.PrepareBatch(t.Context(), "INSERT INTO store.case_steps (record_id, dataset, case_number, activity, started_at)")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i, line := range lines[1:] {
		number := line[at["case:concept:name"]]
		if err := steps.Append(id(string(rune(i))+number+"step"), "receipt", number, line[at["concept:name"]], moment(line[at["time:timestamp"]])); err != nil {
			t.Fatal(err)
		}
		if seen[number] {
			continue
		}
		seen[number] = true
		start, end := moment(line[at["case:startdate"]]), moment(line[at["case:enddate"]])
		if err := cases.Append(id(number), "receipt", number, start, moment(line[at["case:deadline"]]), end, end, start); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(cases.Send(), steps.Send()); err != nil {
		t.Fatal(err)
	}

	analyst := as(t, clickhouse.Analyst)
	days := func(seconds *float64) float64 {
		if seconds == nil {
			return math.NaN()
		}
		return math.Round(*seconds/864) / 100
	}
	whole, err := survival(t, analyst, "citizen_time", "Europe/Amsterdam", months("2010-10", "2012-01"))
	if err != nil {
		t.Fatal(err)
	}
	if r := whole[""]; r.cases != 1434 || r.closed != 1329 || days(r.closedOnly) != 50.64 || days(r.median) != 52.50 || days(r.p90) != 121.37 {
		t.Errorf("whole: %d cases, %d closed, closed only %v, Kaplan-Meier %v, p90 %v", r.cases, r.closed, days(r.closedOnly), days(r.median), days(r.p90))
	}
	q := months("2010-10", "2012-01")
	q.By = "month"
	byMonth, err := survival(t, analyst, "citizen_time", "Europe/Amsterdam", q)
	if err != nil {
		t.Fatal(err)
	}
	if r := byMonth["2010-10"]; r.cases != 85 || days(r.closedOnly) != 59.58 || days(r.median) != 59.59 {
		t.Errorf("2010-10: %+v: %v, %v", r, days(r.closedOnly), days(r.median))
	}
	if r := byMonth["2011-11"]; days(r.median) != 43.59 || r.p90 != nil {
		t.Errorf("2011-11: %v, p90 %v", days(r.median), r.p90)
	}
	if r := byMonth["2011-12"]; r.cases != 47 || r.closed != 13 || r.median != nil {
		t.Errorf("2011-12: %+v, want not estimable", r)
	}
	if r := byMonth["2012-01"]; r.cases != 11 || r.closed != 1 || r.median != nil || days(r.closedOnly) != 7.39 {
		t.Errorf("2012-01: %+v, closed only %v, want not estimable", r, days(r.closedOnly))
	}
	if len(byMonth) != 16 {
		t.Errorf("%d months, want 16", len(byMonth))
	}
	d := definition(t, "citizen_time")
	if r := byMonth["2012-01"]; d.SurvivalRow("2012-01", metrics.Curve{Cases: r.cases, Closed: r.closed, Value: r.median, P90: r.p90, ClosedOnly: r.closedOnly}).State != metrics.StateNotEstimable {
		t.Error("2012-01 is not called not estimable")
	}
	// What is published about the log's process. Its steps have no ends, so that nobody can tell work from waiting.
	same(t, read(t, analyst, "count(); sum(steps); countIf(extra_steps > 0); sum(extra_steps); round(avg(seconds), 3); round(max(seconds), 3); sum(waiting_seconds) + sum(working_seconds); sum(untold_seconds) = sum(seconds)",
		"FROM mart.case_traces"), "1434 8577 91 245 467263.915 23832541.524 0 1")
	same(t, read(t, analyst, "count(); sum(cases); round(sum(share), 9)", "FROM mart.case_variants"), "116 1434 1")
	same(t, read(t, analyst, "sum(transitions); sumIf(transitions, from_activity = ''); sumIf(transitions, to_activity = '')", "FROM mart.directly_follows"), "10011 1434 1434") // a step more than steps in each case
	same(t, read(t, analyst, "sum(extra_steps)", "FROM mart.rework_loops"), "245")
	same(t, read(t, analyst, "count(); sum(steps)", "FROM mart.activity_times"), "27 8577")
	if got := ratio(t, analyst, "on_time_rate", months("2010-09", "2012-02"))[""]; got[0] != 1329-377 {
		t.Errorf("on time: %v, want 952 of those closed or open past the deadline", got)
	}
}
