package simulate

import (
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shirecounty/shire/schemas/calendar"
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/semantic"
)

// small is a county that most tests share.
var small = Options{People: 3000, Days: 240, Seed: 7, Until: calendar.NewDate(2026, 4, 30), Defects: DefaultDefects()}

var counties = struct {
	sync.Mutex
	dirs map[string]string
	root string
}{dirs: map[string]string{}}

func TestMain(m *testing.M) {
	root, err := os.MkdirTemp("", "simulate-*")
	if err != nil {
		panic(err)
	}
	counties.root = root
	code := m.Run()
	os.RemoveAll(root)
	os.Exit(code)
}

// build writes a county once and returns its folder.
func build(t *testing.T, name string, opts Options) string {
	t.Helper()
	counties.Lock()
	defer counties.Unlock()
	if dir, ok := counties.dirs[name]; ok {
		return dir
	}
	opts.Dir = filepath.Join(counties.root, name)
	if _, err := Write(context.Background(), opts); err != nil {
		t.Fatal(err)
	}
	counties.dirs[name] = opts.Dir
	return opts.Dir
}

// flawless is the small county without a defect, where everything can be told from the files alone.
func flawless(t *testing.T) string {
	opts := small
	opts.Defects = Defects{}
	return build(t, "flawless", opts)
}

func fingerprints(t *testing.T, dir string) map[string]string {
	t.Helper()
	sums := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		sum := sha256.Sum256(text)
		name, _ := filepath.Rel(dir, path)
		sums[name] = hex.EncodeToString(sum[:])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sums
}

func TestSameOptionsSameBytes(t *testing.T) {
	first := fingerprints(t, build(t, "small", small))
	second := fingerprints(t, build(t, "again", small))
	if len(first) != len(second) {
		t.Fatalf("%d files, then %d", len(first), len(second))
	}
	for name, sum := range first {
		if second[name] != sum {
			t.Errorf("%s differs", name)
		}
	}
	other := small
	other.Seed = 8
	if fingerprints(t, build(t, "other", other))["truth/persons.csv"] == first["truth/persons.csv"] {
		t.Error("another seed gave the same people")
	}
	for name := range first {
		if strings.HasSuffix(name, ".tmp") || strings.HasSuffix(name, ".part") {
			t.Errorf("%s was left behind", name)
		}
	}
}

func TestWriteLeavesItsOwnCountyAlone(t *testing.T) {
	opts := small
	opts.Dir = build(t, "small", small)
	before, err := os.Stat(filepath.Join(opts.Dir, "county.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	sum, err := Write(context.Background(), opts)
	if err != nil || !sum.Unchanged || sum.Cases == 0 {
		t.Fatalf("%+v, %v", sum, err)
	}
	after, err := os.Stat(filepath.Join(opts.Dir, "county.yaml"))
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("the county was written again (%v)", err)
	}
}

func TestWriteRefuses(t *testing.T) {
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "thesis.doc"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	damaged := t.TempDir()
	if err := os.WriteFile(filepath.Join(damaged, manifestFile), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	another := t.TempDir()
	if err := os.WriteFile(filepath.Join(another, manifestFile), []byte(`{"version": 1, "name": "a web page"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		opts Options
		want string
	}{
		"another program":  {Options{Dir: another}, "does not describe"},
		"no folder":        {Options{}, "needs a folder"},
		"foreign folder":   {Options{Dir: foreign}, "holds other files"},
		"damaged manifest": {Options{Dir: damaged}, "does not describe"},
		"too few people":   {Options{Dir: t.TempDir(), People: 3}, "people"},
		"too few days":     {Options{Dir: t.TempDir(), Days: 3}, "days"},
		"no calendar":      {Options{Dir: filepath.Join(t.TempDir(), "c"), People: 100, Days: 5000}, "published"},
		"not yet":          {Options{Dir: filepath.Join(t.TempDir(), "c"), People: 100, Days: 60, Until: calendar.NewDate(2031, 1, 1)}, "published"},
	} {
		if _, err := Write(context.Background(), c.opts); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Stat(filepath.Join(foreign, "thesis.doc")); err != nil {
		t.Error("the file of somebody else is gone")
	}
}

func TestWriteStopsWithItsContext(t *testing.T) {
	parent := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	opts := small
	opts.Dir = filepath.Join(parent, "county")
	if _, err := Write(ctx, opts); err == nil {
		t.Error("a cancelled context wrote a county")
	}
	if entries, _ := os.ReadDir(parent); len(entries) != 0 {
		t.Errorf("%v was left behind", entries)
	}
}

func TestCountyFileLoads(t *testing.T) {
	c, set, err := county.Load(filepath.Join(build(t, "small", small), "county.yaml"), []string{"file"})
	if err != nil {
		t.Fatal(err)
	}
	delivered := 0
	for _, s := range c.Sources {
		delivered += len(s.Datasets)
	}
	if delivered != len(set) {
		t.Errorf("%d contracts, but the sources deliver %d datasets", len(set), delivered)
	}
	for _, d := range departments {
		if name := c.Departments[d.code]; name.Zh != d.zh || name.En != d.en {
			t.Errorf("county.yaml calls %s %+v", d.code, name)
		}
	}
}

func TestNumbersAreValidAndUnique(t *testing.T) {
	number, err := semantic.New("citizen_number", nil)
	if err != nil {
		t.Fatal(err)
	}
	organisation, _ := semantic.New("organisation_code", nil)
	phone, _ := semantic.New("phone", nil)
	name, _ := semantic.New("chinese_name", nil)
	p, err := populate(3, 20_000, int32(calendar.NewDate(2024, 10, 1)), int32(calendar.NewDate(2026, 9, 30)))
	if err != nil {
		t.Fatal(err)
	}
	seen, d := map[string]bool{}, newDice(1)
	for i := range p.people {
		q := &p.people[i]
		for _, c := range []struct {
			typ  semantic.Type
			text string
		}{{number, q.number}, {phone, q.phone}, {name, q.name}, {name, q.formerName}} {
			if got, problem := c.typ.(semantic.TextType).ParseText(c.text); problem != nil || got != c.text {
				t.Fatalf("person %d: %v", i, problem)
			}
		}
		if seen[q.number] || seen[q.phone] {
			t.Fatalf("person %d shares a number or telephone", i)
		}
		seen[q.number], seen[q.phone] = true, true
		if sex, _ := semantic.Sex(q.number); (sex == "male") != q.male {
			t.Fatalf("person %d has a number of the other sex", i)
		}
		if birth, _ := semantic.BirthDate(q.number); birth != q.birth {
			t.Fatalf("person %d has a number of another birthday", i)
		}
		for _, wrong := range []string{wrongDigit(d, q.number), swappedDigits(d, q.number)} {
			if _, problem := number.(semantic.TextType).ParseText(wrong); problem == nil && wrong != q.number {
				t.Fatalf("person %d: a wrong number is valid", i)
			}
		}
		if lunar := lunarBirthday(q.birth); lunar > q.birth+3 || lunar < q.birth-62 {
			t.Fatalf("born on %s, by the moon on %s", calendar.Date(q.birth), calendar.Date(lunar))
		}
		for _, parent := range []int32{q.mother, q.father} {
			if parent != nobody && p.people[parent].birth > q.birth-15*365 {
				t.Fatalf("person %d is older than a parent allows", i)
			}
		}
	}
	for i := range p.organisations {
		if _, problem := organisation.(semantic.TextType).ParseText(p.organisations[i].code); problem != nil {
			t.Fatalf("organisation %d: %v", i, problem)
		}
	}
}

func TestSurnamesFollowTheirShare(t *testing.T) {
	d, count, top := newDice(5), map[string]int{}, 0
	const n = 200_000
	for range n {
		count[surnameAt(d.Float64())]++
	}
	for _, s := range surnames[:100] {
		top += count[s]
	}
	if share := float64(top) / n; share < .85 || share > .87 {
		t.Errorf("the first hundred surnames cover %.3f", share)
	}
	seen := map[string]bool{}
	for _, s := range surnames {
		if seen[s] {
			t.Errorf("a surname stands in the table twice")
		}
		seen[s] = true
	}
}

func TestClock(t *testing.T) {
	cal, err := calendar.Load(calendar.National())
	if err != nil {
		t.Fatal(err)
	}
	first, last := int32(calendar.NewDate(2024, 10, 1)), int32(calendar.NewDate(2026, 9, 30))
	c, err := newClock(cal, first, last)
	if err != nil {
		t.Fatal(err)
	}
	at := func(s string) int64 {
		v, err := time.Parse("2006-01-02 15:04:05", s)
		if err != nil {
			t.Fatal(err)
		}
		return v.Unix()
	}
	for _, x := range []struct {
		from string
		work int64
		want string
	}{
		{"2026-01-05 09:00:00", hour, "2026-01-05 10:00:00"},
		{"2026-01-05 11:30:00", hour, "2026-01-05 14:00:00"},
		{"2026-01-05 17:00:00", hour, "2026-01-06 09:00:00"},
		{"2025-10-01 09:00:00", hour, "2025-10-09 09:30:00"}, // the national holidays
		{"2026-02-14 17:00:00", hour, "2026-02-24 09:00:00"}, // a make-up Saturday, then Spring Festival
	} {
		if got := formatTime(c.after(at(x.from), x.work)); got != x.want {
			t.Errorf("%s and %d s of work: %s, want %s", x.from, x.work, got, x.want)
		}
	}
	if got := formatTime(c.deadline(at("2025-09-29 10:00:00"), 3)); got != "2025-10-10 17:30:00" {
		t.Errorf("deadline %s", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		worked := rapid.Int64Range(0, int64(len(c.working)-1)*workday).Draw(t, "worked")
		if got := c.worked(c.moment(worked)); got != worked {
			t.Fatalf("%d became %d", worked, got)
		}
	})
}

// readCSV reads a truth file by column names.
func readCSV(t *testing.T, path string) []map[string]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	out := make([]map[string]string, 0, len(rows))
	for _, row := range rows[1:] {
		m := make(map[string]string, len(row))
		for i, v := range row {
			m[rows[0][i]] = v
		}
		out = append(out, m)
	}
	return out
}

// Nothing of Shire but this package may know the truth: what it says has to come out of the departments' files.
func TestNobodyReadsTheTruth(t *testing.T) {
	root, own := filepath.Join("..", ".."), filepath.Join("..", "..", "connectors", "simulate")
	files := 0
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && (path == own || e.Name() == "node_modules" || e.Name() == ".git"):
			return filepath.SkipDir
		case e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		files++
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, named := range namesTruth(t, path, text) {
			t.Errorf("%s names the folder of the truth: %s", path, named)
		}
		return nil
	})
	if err != nil || files < 10 {
		t.Errorf("%d files, %v", files, err)
	}
	// What finds nothing has to be able to find.
	for text, want := range map[string]int{
		`filepath.Join(dir, "truth", name)`: 1, `os.Open(dir + "/truth/persons.csv")`: 1, "os.Open(`truth/x`)": 1, `read("truth.csv")`: 1, `f("county/truth")`: 1,
		`f.StringVar(&v, "truth", "", "truth")`: 2, `cmd.Flags().StringVar(&v, "truth", "", "the column")`: 0, `cmd.Flags().StringVar(&v, "truth", "county/truth", "")`: 1,
		`fail("name the column with --truth")`: 0, `f("truthful")`: 0,
	} {
		if got := namesTruth(t, text, []byte("package p\nvar v = "+text)); len(got) != want {
			t.Errorf("%s names the truth %d times: %v", text, want, got)
		}
	}
}

// namesTruth lists the texts of a program by which it could come to the folder of the truth. The name of a flag is none:
// shire identity evaluate --truth COLUMN reads the file that it is handed.
func namesTruth(t *testing.T, path string, text []byte) (found []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	flags := map[ast.Node]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr: // before its arguments
			if called, ok := n.Fun.(*ast.SelectorExpr); ok && strings.Contains(called.Sel.Name, "Var") && len(n.Args) > 1 {
				if of, ok := called.X.(*ast.CallExpr); ok {
					if set, ok := of.Fun.(*ast.SelectorExpr); ok && set.Sel.Name == "Flags" {
						flags[n.Args[1]] = true
					}
				}
			}
		case *ast.BasicLit:
			if n.Kind != token.STRING || flags[n] {
				return true
			}
			value, err := strconv.Unquote(n.Value)
			if err != nil {
				t.Fatal(err)
			}
			for element := range strings.FieldsFuncSeq(value, func(r rune) bool { return r == '/' || r == '\\' }) {
				if name, _, _ := strings.Cut(element, "."); name == "truth" {
					found = append(found, n.Value)
					break
				}
			}
		}
		return true
	})
	return found
}
