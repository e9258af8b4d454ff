package warehouse

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/google/uuid"

	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/clickhouse"
)

// Load loads one table's record of a range.
func (w *Warehouse) Load(ctx context.Context, table *canonical.Table, record arrow.Record, token string) error {
	b := &block{table: table.Database + "." + table.Name, token: token, place: place{row: []string{"dataset", "record_id"}, age: []string{"version", "received_at"}}}
	sealer := w.sealer.Load()
	if !table.Personal {
		sealer = nil
	}
	for i, c := range table.Columns {
		if sealer != nil && slices.Contains(table.Sealed(), c.Name) {
			continue // I7: its values go sealed, and the column is empty
		}
		b.columns = append(b.columns, cells{c.Name, func() any { return values(record.Column(i)) }})
	}
	if sealer != nil {
		sealed, err := sealer.sealRecord(table, record) // once: a load that is sent again is the same
		if err != nil {
			return fmt.Errorf("load %s: %w", b.table, err)
		}
		b.columns = append(b.columns, sealed.columns(table)...)
	}
	if table == canonical.Links {
		b.place = place{row: []string{"record_id", "version"}, age: []string{"effective_at"}}
	}
	if table.Database == "store" && slices.Contains(clickhouse.Kept(), table.Name) {
		kept := *b
		kept.table += versions
		kept.place = place{row: []string{"dataset", "record_id", "version", "received_at"}} // none replaces another
		b.kept = &kept
	}
	return w.insert(ctx, b)
}

// values is an Arrow column as the slice that clickhouse-go appends fastest.
func values(col arrow.Array) any {
	n := col.Len()
	switch a := col.(type) {
	case *array.String:
		out := make([]string, n)
		for i := range out {
			out[i] = a.Value(i)
		}
		return out
	case *array.FixedSizeBinary:
		out := make([]uuid.UUID, n)
		for i := range out {
			copy(out[i][:], a.Value(i))
		}
		return out
	case *array.Date32:
		return nullable(n, a.IsValid, func(i int) time.Time { return time.Unix(int64(a.Value(i))*86400, 0).UTC() })
	case *array.Timestamp:
		return nullable(n, a.IsValid, func(i int) time.Time { return time.UnixMicro(int64(a.Value(i))).UTC() })
	case *array.Int64:
		return nullable(n, a.IsValid, a.Value)
	case *array.Uint64:
		return a.Uint64Values()
	case *array.Uint8:
		return a.Uint8Values()
	}
	panic("warehouse: no loader for " + col.DataType().String()) // a column type was added to the model and not here
}

func nullable[T any](n int, valid func(int) bool, value func(int) T) []*T {
	held, out := make([]T, n), make([]*T, n)
	for i := range out {
		if valid(i) {
			held[i] = value(i)
			out[i] = &held[i]
		}
	}
	return out
}

// Loaded is one line of the load log.
type Loaded struct {
	Table       string
	First, Last uint64
	Rows, Bytes uint64
	Reason      string
	Contracts   map[string]string // dataset -> version and hash
	DatasetRows map[string]uint64
	DatasetLast map[string]uint64
	Token       string
	Started     time.Time
	Finished    time.Time
}

// Log writes the load log of a range.
func (w *Warehouse) Log(ctx context.Context, token string, lines []Loaded) error {
	if len(lines) == 0 {
		return nil
	}
	return w.insert(ctx, &block{table: "store.load_log", token: token, place: place{row: []string{"table_name", "first_sequence", "last_sequence"}}, columns: []cells{
		cellsOf("table_name", lines, func(l Loaded) string { return l.Table }),
		cellsOf("first_sequence", lines, func(l Loaded) uint64 { return l.First }),
		cellsOf("last_sequence", lines, func(l Loaded) uint64 { return l.Last }),
		cellsOf("rows", lines, func(l Loaded) uint64 { return l.Rows }),
		cellsOf("bytes", lines, func(l Loaded) uint64 { return l.Bytes }),
		cellsOf("reason", lines, func(l Loaded) string { return l.Reason }),
		cellsOf("contracts", lines, func(l Loaded) map[string]string { return l.Contracts }),
		cellsOf("dataset_rows", lines, func(l Loaded) map[string]uint64 { return l.DatasetRows }),
		cellsOf("dataset_sequences", lines, func(l Loaded) map[string]uint64 { return l.DatasetLast }),
		cellsOf("token", lines, func(l Loaded) string { return l.Token }),
		cellsOf("started_at", lines, func(l Loaded) time.Time { return l.Started }),
		cellsOf("finished_at", lines, func(l Loaded) time.Time { return l.Finished }),
	}})
}

// Held is a row in quarantine, or what has become of it. It holds no value of the row (I7).
type Held struct {
	Dataset, Department, OwnerZh, OwnerEn, Source, Unit string
	Row                                                 int64
	Field, Code, Message                                string
	ContractVersion                                     int64
	ContractHash                                        string
	Sequence, Version                                   uint64
	At                                                  time.Time
	Event                                               uint64 // sequence of the message that brought this about
	State                                               string // waiting, released, dropped
	StateReason                                         string
}

// Quarantine writes down what became of rows of a range.
func (w *Warehouse) Quarantine(ctx context.Context, token string, held []Held) error {
	if len(held) == 0 {
		return nil
	}
	return w.insert(ctx, &block{table: "store.quarantine_log", token: token, place: place{row: []string{"dataset", "version"}, age: []string{"event"}}, columns: []cells{
		cellsOf("dataset", held, func(h Held) string { return h.Dataset }),
		cellsOf("source_department", held, func(h Held) string { return h.Department }),
		cellsOf("owner_zh", held, func(h Held) string { return h.OwnerZh }),
		cellsOf("owner_en", held, func(h Held) string { return h.OwnerEn }),
		cellsOf("source", held, func(h Held) string { return h.Source }),
		cellsOf("unit", held, func(h Held) string { return h.Unit }),
		cellsOf("row", held, func(h Held) int64 { return h.Row }),
		cellsOf("field", held, func(h Held) string { return h.Field }),
		cellsOf("code", held, func(h Held) string { return h.Code }),
		cellsOf("message", held, func(h Held) string { return h.Message }),
		cellsOf("contract_version", held, func(h Held) int64 { return h.ContractVersion }),
		cellsOf("contract_hash", held, func(h Held) string { return h.ContractHash }),
		cellsOf("sequence", held, func(h Held) uint64 { return h.Sequence }),
		cellsOf("version", held, func(h Held) uint64 { return h.Version }),
		cellsOf("quarantined_at", held, func(h Held) time.Time { return h.At }),
		cellsOf("event", held, func(h Held) uint64 { return h.Event }),
		cellsOf("state", held, func(h Held) string { return h.State }),
		cellsOf("state_reason", held, func(h Held) string { return h.StateReason }),
		cellsOf("state_at", held, func(h Held) time.Time { return h.At }),
	}})
}
