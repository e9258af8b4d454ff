package warehouse

import (
	"context"
	"fmt"
	"strings"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/google/uuid"

	"github.com/shirecounty/shire/schemas/canonical"
)

// insert sends one block under one token: the same token again does nothing (I3). fill appends the columns.
func (w *Warehouse) insert(ctx context.Context, table, token string, columns []string, fill func(b driver.Batch) error) error {
	return w.retry(ctx, "load "+table, func(ctx context.Context) error {
		ctx = ch.Context(ctx, ch.WithSettings(ch.Settings{
			"insert_deduplicate":         1,
			"insert_deduplication_token": token,
			"async_insert":               0,
			"deduplicate_blocks_in_dependent_materialized_views": 1,
			// The server encodes LowCardinality itself: quicker than here, value by value.
			"low_cardinality_allow_in_native_format": 0,
			// Collapsing the versions within a block is left to the merges and to FINAL; here it would cost more than the sort.
			"optimize_on_insert": 0,
			// The block must arrive as one part per token, not be cut or joined.
			"max_insert_block_size": 1 << 24,
		}))
		b, err := w.conn.PrepareBatch(ctx, fmt.Sprintf("INSERT INTO %s (%s)", table, strings.Join(columns, ", ")))
		if err != nil {
			return err
		}
		defer b.Close()
		if err := fill(b); err != nil {
			return &unfitError{err}
		}
		return b.Send()
	})
}

// Load loads one table's record of a range.
func (w *Warehouse) Load(ctx context.Context, table *canonical.Table, record arrow.Record, token string) error {
	names := make([]string, len(table.Columns))
	for i, c := range table.Columns {
		names[i] = c.Name
	}
	return w.insert(ctx, table.Database+"."+table.Name, token, names, func(b driver.Batch) error {
		for i := range table.Columns {
			if err := b.Column(i).Append(values(record.Column(i))); err != nil {
				return fmt.Errorf("column %s: %w", names[i], err)
			}
		}
		return nil
	})
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
	columns := []string{"table_name", "first_sequence", "last_sequence", "rows", "bytes", "reason", "contracts", "dataset_rows", "dataset_sequences", "token", "started_at", "finished_at"}
	return w.insert(ctx, "store.load_log", token, columns, func(b driver.Batch) error {
		return appendColumns(b,
			column(lines, func(l Loaded) string { return l.Table }),
			column(lines, func(l Loaded) uint64 { return l.First }),
			column(lines, func(l Loaded) uint64 { return l.Last }),
			column(lines, func(l Loaded) uint64 { return l.Rows }),
			column(lines, func(l Loaded) uint64 { return l.Bytes }),
			column(lines, func(l Loaded) string { return l.Reason }),
			column(lines, func(l Loaded) map[string]string { return l.Contracts }),
			column(lines, func(l Loaded) map[string]uint64 { return l.DatasetRows }),
			column(lines, func(l Loaded) map[string]uint64 { return l.DatasetLast }),
			column(lines, func(l Loaded) string { return l.Token }),
			column(lines, func(l Loaded) time.Time { return l.Started }),
			column(lines, func(l Loaded) time.Time { return l.Finished }))
	})
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
	columns := []string{"dataset", "source_department", "owner_zh", "owner_en", "source", "unit", "row", "field", "code", "message",
		"contract_version", "contract_hash", "sequence", "version", "quarantined_at", "event", "state", "state_reason", "state_at"}
	return w.insert(ctx, "store.quarantine_log", token, columns, func(b driver.Batch) error {
		return appendColumns(b,
			column(held, func(h Held) string { return h.Dataset }),
			column(held, func(h Held) string { return h.Department }),
			column(held, func(h Held) string { return h.OwnerZh }),
			column(held, func(h Held) string { return h.OwnerEn }),
			column(held, func(h Held) string { return h.Source }),
			column(held, func(h Held) string { return h.Unit }),
			column(held, func(h Held) int64 { return h.Row }),
			column(held, func(h Held) string { return h.Field }),
			column(held, func(h Held) string { return h.Code }),
			column(held, func(h Held) string { return h.Message }),
			column(held, func(h Held) int64 { return h.ContractVersion }),
			column(held, func(h Held) string { return h.ContractHash }),
			column(held, func(h Held) uint64 { return h.Sequence }),
			column(held, func(h Held) uint64 { return h.Version }),
			column(held, func(h Held) time.Time { return h.At }),
			column(held, func(h Held) uint64 { return h.Event }),
			column(held, func(h Held) string { return h.State }),
			column(held, func(h Held) string { return h.StateReason }),
			column(held, func(h Held) time.Time { return h.At }))
	})
}

func column[T, V any](rows []T, value func(T) V) any {
	out := make([]V, len(rows))
	for i, r := range rows {
		out[i] = value(r)
	}
	return out
}

func appendColumns(b driver.Batch, columns ...any) error {
	for i, c := range columns {
		if err := b.Column(i).Append(c); err != nil {
			return err
		}
	}
	return nil
}
