package file

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
)

// bus is the part of the bus that outlives a connector: encoded batches by sequence. It packs as the platform does:
// a buffer per dataset, sent when it is full, when unit or columns differ, and by Flush.
type bus struct {
	packRows int
	budget   int // Append and Flush calls until the process is "killed"; negative: never
	lose     int // how many of the buffered changes are sent while it dies
	messages []message
	open     map[string]*change.Builder
	units    map[string]string
	pending  map[string][]change.Change
	atAppend func() // called before every Append
}

type message struct {
	dataset string
	data    []byte
}

var errKilled = errors.New("killed")

func newBus() *bus { return &bus{packRows: 4, budget: -1} }

// restart forgets what was only in memory.
func (b *bus) restart() {
	b.open, b.units, b.pending = map[string]*change.Builder{}, map[string]string{}, map[string][]change.Change{}
	b.budget = -1
}

func (b *bus) spend() error {
	if b.budget == 0 {
		for _, d := range sortedKeys(b.pending) {
			rest := b.pending[d]
			b.pending[d] = rest[:min(b.lose, len(rest))]
			b.send(d)
		}
		return errKilled
	}
	b.budget--
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (b *bus) Append(_ context.Context, dataset, unit string, columns []string, c change.Change) error {
	if b.atAppend != nil {
		b.atAppend()
	}
	if err := b.spend(); err != nil {
		return err
	}
	if b.open == nil {
		b.restart()
	}
	if o := b.open[dataset]; o == nil || b.units[dataset] != unit || !slices.Equal(o.Columns(), columns) {
		b.send(dataset)
		b.open[dataset] = change.NewBuilder("test", "bureau", dataset, unit, slices.Clone(columns))
		b.units[dataset] = unit
	}
	c.Values = slices.Clone(c.Values)
	b.pending[dataset] = append(b.pending[dataset], c)
	if len(b.pending[dataset]) >= b.packRows {
		b.send(dataset)
	}
	return nil
}

func (b *bus) send(dataset string) {
	if len(b.pending[dataset]) == 0 {
		return
	}
	builder := b.open[dataset]
	for _, c := range b.pending[dataset] {
		builder.Append(c)
	}
	b.pending[dataset] = nil
	batch := builder.Build()
	defer batch.Record.Release()
	data, err := batch.Encode()
	if err != nil {
		panic(err)
	}
	b.messages = append(b.messages, message{dataset, data})
}

func (b *bus) Flush(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := b.spend(); err != nil {
		return err
	}
	for _, d := range sortedKeys(b.pending) {
		b.send(d)
	}
	return nil
}

func (b *bus) Safe(dataset string) change.Position {
	var last change.Position
	b.each(dataset, 0, func(_ uint64, batch *change.Batch) error { last = batch.Last; return nil })
	return last
}

func (b *bus) Resume(_ context.Context, dataset string) (change.Position, error) {
	return b.Safe(dataset), nil
}

func (b *bus) History(_ context.Context, dataset string, after uint64, fn func(uint64, *change.Batch) error) error {
	return b.each(dataset, after, fn)
}

func (b *bus) each(dataset string, after uint64, fn func(uint64, *change.Batch) error) error {
	for i, m := range b.messages {
		if m.dataset != dataset || uint64(i+1) <= after {
			continue
		}
		batch, err := change.Decode(m.data)
		if err != nil {
			return err
		}
		err = fn(uint64(i+1), batch)
		batch.Record.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

// said is a change as it arrived on the bus.
type said struct {
	op           change.Op
	key          string
	row          int64
	values       string
	problem, raw string
	unit         string
	columns      string
}

func (b *bus) said(dataset string) []said {
	var out []said
	b.each(dataset, 0, func(_ uint64, batch *change.Batch) error {
		for i := range batch.Len() {
			var values []string
			for c := range batch.Columns() {
				values = append(values, batch.Values(c).Value(i))
			}
			out = append(out, said{batch.Op(i), batch.Key(i), batch.Row(i), strings.Join(values, "|"), batch.Problem(i), batch.Raw(i), batch.Unit, strings.Join(batch.Columns(), "|")})
		}
		return nil
	})
	return out
}

// folded is what the dataset holds after all that was said.
func (b *bus) folded(dataset string) map[string]string {
	state := map[string]string{}
	for _, s := range b.said(dataset) {
		switch s.op {
		case change.Malformed:
		case change.Delete:
			delete(state, s.key)
		default:
			state[s.key] = s.values
		}
	}
	return state
}

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

func (f *folder) load(b *bus) error {
	b.open, b.units, b.pending = map[string]*change.Builder{}, map[string]string{}, map[string][]change.Change{}
	return f.connector().Run(context.Background(), b, false)
}

func (f *folder) mustLoad(b *bus) {
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
