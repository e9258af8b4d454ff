package main

import (
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shirecounty/shire/schemas/metrics"
)

// truthOfProgrammes: what the councils, the party school and the departments' reports say is in the marts as it is in the truth.
func (d *demoNode) truthOfProgrammes(t *testing.T) {
	names := []string{"decision", "department", "decided_at", "due_on", "carried_out_on", "published_on", "entitled", "attended"}
	mart := d.answer(t, "SELECT decision, department, "+local("decided_at")+", due_on, carried_out_on, published_on, entitled, attended FROM mart.council_decisions")
	sameRecords(t, "decision", collect(t, d.truthOf(t, "decisions"), 1, names...), collect(t, mart, 1, names...))

	// Participants are pseudonyms in the marts: what is counted is how often each content occurs.
	names = []string{"training", "department", "attended_at", "satisfaction", "points_before", "points_after", "practised_on", "times"}
	times := counted{}
	truth := d.truthOf(t, "training")
	seen := map[string]int{}
	for _, row := range truth.rows {
		seen[strings.Join(truth.of(t, row, names[:7]...), "/")]++
	}
	for key, n := range seen {
		times.add(key, fmt.Sprint(n))
	}
	mart = d.answer(t, "SELECT training, department, "+local("attended_at")+", satisfaction, points_before, points_after, practised_on, count() AS times FROM mart.training_participations GROUP BY ALL")
	sameRecords(t, "participation", times, collect(t, mart, 7, names...))
	people := d.answer(t, "SELECT count() AS all, uniqExact(training, participant) AS different FROM mart.training_participations")
	if f := people.of(t, people.rows[0], "all", "different"); f[0] != f[1] || f[0] != fmt.Sprint(len(truth.rows)) {
		t.Errorf("participations and different ones: %v, want %d", f, len(truth.rows))
	}

	names = []string{"subject", "department", "month", "handed_over", "reported"}
	mart = d.answer(t, "SELECT subject, department, formatDateTime(month, '%Y-%m') AS month, captured AS handed_over, toString(reported) AS reported FROM mart.coverage")
	sameRecords(t, "report", collect(t, d.truthOf(t, "reports"), 3, names...), collect(t, mart, 3, names...))
}

// period is all months of the simulated county.
func (d *demoNode) period(t *testing.T) (from, to string) {
	row := d.answer(t, "SELECT formatDateTime(toTimeZone(min(applied_at), 'Asia/Shanghai'), '%Y-%m') AS a, formatDateTime(toTimeZone(max(applied_at), 'Asia/Shanghai'), '%Y-%m') AS b FROM mart.cases")
	f := row.of(t, row.rows[0], "a", "b")
	return f[0], f[1]
}

func (d *demoNode) ask(t *testing.T, name string, flags ...string) metrics.Result {
	t.Helper()
	var r metrics.Result
	envelopeOf(t, shire(t, append([]string{"metrics", "query", name, "--json", "--data", d.data}, flags...)...).ok(t), &r)
	return r
}

// served asks for a metric over HTTP.
func (d *demoNode) served(t *testing.T, name, from, to, more string) (r metrics.Result) {
	t.Helper()
	d.fetch(t, fmt.Sprintf("/api/v1/metrics/%s?from=%s&to=%s%s", name, from, to, more), &r)
	return r
}

// life is a true time: from a beginning to its end, or to the end of the data. Its length is in seconds, or in working days.
type life struct {
	length float64
	ended  bool
}

// truthOfFigures: every figure that the truth can tell is exactly the truth's. Of what the truth leaves out, promises and visits, the truth
// is the hall's files.
func (d *demoNode) truthOfFigures(t *testing.T) {
	from, to := d.period(t)
	sums := map[string][2]float64{}
	sum := func(metric string, numerator, denominator float64) {
		s := sums[metric]
		sums[metric] = [2]float64{s[0] + numerator, s[1] + denominator}
	}
	count := func(metric string, numerator, denominator bool) {
		n, of := 0., 0.
		if denominator {
			of = 1
		}
		if numerator && denominator {
			n = 1
		}
		sum(metric, n, of)
	}
	each := func(name string, fields []string, fn func(f []string)) {
		s := d.truthOf(t, name)
		for _, row := range s.rows {
			fn(s.of(t, row, fields...))
		}
	}
	number := func(s string) float64 {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	end, err := time.Parse(time.RFC3339, d.served(t, "coverage", from, to, "").AsOf)
	if err != nil {
		t.Fatal(err)
	}
	now := end.Format(time.DateTime)
	moment := func(s string) time.Time {
		at, err := time.ParseInLocation(time.DateTime, s, end.Location())
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	lives := map[string][]life{}
	live := func(metric, began, ended string) {
		until := end
		if ended != "" {
			until = moment(ended)
		}
		lives[metric] = append(lives[metric], life{until.Sub(moment(began)).Seconds(), ended != ""})
	}
	hall, handed := d.handedOver(t, "cases", "办件编号")
	supplemented, rated := map[string]bool{}, map[string]bool{}
	each("steps", []string{"case_number", "kind"}, func(f []string) {
		if f[1] == "supplement" {
			supplemented[f[0]] = true
		}
	})
	each("ratings", []string{"case_number", "score"}, func(f []string) {
		rated[f[0]] = true
		count("satisfaction_rate", f[1] <= "2", true)
	})
	each("cases", []string{"case_number", "applied_at", "accepted_at", "closed_at", "delivered_at"}, func(f []string) {
		count("supplement_rate", supplemented[f[0]], f[2] != "")
		count("rating_rate", rated[f[0]], f[3] != "")
		live("citizen_time", f[1], f[4])
		h := hall.of(t, handed[f[0]], "承诺办结时间", "跑动次数", "法定时限", "承诺时限")
		sum("promised_of_statutory", number(h[3]), number(h[2]))
		if f[2] == "" {
			return
		}
		late := h[0] < cmp.Or(f[3], now)
		count("overdue", late, true)
		count("on_time_rate", !late, f[3] != "" || late)
		if f[3] != "" {
			count("one_visit_rate", number(h[1]) <= 1, true)
			sum("visits", number(h[1]), 1)
		}
	})
	each("submissions", []string{"shared"}, func(f []string) { count("papers_spared", f[0] == "true", true) })
	each("incidents", []string{"reported_at", "closed_at", "reopened"}, func(f []string) {
		count("incident_reopened_rate", f[2] != "0", f[1] != "" || f[2] != "0")
		live("incident_time", f[0], f[1])
	})
	each("decisions", []string{"due_on", "carried_out_on", "published_on", "entitled", "attended"}, func(f []string) {
		count("decisions_on_time_rate", f[1] != "" && f[1] <= f[0], f[1] != "" || f[0] < now[:len(time.DateOnly)])
		count("decisions_published_rate", f[2] != "", true)
		sum("council_turnout", number(f[4]), number(f[3]))
	})
	each("training", []string{"satisfaction", "points_before", "points_after", "practised_on"}, func(f []string) {
		count("training_satisfaction_rate", f[0] <= "2", f[0] != "")
		count("training_practice_rate", f[3] != "", true)
		if f[1] != "" && f[2] != "" {
			sum("training_knowledge_gain", number(f[2])-number(f[1]), 1)
		}
	})
	each("reports", []string{"handed_over", "reported"}, func(f []string) { sum("coverage", min(number(f[0]), number(f[1])), number(f[1])) })
	for name, want := range sums {
		if name != "overdue" {
			d.sums(t, name, want[0], want[1])
			continue
		}
		// A number, and what stands behind it.
		if row := d.served(t, name, from, to, "").Rows[0]; row.Value == nil || *row.Value != want[0] || float64(row.Count) != want[1] {
			t.Errorf("%s: %+v, want %v of %v", name, row, want[0], want[1])
		}
		d.compared[name] = true
	}
	d.oneMinus(t, "promised_compression", sums["promised_of_statutory"][0]/sums["promised_of_statutory"][1])
	for name, all := range lives {
		d.time(t, name, all)
	}
}

// nothingOf are the metrics of what the simulated county does not have, each with the reason: their figures have to be empty.
var nothingOf = map[string]string{}

// provenElsewhere are the metrics whose events the simulated county does not make, each with where they are held against a truth.
var provenElsewhere = map[string]string{
	"sharing_answer_time":  "requests of the demo are dated by the day on which it is run: schemas/clickhouse, TestRequestsAsFolded",
	"sharing_on_time_rate": "requests of the demo are dated by the day on which it is run: schemas/clickhouse, TestRequestsAsFolded",
}

// allCompared: no metric of the catalogue is without a comparison with the truth, made by one of the functions below.
func (d *demoNode) allCompared(t *testing.T) {
	from, to := d.period(t)
	set, err := metrics.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range set.All() {
		why, none := nothingOf[m.Name]
		switch {
		case none && d.compared[m.Name]:
			t.Errorf("%s was compared with the truth, and yet the county is said to have nothing of it: %s", m.Name, why)
		case none:
			if row := d.served(t, m.Name, from, to, "").Rows[0]; row.State != metrics.StateEmpty {
				t.Errorf("%s has a figure, %+v, and the county is said to have nothing of it: %s", m.Name, row, why)
			}
		case !d.compared[m.Name] && provenElsewhere[m.Name] == "":
			t.Errorf("%s is a metric whose figure was not held against the truth of the simulated county: compare it here, or say in nothingOf why the county has nothing of it", m.Name)
		}
	}
	t.Logf("%d of %d metrics were held against the truth", len(d.compared), len(set))
}

// rate holds a rate of all months against what is counted by the definition.
func (d *demoNode) rate(t *testing.T, name string, part, whole int) {
	t.Helper()
	d.sums(t, name, float64(part), float64(whole))
}

// sums holds the two sums of a ratio, of all months, against the truth: exactly.
func (d *demoNode) sums(t *testing.T, name string, numerator, denominator float64) {
	t.Helper()
	from, to := d.period(t)
	row := d.served(t, name, from, to, "").Rows[0]
	if row.State != metrics.StateOK || row.Numerator == nil || *row.Numerator != numerator || *row.Denominator != denominator || *row.Value != numerator/denominator {
		t.Errorf("%s: %+v, want %v of %v", name, row, numerator, denominator)
	}
	d.compared[name] = true
}

// oneMinus holds a metric that is derived from a ratio against the true ratio.
func (d *demoNode) oneMinus(t *testing.T, name string, ratio float64) {
	t.Helper()
	from, to := d.period(t)
	if row := d.served(t, name, from, to, "").Rows[0]; row.Value == nil || math.Abs(*row.Value-(1-ratio)) > 1e-12 {
		t.Errorf("%s: %+v, want 1 - %v", name, row, ratio)
	}
	d.compared[name] = true
}

// time holds a median of all months against that of the true times, open ones included.
func (d *demoNode) time(t *testing.T, name string, lives []life) {
	t.Helper()
	from, to := d.period(t)
	want := median(lives)
	if row := d.served(t, name, from, to, "").Rows[0]; row.Value == nil || *row.Value != want || int(row.Count) != len(lives) || !(*row.Lower <= want && want <= *row.Upper) {
		t.Errorf("%s: %+v, want %v of %d", name, row, want, len(lives))
	}
	d.compared[name] = true
}

// median is that of Kaplan and Meier, walked through.
func median(lives []life) float64 {
	slices.SortFunc(lives, func(a, b life) int {
		return cmp.Or(cmp.Compare(a.length, b.length), map[bool]int{true: -1}[a.ended]-map[bool]int{true: -1}[b.ended])
	})
	curve := 1.0
	for i, l := range lives {
		if l.ended {
			curve *= 1 - 1/float64(len(lives)-i)
		}
		if curve <= .5+1e-9 {
			return l.length
		}
	}
	return math.NaN()
}

// surfaces: the command line, HTTP and SQL give the same figures.
func (d *demoNode) surfaces(t *testing.T) {
	from, to := d.period(t)
	set, err := metrics.Load()
	if err != nil {
		t.Fatal(err)
	}
	cohort := fmt.Sprintf("month BETWEEN '%s-01' AND '%s-01'", from, to)
	var sql []string
	for _, m := range set.All() {
		key := "''"
		if _, ok := m.Dimensions["department"]; ok {
			key = "department"
		}
		switch m.Kind {
		case metrics.Survival: // medians do not add up: by month, of the whole
			for end, column := range map[string]string{"": "median", "/lower": "median_lower", "/upper": "median_upper", "/p90": "p90"} {
				sql = append(sql, fmt.Sprintf("SELECT '%s' AS metric, formatDateTime(month, '%%Y-%%m') || '%s' AS k, %s AS v FROM metrics.%s WHERE by = '' AND %s", m.Name, end, column, m.Name, cohort))
			}
		case metrics.Simple:
			sql = append(sql, fmt.Sprintf("SELECT '%s' AS metric, toString(%s) AS k, toNullable(sum(numerator)) AS v FROM metrics.%s WHERE %s GROUP BY k", m.Name, key, m.Name, cohort))
		case metrics.Ratio:
			sql = append(sql, fmt.Sprintf("SELECT '%s' AS metric, toString(%s) AS k, sum(numerator) / nullIf(sum(denominator), 0) AS v FROM metrics.%s WHERE %s GROUP BY k", m.Name, key, m.Name, cohort))
		case metrics.Derived:
			of := strings.TrimPrefix(m.Formula, "1 - ")
			sql = append(sql, fmt.Sprintf("SELECT '%s' AS metric, toString(%s) AS k, 1 - sum(%s_numerator) / nullIf(sum(%s_denominator), 0) AS v FROM metrics.%s WHERE %s GROUP BY k", m.Name, key, of, of, m.Name, cohort))
		}
	}
	views := d.answer(t, strings.Join(sql, "\nUNION ALL\n"))
	inSQL := map[string]string{}
	for _, row := range views.rows {
		f := views.of(t, row, "metric", "k", "v")
		inSQL[f[0]+"/"+f[1]] = f[2]
	}
	compared, asked := 0, map[string]bool{} // the command line is a process for each question: it is asked for each kind over each view
	for _, m := range set.All() {
		by := "month"
		if m.Kind != metrics.Survival {
			by = "department"
		}
		web := d.served(t, m.Name, from, to, "&by="+by)
		if like := m.Kind + m.From; !asked[like] {
			asked[like] = true
			if cli := d.ask(t, m.Name, "--from", from, "--to", to, "--by", by); !reflect.DeepEqual(cli, web) {
				t.Errorf("%s: the command line says %+v, HTTP %+v", m.Name, cli, web)
			}
		}
		for _, row := range web.Rows {
			for end, figure := range map[string]*float64{"": row.Value, "/lower": row.Lower, "/upper": row.Upper, "/p90": row.P90} {
				if figure == nil {
					continue
				}
				if v, err := strconv.ParseFloat(inSQL[m.Name+"/"+row.Key+end], 64); err != nil || math.Abs(v-*figure) > 1e-9*max(1, math.Abs(v)) {
					t.Errorf("%s, %s%s: %v, and SQL says %q", m.Name, row.Key, end, *figure, inSQL[m.Name+"/"+row.Key+end])
				}
				compared++
			}
		}
	}
	if compared < 100 {
		t.Errorf("only %d figures were compared", compared)
	}
	t.Logf("%d figures are the same over HTTP and in SQL, and those of %d metrics on the command line", compared, len(asked))

	for _, name := range []string{"repeat_rate", "legal_time"} {
		cli, web := d.ask(t, name, "--from", to, "--to", to, "--compare", "previous"), d.served(t, name, to, to, "&compare=previous")
		if !reflect.DeepEqual(cli, web) || cli.Rows[0].Before == nil {
			t.Errorf("%s, compared: the command line says %+v, HTTP %+v", name, cli, web)
		}
	}

	// CSV is the same as well; and a filter, a quantile and a comparison change what they say they do.
	r := shire(t, "metrics", "query", "repeat_rate", "--csv", "--data", d.data, "--by", "department", "--from", from, "--to", to).ok(t)
	table := newSheet(t, "CSV", csv.NewReader(strings.NewReader(r.Stdout)))
	for i, row := range d.ask(t, "repeat_rate", "--by", "department", "--from", from, "--to", to).Rows {
		f := table.of(t, table.rows[i], "department", "value", "state", "metric", "coverage", "grade")
		if v, err := strconv.ParseFloat(f[1], 64); err != nil || v != *row.Value || f[0] != row.Key || f[2] != "ok" || f[3] != "repeat_rate" || f[4] == "" || f[5] != "general" {
			t.Errorf("CSV says %q, JSON %+v", f, row)
		}
	}
	one := d.ask(t, "legal_time", "--from", from, "--to", to, "--where", "department=health", "--quantile", "0.75")
	all := d.ask(t, "legal_time", "--from", from, "--to", to, "--where", "department=health")
	if web := d.served(t, "legal_time", from, to, "&department=health&quantile=0.75"); !reflect.DeepEqual(one, web) {
		t.Errorf("a quantile of one department: the command line says %+v, HTTP %+v", one, web)
	}
	if one.Quantile != .75 || *one.Rows[0].Value <= *all.Rows[0].Value || one.Rows[0].Count != all.Rows[0].Count {
		t.Errorf("the third quartile %+v is not above the median %+v", one.Rows[0], all.Rows[0])
	}
	text := shire(t, "metrics", "query", "citizen_time", "--data", d.data, "--by", "month", "--compare", "previous").ok(t).Stdout
	for _, want := range []string{"群众办事时长", "difference", "Coverage: ", "proves no effect"} {
		if !strings.Contains(text, want) {
			t.Errorf("a person is not told %q:\n%s", want, text)
		}
	}
	// What is missing is said: one department handles cases that it does not hand over.
	late := d.ask(t, "on_time_rate", "--by", "department")
	for _, row := range late.Rows {
		if row.Key == "market_regulation" && (row.Coverage == nil || *row.Coverage >= metrics.LowCoverage || !slices.Contains(row.Warnings, metrics.WarningLowCoverage)) {
			t.Errorf("%+v", row)
		}
	}

	var p metrics.Process
	d.fetch(t, "/api/v1/process?item=339921GA0002&from="+from+"&to="+to, &p)
	if p.Cases == 0 || len(p.Follows) == 0 || len(p.Activities) == 0 || math.Abs(p.WorkingSeconds+p.WaitingSeconds+p.UntoldSeconds-p.MeanSeconds*float64(p.Cases)) > 1 {
		t.Errorf("process: %+v", p)
	}
	var then, now, cli metrics.Process
	d.fetch(t, "/api/v1/process?item=339921GA0002&from="+from+"&to="+to+"&known=2000-01-01", &then)
	if then.Cases != 0 || then.Known == "" || !slices.ContainsFunc(then.Restated, func(r metrics.Restated) bool { return r.Change == "added" && r.Records >= p.Steps }) {
		t.Errorf("before anything was known: %+v", then)
	}
	flags := []string{"metrics", "process", "--json", "--data", d.data, "--item", "339921GA0002", "--from", from, "--to", to}
	envelopeOf(t, shire(t, append(flags, "--known", "2000-01-01")...).ok(t), &cli)
	if !reflect.DeepEqual(cli, then) {
		t.Errorf("process as known in 2000: the command line says %+v, HTTP %+v", cli, then)
	}
	if envelopeOf(t, shire(t, flags...).ok(t), &now); !reflect.DeepEqual(now, p) {
		t.Errorf("process: the command line says %+v, HTTP %+v", now, p)
	}
	text = shire(t, "metrics", "process", "--data", d.data, "--item", "339921GA0002", "--known", "2199-12-31").ok(t).Stdout
	for _, want := range []string{"as known 2199-12-31", "(begin)", "Of the time ", "is counted and not listed", "nothing has changed"} {
		if !strings.Contains(text, want) {
			t.Errorf("a person is not told %q:\n%s", want, text)
		}
	}
	cases := d.answer(t, "SELECT uniqExact(case_number) AS n FROM mart.case_steps WHERE kind = 'step' AND case_number IN (SELECT case_number FROM mart.cases WHERE item_code = '339921GA0002')")
	if got := cases.of(t, cases.rows[0], "n")[0]; got != fmt.Sprint(p.Cases) {
		t.Errorf("process of %d cases, and %s have steps", p.Cases, got)
	}
}

func (d *demoNode) fetch(t *testing.T, path string, into any) {
	t.Helper()
	answer, err := http.Get(d.portal + path)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %s %v", path, answer.StatusCode, body, err)
	}
	if err := json.Unmarshal(body, into); err != nil {
		t.Fatal(err)
	}
}

func TestMetricsWithoutAWarehouse(t *testing.T) {
	t.Parallel()
	list := shire(t, "metrics", "list").ok(t).Stdout
	if !strings.Contains(list, "归集率") || strings.Count(list, "\n") < 26 {
		t.Errorf("the list is\n%s", list)
	}
	for _, want := range []string{"promised_of_statutory", "metrics.promised_compression", "derived", "承诺时限压缩比"} {
		if got := shire(t, "metrics", "show", "promised_compression").ok(t).Stdout; !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	var d metrics.Definition
	envelopeOf(t, shire(t, "metrics", "show", "coverage", "--json").ok(t), &d)
	if d.Name != "coverage" || d.Numerator == "" {
		t.Errorf("%+v", d)
	}
	for want, args := range map[string][]string{
		`there is no metric "coverag"; did you mean "coverage"?`:      {"metrics", "show", "coverag"},
		`shire metrics has no command "lst"; did you mean "list"?`:    {"metrics", "lst"},
		`--from: "2026" is not a month; write it as 2026-07`:          {"metrics", "query", "coverage", "--from", "2026"},
		`--where department is not understood; write dimension=value`: {"metrics", "query", "coverage", "--where", "department"},
		`there is no metric "legal_tim"; did you mean "legal_time"?`:  {"metrics", "query", "legal_tim"},
		"shire metrics query takes the name of a metric":              {"metrics", "query"},
		"--limit 0 is not between 1 and 1000":                         {"metrics", "process", "--limit", "0"},
		`--to: "2026-13" is not a month; write it as 2026-07`:         {"metrics", "process", "--to", "2026-13"},
		"shire metrics process takes no arguments":                    {"metrics", "process", "339921GA0002"},
	} {
		shire(t, args...).fails(t, exitInput, want)
	}
}
