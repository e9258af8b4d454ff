package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// demoNode is a running demo, its county loaded.
type demoNode struct {
	*process
	data   string
	county string // folder of the simulated county
	portal string // http://host:port
	whole  bool   // the county of shire demo without flags

	compared map[string]bool // metrics whose figures were held against the truth
}

var servesAt = regexp.MustCompile(`Shire serves \S+ at (http://\S+)`)

// TestDemo runs shire demo and looks at what it made, from outside. With SHIRE_LONG=1 it is the demo as users get it,
// of 50,000 people over two years; otherwise a smaller one.
func TestDemo(t *testing.T) {
	t.Parallel()
	needEngine(t)
	d := demoNode{data: filepath.Join(t.TempDir(), "data"), whole: os.Getenv("SHIRE_LONG") == "1", compared: map[string]bool{}}
	args := []string{"demo", "-v", "--data", d.data, "--listen", "127.0.0.1:0"}
	if !d.whole {
		args = append(args, "--people", "2000", "--days", "400")
	}
	// Ties between clusters of records are decided by their ids, which are made with the key: one key, one county.
	secrets := fmt.Sprintf(`{%q: %q}`, pseudonymSecret, sharedKey)
	if err := errors.Join(os.Mkdir(d.data, 0o700), os.WriteFile(filepath.Join(d.data, "secrets.json"), []byte(secrets), 0o600)); err != nil {
		t.Fatal(err)
	}
	d.process = start(t, args...)
	d.WaitFor("The county is loaded")
	d.county = filepath.Join(d.data, "county")
	d.portal = servesAt.FindStringSubmatch(d.Output())[1]
	t.Run("truth", d.truth)
	t.Run("programmes", d.truthOfProgrammes)
	t.Run("figures", d.truthOfFigures)
	t.Run("all figures", d.allCompared)
	t.Run("gains", d.truthOfGains)
	t.Run("surfaces", d.surfaces)
	t.Run("browser", d.browser)
	t.Run("tour", d.tour)
	t.Run("clients", d.clients)
	t.Run("sharing", d.sharing)
	t.Run("privacy", d.privacy) // at last: what the others did is to leave no trace either
	if r := d.Stop(); r.Code != exitOK {
		t.Errorf("the demo did not end well when it was asked to: %v", r)
	}
}

// hasher makes the pseudonyms as this node makes them, to tell which record of the truth an id stands for.
func (d *demoNode) hasher(t *testing.T) *pseudonym.Hasher {
	t.Helper()
	secrets, err := embedded.LoadOrCreateSecrets(d.data, pseudonymSecret)
	if err != nil {
		t.Fatal(err)
	}
	h, err := pseudonym.New([]byte(secrets[pseudonymSecret]))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// uuid is an id as ClickHouse prints it.
func uuid(id pseudonym.ID) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

// sheet is a CSV file or the answer of a query, with its columns by name.
type sheet struct {
	columns map[string]int
	rows    [][]string
}

func newSheet(t *testing.T, what string, r *csv.Reader) sheet {
	t.Helper()
	lines, err := r.ReadAll()
	if err != nil || len(lines) == 0 {
		t.Fatalf("%s cannot be read: %d lines, %v", what, len(lines), err)
	}
	s := sheet{columns: map[string]int{}, rows: lines[1:]}
	for i, name := range lines[0] {
		s.columns[name] = i
	}
	return s
}

// of reads the fields of a row.
func (s sheet) of(t *testing.T, row []string, names ...string) []string {
	t.Helper()
	out := make([]string, len(names))
	for i, name := range names {
		at, ok := s.columns[name]
		if !ok {
			t.Fatalf("there is no column %s among %v", name, s.columns)
		}
		out[i] = row[at]
	}
	return out
}

// truthOf reads a file of the simulated county's truth.
func (d *demoNode) truthOf(t *testing.T, name string) sheet {
	t.Helper()
	f, err := os.Open(filepath.Join(d.county, "truth", name+".csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return newSheet(t, name, csv.NewReader(f))
}

// answer asks the node's warehouse as an analyst does.
func (d *demoNode) answer(t *testing.T, sql string) sheet {
	t.Helper()
	r := shire(t, "sql", "--csv", "--data", d.data, sql).ok(t)
	return newSheet(t, sql, csv.NewReader(strings.NewReader(r.Stdout)))
}

// handedOver reads all files of a dataset of the service hall: each record as it stands in the last file, rows that the
// truth knows to be bad left out.
func (d *demoNode) handedOver(t *testing.T, prefix, key string) (sheet, map[string][]string) {
	t.Helper()
	type place struct{ file, line string }
	bad := map[place]bool{}
	quarantined := d.truthOf(t, "quarantined")
	for _, row := range quarantined.rows {
		p := quarantined.of(t, row, "file", "line")
		bad[place{p[0], p[1]}] = true
	}
	folder := filepath.Join("departments", "service_hall")
	files, err := filepath.Glob(filepath.Join(d.county, folder, prefix+"-*.csv"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files %s-*.csv of the service hall: %v", prefix, err)
	}
	var all sheet
	last := map[string][]string{}
	for _, file := range files { // months, in order
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		r := csv.NewReader(f)
		r.FieldsPerRecord = -1
		s := newSheet(t, file, r)
		f.Close()
		all.columns = s.columns
		name := filepath.ToSlash(filepath.Join(folder, filepath.Base(file)))
		for i, row := range s.rows {
			if !bad[place{name, strconv.Itoa(i + 2)}] {
				last[s.of(t, row, key)[0]] = row
			}
		}
	}
	return all, last
}
