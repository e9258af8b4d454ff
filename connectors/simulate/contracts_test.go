package simulate

import (
	"cmp"
	"encoding/csv"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/xuri/excelize/v2"
	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/semantic"
	"github.com/shirecounty/shire/schemas/sharing"
)

// entry is a row of a department's file as its contract reads it.
type entry struct {
	dataset string
	file    string // relative to the county
	line    int
	key     string
	values  map[string]string // by field, as written
	bad     string            // why the contract refuses it
}

var entriesOf = map[string][]entry{} // of the shared counties, by folder

// readAll reads every file of the county in the order in which they would arrive.
func readAll(t *testing.T, dir string) []entry {
	t.Helper()
	if filepath.Dir(dir) != counties.root {
		return readFiles(t, dir)
	}
	if entriesOf[dir] == nil {
		entriesOf[dir] = readFiles(t, dir)
	}
	return entriesOf[dir]
}

func readFiles(t *testing.T, dir string) []entry {
	t.Helper()
	c, set, err := county.Load(filepath.Join(dir, "county.yaml"), []string{"file"})
	if err != nil {
		t.Fatal(err)
	}
	var all []entry
	for _, s := range c.Sources {
		folder := s.With["directory"].(string)
		for _, f := range s.With["files"].([]any) {
			spec := f.(map[string]any)
			files, err := filepath.Glob(filepath.Join(dir, folder, spec["match"].(string)))
			if err != nil || len(files) == 0 {
				t.Fatalf("%s of %s: %d files, %v", spec["match"], folder, len(files), err)
			}
			slices.Sort(files)
			for _, file := range files {
				rows := readRows(t, file)
				d := set[spec["dataset"].(string)]
				byField, unclaimed := d.Resolve(rows[0])
				if len(unclaimed) > 0 {
					t.Errorf("%s has the columns %v, which no field claims", file, unclaimed)
				}
				if i := slices.Index(byField, -1); i >= 0 {
					t.Errorf("%s lacks the column of %s", file, d.Fields[i].Name)
				}
				for i, row := range rows[1:] {
					e := read(d, byField, row, len(rows[0]))
					e.file, e.line = filepath.ToSlash(filepath.Join(folder, filepath.Base(file))), i+2
					all = append(all, e)
				}
			}
		}
	}
	return all
}

func readRows(t *testing.T, file string) [][]string {
	t.Helper()
	if strings.HasSuffix(file, ".xlsx") {
		book, err := excelize.OpenFile(file)
		if err != nil {
			t.Fatal(err)
		}
		defer book.Close()
		rows, err := book.GetRows("参保人员")
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var in io.Reader = f
	comma := ','
	switch {
	case strings.Contains(file, "public_security"):
		in = simplifiedchinese.GB18030.NewDecoder().Reader(f)
	case strings.Contains(file, "health_files"):
		comma = ';'
	case strings.Contains(file, "grid"):
		comma = '\t'
	}
	r := csv.NewReader(in)
	r.Comma, r.FieldsPerRecord = comma, -1
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	rows[0][0] = strings.TrimPrefix(rows[0][0], "\uFEFF")
	return rows
}

// read applies a contract to a row the way the flow does: types, required fields, checks.
func read(d *contract.Dataset, byField []int, row []string, columns int) entry {
	e := entry{dataset: d.Name, values: map[string]string{}}
	if len(row) < columns && d.Name != "insured_persons" { // a workbook leaves out empty cells at the end
		e.key, e.bad = row[0], "too_few_columns"
		return e
	}
	times := map[string]int64{}
	for i, f := range d.Fields {
		v := ""
		if byField[i] < len(row) {
			v = strings.TrimSpace(row[byField[i]])
		}
		e.values[f.Name] = v
		at, problem := parse(f.Semantic, v)
		if at != 0 {
			times[f.Name] = at
		}
		if problem != nil && !f.Lenient && (f.Required || problem.Code != semantic.CodeEmpty) {
			e.bad = cmp.Or(e.bad, problem.Code)
		}
	}
	for _, c := range d.Checks {
		if len(c.NotBefore) == 2 {
			later, ok := times[c.NotBefore[0]]
			if earlier, both := times[c.NotBefore[1]]; ok && both && later < earlier {
				e.bad = cmp.Or(e.bad, "wrong_order")
			}
		}
	}
	var key []string
	for _, k := range d.Key {
		key = append(key, e.values[k])
	}
	e.key = strings.Join(key, change.KeySeparator)
	return e
}

func parse(t semantic.Type, v string) (at int64, problem *semantic.Problem) {
	switch t := t.(type) {
	case semantic.TextType:
		_, problem = t.ParseText(v)
	case semantic.DateType:
		var d int32
		d, problem = t.ParseDate(v)
		at = int64(d)
	case semantic.TimestampType:
		at, problem = t.ParseTimestamp(v)
	case semantic.IntegerType:
		_, problem = t.ParseInteger(v)
	}
	return at, problem
}

// Every bad row is announced in the truth, with its file, line and defect, and no other row is bad.
func TestBadRowsAreTheAnnouncedOnes(t *testing.T) {
	opts := small
	opts.Defects.BadRow = .01
	dir := build(t, "spoilt", opts)
	type place struct {
		file string
		line string
	}
	announced := map[place]string{}
	kinds := map[string]int{}
	for _, q := range readCSV(t, filepath.Join(dir, "truth", "quarantined.csv")) {
		announced[place{q["file"], q["line"]}] = q["defect"]
		kinds[q["defect"]]++
	}
	for _, kind := range []string{"no_such_date", "too_few_columns", "unknown_code", "wrong_order"} {
		if kinds[kind] == 0 {
			t.Errorf("no row has the defect %s", kind)
		}
	}
	rows := readAll(t, dir)
	for _, e := range rows {
		want := announced[place{e.file, number(e.line)}]
		if e.bad != want {
			t.Fatalf("%s:%d is %q, announced as %q", e.file, e.line, e.bad, want)
		}
		delete(announced, place{e.file, number(e.line)})
	}
	if len(announced) > 0 {
		t.Errorf("%d announced rows do not exist", len(announced))
	}
	if len(rows) < 10_000 {
		t.Errorf("only %d rows", len(rows))
	}
}

func TestNoDefectsNoBadRows(t *testing.T) {
	for _, e := range readAll(t, flawless(t)) {
		if e.bad != "" {
			t.Fatalf("%s:%d is bad: %s", e.file, e.line, e.bad)
		}
	}
}

// latest folds the rows into the records as they stand in the end.
func latest(rows []entry, dataset string) map[string]entry {
	records := map[string]entry{}
	lastFile := ""
	for _, e := range rows {
		if e.dataset != dataset || e.bad != "" {
			continue
		}
		if dataset == "residents" && e.file != lastFile { // a snapshot: the last file is all there is
			clear(records)
			lastFile = e.file
		}
		records[e.key] = e
	}
	return records
}

func TestRecordsOfTheTruthExist(t *testing.T) {
	for _, name := range []string{"small", "flawless"} {
		dir := build(t, "small", small)
		if name == "flawless" {
			dir = flawless(t)
		}
		rows := readAll(t, dir)
		numbers := map[string]string{}
		for _, p := range readCSV(t, filepath.Join(dir, "truth", "persons.csv")) {
			numbers[p["person"]] = p["number"]
		}
		byDataset := map[string]map[string]entry{}
		seen := map[string]bool{}
		for _, r := range readCSV(t, filepath.Join(dir, "truth", "records.csv")) {
			if byDataset[r["dataset"]] == nil {
				byDataset[r["dataset"]] = latest(rows, r["dataset"])
			}
			e, ok := byDataset[r["dataset"]][r["key"]]
			if !ok {
				t.Fatalf("%s: no record %s", r["dataset"], r["key"])
			}
			id := r["dataset"] + "/" + r["key"] + "/" + r["role"]
			if seen[id] {
				t.Fatalf("%s stands twice in the truth", id)
			}
			seen[id] = true
			if number, has := writtenNumber(&e, r["role"]); has && name == "flawless" && number != numbers[r["person"]] {
				t.Fatalf("%s is said to be %s, whose number is another", id, r["person"])
			}
		}
		for dataset, records := range byDataset {
			for key := range records {
				known := false
				for _, role := range []string{"applicant", "agent", "resident", "husband", "head", "holder", "insured", "pupil", "caller"} {
					known = known || seen[dataset+"/"+key+"/"+role]
				}
				if !known {
					t.Fatalf("%s: the truth does not know whom record %s is about", dataset, key)
				}
			}
		}
	}
}

// writtenNumber finds the citizen number that a record gives for a role.
func writtenNumber(e *entry, role string) (string, bool) {
	field := map[string]string{"applicant": "applicant_number", "husband": "husband_number", "wife": "wife_number", "head": "head_number"}[role]
	number, ok := e.values[cmp.Or(field, "citizen_number")]
	return number, ok && role != "guardian" && role != "agent" && role != "caller"
}

func TestDefectsComeAtTheirRates(t *testing.T) {
	opts := small
	opts.Defects = Defects{NumberMissing: .10, NumberPlaceholder: .08, Number15: .10, NumberDigit: .08, NumberSwapped: .06,
		VillagePhone: .10, PhoneMissing: .10, FullWidth: .08, NameSpaces: .08, LunarBirthday: .09, ParentPhone: .5}
	dir := build(t, "defective", opts)
	persons := map[string]map[string]string{}
	for _, p := range readCSV(t, filepath.Join(dir, "truth", "persons.csv")) {
		persons[p["person"]] = p
	}
	valid, _ := semantic.New("citizen_number", nil)
	count := map[string]float64{}
	files := latest(readAll(t, dir), "health_files")
	total, old, minors := 0.0, 0.0, 0.0
	for _, r := range readCSV(t, filepath.Join(dir, "truth", "records.csv")) {
		if r["dataset"] != "health_files" {
			continue
		}
		e, p := files[r["key"]], persons[r["person"]]
		total++
		parsed, problem := valid.(semantic.TextType).ParseText(e.values["citizen_number"])
		narrow := strings.Map(func(r rune) rune {
			switch {
			case r >= '０' && r <= '９':
				return r - '０' + '0'
			case r == ' ':
				return -1
			}
			return r
		}, e.values["citizen_number"])
		note := func(name string, is bool) {
			if is {
				count[name]++
			}
		}
		note("missing", e.values["citizen_number"] == "")
		note("placeholder", problem != nil && problem.Code == semantic.CodePlaceholder)
		note("wrong", problem != nil && problem.Code != semantic.CodePlaceholder && problem.Code != semantic.CodeEmpty)
		note("wide", strings.ContainsAny(e.values["citizen_number"], "０１２３４５６７８９"))
		note("village", strings.HasPrefix(e.values["phone"], areaCode) || strings.HasPrefix(e.values["phone"], "０５９０"))
		note("no phone", e.values["phone"] == "")
		note("spaced", strings.ContainsAny(e.values["name"], " \u3000"))
		note("lunar", e.values["birth_date"] != p["birth_date"])
		if p["birth_date"] < "2000" {
			old++
			note("15", len(narrow) == 15)
			if len(narrow) == 15 && parsed != p["number"] {
				t.Fatal("a 15-digit number does not become the 18-digit one")
			}
		}
		if p["birth_date"] > "2009" {
			minors++
			note("parent", e.values["phone"] != "" && e.values["phone"] != p["phone"])
		}
	}
	for name, c := range map[string]struct{ rate, of float64 }{
		"missing": {.10, total}, "placeholder": {.08, total}, "wrong": {.14, total}, "15": {.10, old}, "village": {.10, total}, "no phone": {.09, total},
		"spaced": {.08, total}, "lunar": {.09, total}, "wide": {.08 * .84, total}, "parent": {.55, minors},
	} {
		got, slack := count[name]/c.of, 5*math.Sqrt(c.rate*(1-c.rate)/c.of)+.02
		if math.Abs(got-c.rate) > slack {
			t.Errorf("%s: %.3f of the records, want %.3f", name, got, c.rate)
		}
	}
}

// What the county's list of items says is what the program asks for.
func TestServiceItems(t *testing.T) {
	file := filepath.Join(t.TempDir(), "items.yaml")
	if err := writeItems(file); err != nil {
		t.Fatal(err)
	}
	got, names, err := sharing.LoadItems(file)
	if err != nil || len(got) != len(items) {
		t.Fatalf("%d items, %v", len(got), err)
	}
	for _, it := range items {
		if said := got[it.code]; len(said.Materials)+len(said.Sometimes) != len(it.asks) || said.Name.Zh != it.name || said.Department != departments[it.department].code {
			t.Errorf("%s: %+v", it.code, said)
		}
	}
	for _, m := range materials {
		if names[m.code].Zh != m.zh || names[m.code].En == "" {
			t.Errorf("%s is called %+v", m.code, names[m.code])
		}
	}
}
