package warehouse

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/ext"
	"github.com/ClickHouse/clickhouse-go/v2/lib/column"
)

// A block arrives once (I3), and it does arrive (I4).
//
// # How it fails
//
//   - An answer is lost: the block is sent again under its token, which the server takes once.
//   - The server dies, or its disk is full, between two steps of its own: it writes a token down before it gives the rows their
//     place. Then it knows the token, has no rows, and would swallow whatever is sent under that token as a duplicate. So when
//     it says that it knows a token, it is asked for the rows; when they are not there, they are sent under a further token,
//     which may meet the same fate. Whoever repeats the block goes the same way from the first token on.
//   - It has the rows in a table and not in the one that keeps the versions of it, or the other way about: each is asked, and
//     what is missing is sent. Versions that are there are kept twice then, which says nothing else than once.

// block is rows on their way into a table. It becomes one part there: all of it is there or nothing is.
type block struct {
	table   string
	token   string
	columns []cells
	place   place
	kept    *block // the same rows in the table that keeps their versions; nil when there is none
}

// cells are a column's values as clickhouse-go appends them, made when they are asked for.
type cells struct {
	name   string
	values func() any
}

// place says by which columns a row is found in a table. Of the rows that are alike in row, the server keeps those that come
// last by age.
type place struct {
	row, age []string
}

// insert brings a block into its table once.
func (w *Warehouse) insert(ctx context.Context, b *block) error {
	known, err := w.put(ctx, b)
	if err != nil || !known || b.kept == nil {
		return err
	}
	missing, err := w.missing(ctx, b.kept)
	if err != nil || !missing {
		return err
	}
	w.log.Warn("the server says that it has a load, but the versions of its rows are not there; they are loaded again", "table", b.kept.table, "token", b.token)
	_, err = w.put(ctx, b.kept)
	return err
}

// put sends a block under one token after the other until the rows are in its table. known tells whether the server knew the
// last of these tokens.
func (w *Warehouse) put(ctx context.Context, b *block) (known bool, err error) {
	for n := 1; ; n++ {
		token := b.token
		if n > 1 {
			token = fmt.Sprintf("%s/%d", b.token, n)
		}
		known, err = w.send(ctx, b, token)
		if err != nil || !known {
			return known, err
		}
		// I4: a token that is known is no proof.
		missing, err := w.missing(ctx, b)
		if err != nil || !missing {
			return known, err
		}
		w.log.Warn("the server says that it has a load, but the rows are not there, as when it dies while it writes; they are loaded again", "table", b.table, "token", token)
	}
}

// send sends a block under one token: the same token again does nothing. known tells whether it did nothing, in this table or
// in the one that keeps its versions, or may have.
func (w *Warehouse) send(ctx context.Context, b *block, token string) (known bool, err error) {
	names := make([]string, len(b.columns))
	for i, c := range b.columns {
		names[i] = c.name
	}
	err = w.retry(ctx, "load "+b.table, func(ctx context.Context) error {
		var told, twice atomic.Bool
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
		}), ch.WithProfileEvents(func(events []ch.ProfileEvent) {
			for i := range events {
				told.Store(true)
				if events[i].Name == "DuplicatedInsertedBlocks" && events[i].Value > 0 {
					twice.Store(true)
				}
			}
		}))
		batch, err := w.conn.PrepareBatch(ctx, fmt.Sprintf("INSERT INTO %s (%s)", b.table, strings.Join(names, ", ")))
		if err != nil {
			return err
		}
		defer batch.Close()
		for i, c := range b.columns {
			if err := batch.Column(i).Append(c.values()); err != nil {
				return &unfitError{fmt.Errorf("column %s: %w", c.name, err)}
			}
		}
		if err := batch.Send(); err != nil {
			return err
		}
		known = twice.Load() || !told.Load() // a server may be set up to tell nothing
		return nil
	})
	return known, err
}

// missing asks a block's table whether there is a row of the block that is neither there nor replaced by a newer one. All rows
// of a block are there or none is, so the answer is about the block.
func (w *Warehouse) missing(ctx context.Context, b *block) (missing bool, err error) {
	asked := slices.Concat(b.place.row, b.place.age)
	types, err := w.types(ctx, b.table)
	if err != nil {
		return false, err
	}
	var narrow []string
	of := func(names []string) (expressions []string) {
		for _, name := range names {
			if strings.HasPrefix(string(types[name]), "Nullable(") { // times alone may be NULL
				name = "ifNull(" + name + ", toDateTime64(0, 6, 'UTC'))"
			}
			expressions = append(expressions, name)
		}
		return expressions
	}
	for _, name := range b.place.row {
		if !strings.HasPrefix(string(types[name]), "Nullable(") {
			narrow = append(narrow, name)
		}
	}
	list := func(names []string) string { return "(" + strings.Join(names, ", ") + ")" }
	row, age := "tuple"+list(of(b.place.row)), "tuple"+list(append(of(b.place.age), "0"))
	query := fmt.Sprintf(`SELECT count() FROM
		(SELECT row FROM
			(SELECT %[1]s AS row, %[2]s AS age, 1 AS ours FROM sent
			UNION ALL SELECT %[1]s AS row, %[2]s AS age, 0 AS ours FROM %[3]s WHERE %[4]s IN (SELECT %[5]s FROM sent))
		GROUP BY row HAVING countIf(ours = 0) = 0 OR maxIf(age, ours = 1) > maxIf(age, ours = 0))`,
		row, age, b.table, list(narrow), strings.Join(narrow, ", "))
	err = w.retry(ctx, "ask for a load of "+b.table, func(ctx context.Context) error {
		sent, err := ext.NewTable("sent")
		if err != nil {
			return err
		}
		for _, c := range b.columns {
			if !slices.Contains(asked, c.name) {
				continue
			}
			if err := ext.Column(c.name, types[c.name])(sent); err != nil {
				return &unfitError{err}
			}
			columns := sent.Block().Columns
			if _, err := columns[len(columns)-1].Append(c.values()); err != nil {
				return &unfitError{fmt.Errorf("column %s: %w", c.name, err)}
			}
		}
		var n uint64
		err = w.conn.QueryRow(ch.Context(ctx, ch.WithExternalTable(sent)), query).Scan(&n)
		missing = n > 0
		return err
	})
	return missing, err
}

// types are those of a table's columns as they travel.
func (w *Warehouse) types(ctx context.Context, table string) (types map[string]column.Type, err error) {
	err = w.retry(ctx, "ask for the columns of "+table, func(ctx context.Context) error {
		ctx = ch.Context(ctx, ch.WithSettings(ch.Settings{"low_cardinality_allow_in_native_format": 0}))
		rows, err := w.conn.Query(ctx, "SELECT * FROM "+table+" LIMIT 0")
		if err != nil {
			return err
		}
		defer rows.Close()
		types = map[string]column.Type{}
		for _, c := range rows.ColumnTypes() {
			types[c.Name()] = column.Type(c.DatabaseTypeName())
		}
		return rows.Err()
	})
	return types, err
}

// cellsOf is a column of values that are taken from things of one kind.
func cellsOf[T, V any](name string, of []T, value func(T) V) cells {
	return cells{name, func() any {
		out := make([]V, len(of))
		for i, one := range of {
			out[i] = value(one)
		}
		return out
	}}
}

// oneCell is a column of one value.
func oneCell[V any](name string, value V) cells {
	return cells{name, func() any { return []V{value} }}
}
