package simulate

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/shirecounty/shire/schemas/calendar"
	"github.com/shirecounty/shire/schemas/change"
)

// What the files say in the end about cases, steps, papers and ratings is what the truth says.
func TestTruthOfCases(t *testing.T) {
	dir := build(t, "small", small)
	rows := readAll(t, dir)
	cases := latest(rows, "hall_cases")
	truth := readCSV(t, filepath.Join(dir, "truth", "cases.csv"))
	if len(truth) != len(cases) {
		t.Errorf("%d cases, the truth has %d", len(cases), len(truth))
	}
	open, late, corrected := 0, 0, 0
	for _, c := range truth {
		e, ok := cases[c["case_number"]]
		if !ok {
			t.Fatalf("case %s is in no file", c["case_number"])
		}
		for _, f := range []string{"applied_at", "accepted_at", "closed_at", "delivered_at", "item_code"} {
			if e.values[f] != c[f] {
				t.Fatalf("case %s: %s is %q, truly %q", c["case_number"], f, e.values[f], c[f])
			}
		}
		switch {
		case c["closed_at"] == "":
			open++
		case c["closed_at"] > e.values["promised_at"]:
			late++
		}
	}
	steps := map[string]map[string]entry{"step": latest(rows, "hall_steps"), "supplement": latest(rows, "hall_supplements"), "special": latest(rows, "hall_special_procedures")}
	n, filled, stopped := 0, 0, map[string]map[string]bool{"supplement": {}, "special": {}}
	for _, s := range readCSV(t, filepath.Join(dir, "truth", "steps.csv")) {
		e, ok := steps[s["kind"]][s["case_number"]+change.KeySeparator+s["step"]]
		if !ok {
			t.Fatalf("%s %s of case %s is in no file", s["kind"], s["step"], s["case_number"])
		}
		if _, ok := cases[s["case_number"]]; !ok {
			t.Fatalf("a step of case %s, which does not exist", s["case_number"])
		}
		if s["kind"] != "step" {
			stopped[s["kind"]][s["case_number"]] = true
			continue
		}
		n++
		want := s["ended_at"]
		if s["end_recorded"] == "false" {
			want = s["started_at"]
			filled++
		}
		if e.values["ended_at"] != want || e.values["started_at"] != s["started_at"] {
			t.Fatalf("step %s of case %s differs from the truth", s["step"], s["case_number"])
		}
	}
	if n != len(steps["step"]) {
		t.Errorf("%d steps, the truth has %d", len(steps["step"]), n)
	}
	for _, e := range rows {
		if e.dataset == "hall_cases" && e.bad == "" && e.values["visits"] != cases[e.key].values["visits"] {
			corrected++
		}
	}
	ratings := readCSV(t, filepath.Join(dir, "truth", "ratings.csv"))
	if len(ratings) != len(latest(rows, "hall_ratings")) {
		t.Errorf("the truth has %d ratings", len(ratings))
	}
	all := float64(len(truth))
	for name, c := range map[string]struct{ got, low, high float64 }{
		"open":               {float64(open) / all, .005, .08},
		"late":               {float64(late) / all, .02, .10},
		"supplements":        {float64(len(stopped["supplement"])) / all, .04, .12},
		"special procedures": {float64(len(stopped["special"])) / all, .015, .06},
		"rated":              {float64(len(ratings)) / all, .28, .42},
		"steps per case":     {float64(n) / all, 3.2, 5.5},
		"ends filled":        {float64(filled) / float64(n), .01, .03},
		"corrected cases":    {float64(corrected) / all, .004, .03},
	} {
		if c.got < c.low || c.got > c.high {
			t.Errorf("%s: %.4f is not between %v and %v", name, c.got, c.low, c.high)
		}
	}
}

// Without defects the repeats can be told from the files, by the definition taken word for word.
func TestRepeatsByDefinition(t *testing.T) {
	dir := flawless(t)
	rows := readAll(t, dir)
	cases := latest(rows, "hall_cases")
	type handed struct{ key, at, until, document, department string }
	by := map[string][]handed{}
	papers := latest(rows, "hall_materials")
	party := func(caseNumber string) string {
		c := cases[caseNumber].values
		return c["applicant_number"] + c["organisation_code"]
	}
	for key, e := range papers {
		if v := e.values; v["method"] != "数据共享" {
			group := party(v["case_number"]) + "/" + v["material_code"]
			by[group] = append(by[group], handed{key, v["submitted_at"], v["valid_until"], v["document_number"], v["department"]})
		}
	}
	scopes := map[string]int{}
	truth := readCSV(t, filepath.Join(dir, "truth", "submissions.csv"))
	if len(truth) != len(papers) {
		t.Fatalf("%d papers, the truth has %d", len(papers), len(truth))
	}
	for _, s := range truth {
		v := papers[s["submission"]].values
		want := ""
		if v["method"] != "数据共享" {
			for _, e := range by[party(v["case_number"])+"/"+v["material_code"]] {
				earlier := e.at < v["submitted_at"] || e.at == v["submitted_at"] && e.key < s["submission"]
				if !earlier || e.document != v["document_number"] || e.until != "" && e.until < v["submitted_at"][:10] {
					continue
				}
				if e.department == v["department"] {
					want = "same_department"
				} else if want == "" {
					want = "across_departments"
				}
			}
		}
		if s["scope"] != want || s["repeat"] != strconv.FormatBool(want != "") || (v["method"] == "数据共享") != (s["shared"] == "true") {
			t.Fatalf("submission %s is %q, by the definition %q", s["submission"], s["scope"], want)
		}
		scopes[want]++
	}
	if scopes["same_department"] < 50 || scopes["across_departments"] < 50 {
		t.Errorf("too few repeats to tell: %v", scopes)
	}
}

func TestEffect(t *testing.T) {
	dir := build(t, "small", small)
	text, err := os.ReadFile(filepath.Join(dir, "truth", "effect.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var effect struct {
		Launched string   `yaml:"launched_on"`
		Dept     string   `yaml:"department"`
		Items    []string `yaml:"items"`
		Factor   float64  `yaml:"time_factor"`
		Share    float64  `yaml:"share_probability"`
		Hours    struct {
			Before, After float64
			Without       float64 `yaml:"after_without_link"`
		} `yaml:"median_working_hours"`
		Repeats struct {
			Before, After float64
			Without       float64 `yaml:"after_without_link"`
		} `yaml:"repeat_share_of_papers_asked_for"`
	}
	if err := yaml.Unmarshal(text, &effect); err != nil {
		t.Fatal(err)
	}
	if effect.Launched != "2026-01-05" || effect.Dept != "civil_affairs" || len(effect.Items) == 0 {
		t.Errorf("%+v", effect)
	}
	if r := effect.Hours.After / effect.Hours.Without; math.Abs(r-effect.Factor) > .02 {
		t.Errorf("the median fell to %.3f, not %.3f", r, effect.Factor)
	}
	if effect.Repeats.After > .75*effect.Repeats.Without || effect.Repeats.After >= effect.Repeats.Before {
		t.Errorf("repeats %+v did not fall", effect.Repeats)
	}
	linked := map[string]bool{}
	for _, c := range readCSV(t, filepath.Join(dir, "truth", "cases.csv")) {
		isLinked := c["department"] == effect.Dept && c["applied_at"] >= effect.Launched
		linked[c["case_number"]] = isLinked
		with, _ := strconv.ParseFloat(c["working_seconds"], 64)
		without, _ := strconv.ParseFloat(c["working_seconds_without_link"], 64)
		want := without
		if isLinked {
			want = without * effect.Factor
		}
		if math.Abs(with-want) > 2 {
			t.Fatalf("case %s took %v, want %v", c["case_number"], with, want)
		}
	}
	covered, shared := 0, 0
	for _, s := range readCSV(t, filepath.Join(dir, "truth", "submissions.csv")) {
		isCovered := linked[s["case_number"]] && (s["material_code"] == "ID-CARD" || s["material_code"] == "HOUSEHOLD-REGISTER")
		if s["shared"] == "true" && !isCovered {
			t.Fatalf("submission %s is shared without the link", s["submission"])
		}
		if isCovered {
			if covered++; s["shared"] == "true" {
				shared++
			}
		}
	}
	if got := float64(shared) / float64(covered); math.Abs(got-effect.Share) > .08 {
		t.Errorf("%.3f of the covered papers are shared", got)
	}
	for _, e := range latest(readAll(t, dir), "interventions") {
		if e.values["starts_on"] != effect.Launched || e.values["department"] != "民政局" {
			t.Errorf("the register of interventions says %v", e.values)
		}
	}
}

func TestIdentifiersHoldWhatIsWritten(t *testing.T) {
	dir := build(t, "small", small)
	text, err := os.ReadFile(filepath.Join(dir, "truth", "identifiers.txt"))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		known[strings.TrimSuffix(line, "\n")] = true
	}
	for _, p := range readCSV(t, filepath.Join(dir, "truth", "persons.csv")) {
		for _, f := range []string{"number", "name", "former_name", "phone"} {
			if !known[p[f]] {
				t.Fatalf("%s of %s is not listed", f, p["person"])
			}
		}
	}
	for _, e := range readAll(t, dir) {
		for _, f := range []string{"citizen_number", "applicant_number", "husband_number", "name", "applicant_name"} {
			if v := e.values[f]; v != "" && e.bad == "" && !placeholder(v) && !known[v] {
				t.Fatalf("%s:%d: the value of %s is not listed", e.file, e.line, f)
			}
		}
	}
	for name := range known {
		if strings.Contains(openTexts, name) {
			t.Errorf("an identifier is a word of the open texts")
		}
	}
}

// The running county drops files that go on where the last ones end, and takes up its work after a stop.
func TestLive(t *testing.T) {
	opts := small
	opts.People, opts.Days = 1500, 60
	opts.Dir = filepath.Join(t.TempDir(), "county")
	if _, err := Write(context.Background(), opts); err != nil {
		t.Fatal(err)
	}
	history := latest(readAll(t, opts.Dir), "hall_cases")
	var times []string
	run := func(hours int) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		n := 0
		o := opts
		o.Progress = func(rows, _ int, now string) {
			if n++; n <= hours {
				times = append(times, now)
			}
			if n == hours {
				cancel()
			}
		}
		if err := Live(ctx, o, time.Microsecond); err != nil {
			t.Fatal(err)
		}
	}
	run(30)
	run(160)
	for i := 1; i < 30; i++ {
		if times[i] <= times[i-1] {
			t.Fatalf("time went from %s to %s", times[i-1], times[i])
		}
	}
	if times[30] <= times[29] {
		t.Errorf("the county began again at %s after %s", times[30], times[29])
	}
	rows := readAll(t, opts.Dir)
	cases := latest(rows, "hall_cases")
	if len(cases) <= len(history) {
		t.Errorf("%d cases, %d before", len(cases), len(history))
	}
	closed := 0
	for number, c := range history {
		switch now := cases[number]; {
		case c.values["closed_at"] != "" && c.values["closed_at"] != now.values["closed_at"]:
			t.Fatalf("closed case %s was closed again", number)
		case c.values["closed_at"] == "" && now.values["closed_at"] != "":
			closed++
		}
		for _, f := range []string{"applied_at", "applicant_name", "applicant_number"} {
			if c.values[f] != cases[number].values[f] {
				t.Fatalf("%s of case %s changed", f, number)
			}
		}
	}
	if closed == 0 {
		t.Error("no open case was closed")
	}
	for _, e := range rows {
		if e.bad != "" && strings.Count(e.file, "-") > 2 && !strings.Contains(e.key, "E") {
			t.Errorf("%s:%d is bad: %s", e.file, e.line, e.bad)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(opts.Dir, "departments", "*", "*.tmp")); len(left) > 0 {
		t.Errorf("%v was left behind", left)
	}
}

func TestLiveStopsWhereTheCalendarEnds(t *testing.T) {
	opts := small
	opts.People, opts.Days, opts.Until = 100, 30, calendar.NewDate(2026, 12, 30)
	opts.Dir = filepath.Join(t.TempDir(), "county")
	if err := Live(context.Background(), opts, time.Microsecond); !errors.Is(err, ErrCalendarEnds) {
		t.Error(err)
	}
	if err := Live(context.Background(), opts, 0); err == nil {
		t.Error("an interval of 0 was accepted")
	}
}
