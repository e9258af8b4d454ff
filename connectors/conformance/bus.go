package conformance

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/change"
)

// Bus is the part of the bus that outlives a connector: encoded batches by sequence. It packs as the platform does: a
// buffer per dataset, sent when it is full, when unit or columns differ, and by Flush. It can be killed at any call.
type Bus struct {
	PackRows int    // changes in a message
	Budget   int    // Append and Flush calls until the process is "killed"; negative: never
	Lose     int    // how many of the buffered changes are sent while it dies
	AtAppend func() // called before every Append, without any lock

	mu       sync.Mutex
	messages []message
	open     map[string]*change.Builder
	units    map[string]string
	pending  map[string][]change.Change
	safe     map[string]change.Position
	shapes   map[string][]connectors.Column
}

var _ connectors.Outlet = (*Bus)(nil)

type message struct {
	dataset string
	data    []byte
}

// ErrKilled is what a connector gets from a bus whose budget is spent.
var ErrKilled = errors.New("killed")

// NewBus makes an empty bus.
func NewBus() *Bus {
	b := &Bus{PackRows: 4, safe: map[string]change.Position{}, shapes: map[string][]connectors.Column{}}
	b.Restart()
	return b
}

// Restart forgets what was only in memory; the new process lives for ever.
func (b *Bus) Restart() {
	b.Forget()
	b.Budget = -1
}

// Forget forgets what was only in memory.
func (b *Bus) Forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open, b.units, b.pending = map[string]*change.Builder{}, map[string]string{}, map[string][]change.Change{}
}

// Put adds a message that no connector made.
func (b *Bus) Put(batch *change.Batch) error {
	defer batch.Record.Release()
	data, err := batch.Encode()
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.messages = append(b.messages, message{batch.Dataset, data})
	b.safe[batch.Dataset] = batch.Last
	return nil
}

func (b *Bus) spend() error {
	if b.Budget == 0 {
		for _, d := range slices.Sorted(maps.Keys(b.pending)) {
			rest := b.pending[d]
			b.pending[d] = rest[:min(b.Lose, len(rest))]
			b.send(d)
		}
		return ErrKilled
	}
	b.Budget--
	return nil
}

// Append implements connectors.Outlet.
func (b *Bus) Append(ctx context.Context, dataset, unit string, columns []string, c change.Change) error {
	if b.AtAppend != nil {
		b.AtAppend()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := b.spend(); err != nil {
		return err
	}
	if o := b.open[dataset]; o == nil || b.units[dataset] != unit || !slices.Equal(o.Columns(), columns) {
		b.send(dataset)
		b.open[dataset] = change.NewBuilder("test", "bureau", dataset, unit, slices.Clone(columns))
		b.units[dataset] = unit
	}
	c.Values, c.Null = slices.Clone(c.Values), slices.Clone(c.Null)
	b.pending[dataset] = append(b.pending[dataset], c)
	if len(b.pending[dataset]) >= b.PackRows {
		b.send(dataset)
	}
	return nil
}

// Shape implements connectors.Outlet.
func (b *Bus) Shape(_ context.Context, dataset string, columns []connectors.Column) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shapes[dataset] = slices.Clone(columns)
	return nil
}

// Shaped is what Shape was told last.
func (b *Bus) Shaped(dataset string) []connectors.Column {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.shapes[dataset]
}

func (b *Bus) send(dataset string) {
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
	b.safe[dataset] = batch.Last
}

// Flush implements connectors.Outlet.
func (b *Bus) Flush(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := b.spend(); err != nil {
		return err
	}
	b.sendAll()
	return nil
}

// Linger sends what is buffered, as the platform does when it has waited long enough.
func (b *Bus) Linger() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sendAll()
}

func (b *Bus) sendAll() {
	for _, d := range slices.Sorted(maps.Keys(b.pending)) {
		b.send(d)
	}
}

// Safe implements connectors.Outlet.
func (b *Bus) Safe(dataset string) change.Position {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.safe[dataset]
}

// Resume implements connectors.Outlet.
func (b *Bus) Resume(_ context.Context, dataset string) (change.Position, error) {
	return b.Safe(dataset), nil
}

// History implements connectors.Outlet.
func (b *Bus) History(_ context.Context, dataset string, after uint64, fn func(uint64, *change.Batch) error) error {
	b.mu.Lock()
	messages := b.messages
	b.mu.Unlock()
	for i, m := range messages {
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

// Len is the number of messages.
func (b *Bus) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.messages)
}

// Said is a change as it arrived on the bus. Values and columns are joined by |, NULL is \N.
type Said struct {
	Op           change.Op
	Key          string
	Row          int64
	Values       string
	Problem, Raw string
	Unit         string
	Columns      string
}

// Null is how Said and Folded write an absent value.
const Null = `\N`

// Said is everything that was said of a dataset, in order.
func (b *Bus) Said(dataset string) []Said {
	var out []Said
	b.History(context.Background(), dataset, 0, func(_ uint64, batch *change.Batch) error {
		for i := range batch.Len() {
			out = append(out, Said{batch.Op(i), batch.Key(i), batch.Row(i), strings.Join(valuesOf(batch, i), "|"), batch.Problem(i), batch.Raw(i), batch.Unit, strings.Join(batch.Columns(), "|")})
		}
		return nil
	})
	return out
}

func valuesOf(batch *change.Batch, i int) []string {
	var values []string
	for c := range batch.Columns() {
		if col := batch.Values(c); col.IsNull(i) {
			values = append(values, Null)
		} else {
			values = append(values, strings.Clone(col.Value(i)))
		}
	}
	return values
}

// Folded is what the dataset holds after all that was said: the values of each record by its key.
func (b *Bus) Folded(dataset string) map[string]string {
	state := map[string]string{}
	for _, s := range b.Said(dataset) {
		switch s.Op {
		case change.Malformed:
		case change.Delete:
			delete(state, s.Key)
		default:
			state[s.Key] = s.Values
		}
	}
	return state
}

// Records is Folded with each value under its column's name.
func (b *Bus) Records(dataset string) map[string]map[string]string {
	state := map[string]map[string]string{}
	b.History(context.Background(), dataset, 0, func(_ uint64, batch *change.Batch) error {
		for i := range batch.Len() {
			switch batch.Op(i) {
			case change.Malformed:
			case change.Delete:
				delete(state, batch.Key(i))
			default:
				record := map[string]string{}
				for c, v := range valuesOf(batch, i) {
					record[batch.Columns()[c]] = v
				}
				state[strings.Clone(batch.Key(i))] = record
			}
		}
		return nil
	})
	return state
}
