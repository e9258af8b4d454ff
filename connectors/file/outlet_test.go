package file

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/connectors/conformance"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
)

const testContract = `
dataset: NAME
department: bureau
owner: {zh: 局, en: Bureau}
title: {zh: 表, en: Table}
version: 1
key: [number]
delivery: DELIVERY
sharing: {type: unconditional}
fields:
  - {name: number, headers: [编号, number], type: text, sensitivity: internal}
  - {name: name, headers: [姓名, name], type: text, sensitivity: internal}
  - {name: remark, headers: [备注, remark], type: text, sensitivity: internal}
emits:
  - table: cases
    columns: {case_number: number, department: {value: bureau}, item_code: {value: item}, item_name: name}
`

func testDataset(t testing.TB, name, delivery string) *contract.Dataset {
	t.Helper()
	text := strings.NewReplacer("NAME", name, "DELIVERY", delivery).Replace(testContract)
	d, err := contract.Parse(name+".yaml", []byte(text), "Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// folder is a drop folder with its connector's surroundings.
type folder struct {
	t         testing.TB
	dir       string
	state     string
	with      map[string]any
	contracts contract.Set
	events    []connectors.Event
	written   time.Time // of the file written last; each is a second younger than the one before
}

func newFolder(t testing.TB, delivery string) *folder {
	dir := t.TempDir()
	return &folder{
		t: t, dir: dir, state: filepath.Join(t.TempDir(), "state"), written: time.Unix(1_700_000_000, 0),
		with: map[string]any{
			"directory": dir,
			"files":     []any{map[string]any{"match": "*", "dataset": "things"}},
		},
		contracts: contract.Set{"things": testDataset(t, "things", delivery)},
	}
}

func (f *folder) write(name, text string) {
	f.t.Helper()
	path := filepath.Join(f.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
	f.stamp(name)
}

func (f *folder) stamp(name string) {
	f.t.Helper()
	f.written = f.written.Add(time.Second)
	if err := os.Chtimes(filepath.Join(f.dir, name), f.written, f.written); err != nil {
		f.t.Fatal(err)
	}
}

func (f *folder) connector() *Connector {
	f.t.Helper()
	made, err := New(connectors.Settings{
		Source:    county.Source{Name: "drops", Kind: "file", With: f.with},
		Contracts: f.contracts, StateDir: f.state,
		Resolve: func(p string) string { return p },
		Notify:  func(e connectors.Event) { f.events = append(f.events, e) },
		Log:     slog.New(slog.DiscardHandler),
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return made.(*Connector)
}

func (f *folder) load(b *conformance.Bus) error {
	b.Forget()
	return f.connector().Run(context.Background(), b, false)
}

func (f *folder) mustLoad(b *conformance.Bus) {
	f.t.Helper()
	if err := f.load(b); err != nil {
		f.t.Fatal(err)
	}
}

// problems are the codes of the events so far, which are then forgotten.
func (f *folder) problems() []string {
	var out []string
	for _, e := range f.events {
		code := e.Problem
		if e.Solved {
			code = "solved " + code
		}
		out = append(out, code)
	}
	f.events = nil
	return out
}

func (f *folder) source() county.Source {
	return county.Source{Name: "drops", Kind: "file", With: f.with}
}
