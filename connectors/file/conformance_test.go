package file

import (
	"encoding/csv"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/connectors/conformance"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
)

// exports is a department that drops all its records as a new file whenever they have changed.
type exports struct {
	dir     string
	columns []string
	records map[string]map[string]string
	files   int
}

func (e *exports) Source() county.Source {
	return county.Source{Kind: "file", With: map[string]any{
		"directory": e.dir, "files": []any{map[string]any{"match": "*.csv", "dataset": conformance.Dataset}},
		"settle": "10ms", "poll": "10ms", "max_deletions": "100%",
	}}
}

// Furnish says that each file is the whole dataset.
func (e *exports) Furnish(s *connectors.Settings) {
	s.Contracts[conformance.Dataset].Delivery = contract.Snapshot
}

// Nullless: a cell of a CSV is empty or not.
func (e *exports) Nullless() {}

func (e *exports) Apply(t testing.TB, ops ...conformance.Operation) {
	t.Helper()
	for _, o := range ops {
		switch o.Kind {
		case conformance.Insert, conformance.Update:
			r := e.records[o.ID]
			if r == nil {
				r = map[string]string{"id": o.ID}
				e.records[o.ID] = r
			}
			r["name"], r["note"] = cell(o.Name), cell(o.Note)
		case conformance.Delete:
			delete(e.records, o.ID)
		case conformance.Rekey:
			r := e.records[o.ID]
			delete(e.records, o.ID)
			r["id"] = o.NewID
			e.records[o.NewID] = r
		}
	}
	e.drop(t)
}

func cell(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// drop writes the file as a department should: under another name, and renamed when it is complete.
func (e *exports) drop(t testing.TB) {
	t.Helper()
	e.files++
	path := filepath.Join(e.dir, fmt.Sprintf("records-%06d.csv", e.files))
	f, err := os.Create(path + ".tmp")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := csv.NewWriter(f)
	lines := [][]string{e.columns}
	for _, id := range slices.Sorted(maps.Keys(e.records)) {
		var line []string
		for _, c := range e.columns {
			line = append(line, e.records[id][c])
		}
		lines = append(lines, line)
	}
	if err := w.WriteAll(lines); err != nil {
		t.Fatal(err)
	}
	written := time.Now().Add(-time.Hour).Add(time.Duration(e.files) * time.Millisecond)
	if err := os.Chtimes(path+".tmp", written, written); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		t.Fatal(err)
	}
}

func (e *exports) AddColumn(t testing.TB, name, value string) {
	e.columns = append(e.columns, name)
	e.records["1"][name] = value
	e.drop(t)
}

func (e *exports) DropColumn(t testing.TB, name string) {
	e.columns = slices.DeleteFunc(slices.Clone(e.columns), func(c string) bool { return c == name })
	e.drop(t)
}

func (e *exports) RenameColumn(t testing.TB, from, to string) {
	e.columns = slices.Clone(e.columns)
	e.columns[slices.Index(e.columns, from)] = to
	for _, r := range e.records {
		r[to] = r[from]
	}
	e.drop(t)
}

// WidenColumn has nothing to do: text has no width.
func (e *exports) WidenColumn(testing.TB, string) {}

func TestConformance(t *testing.T) {
	conformance.Run(t, conformance.Suite{
		New: func(t *testing.T) conformance.System {
			return &exports{dir: t.TempDir(), columns: []string{"id", "name", "note"}, records: map[string]map[string]string{}}
		},
		Skips: map[string]string{
			conformance.Rollback:     "a file is dropped or not: there is nothing to take back",
			conformance.EveryType:    "a CSV holds text alone",
			conformance.NullAndEmpty: "a CSV knows no NULL",
			conformance.Zones:        "a file has no clock: times are text, and the contract says in which zone",
			conformance.SummerTime:   "the same",
		},
	})
}
