package warehouse

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/ClickHouse/ch-go/proto"
	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/clickhouse"
)

// Copies of tables, as blocks of ClickHouse's format Native: what `clickhouse local` reads as well. They are read and
// written over the same protocol as everything else, wherever the server runs (docs/decisions/0028).
//
// # How it fails
//
//   - The server dies: the copy ends with an error; nothing here is tried again.
//   - A table has a column of a type that we cannot carry: it is named, before anything of that table is written.

// copied are the databases whose tables are copied. The others hold views alone.
var copied = []string{"audit", "restricted", "store"}

// A table's rows of a later moment are left out by the column that says from which message they are.
var byMessage = map[string]string{
	"store.load_log":       "last_sequence <= %d",
	"store.quarantine_log": "event <= %d",
}

// untilMessage is the condition for the rows that messages up to the given one brought. Rows that come back from quarantine
// keep the version of their first message, and may be there already when that which brings them back comes again: the same
// version twice is one row.
func untilMessage(table string, through uint64) string {
	if condition, ok := byMessage[table]; ok {
		return fmt.Sprintf(condition, through)
	}
	if of := VersionsOf(table); of != "" {
		table = of
	}
	own := func(t *canonical.Table) bool { return t.Database+"."+t.Name == table }
	if own(canonical.Links) || slices.ContainsFunc(canonical.Tables, own) {
		return fmt.Sprintf("version < %d", change.Version(through+1, 0))
	}
	return "" // what no message brought: accesses, runs, what the program knows from its files
}

// versions ends the name of a table that keeps the versions of another.
const versions = "_versions"

// VersionsOf is the table whose versions a table keeps; "" when it keeps none.
func VersionsOf(table string) string {
	of, found := strings.CutSuffix(table, versions)
	if !found || !slices.Contains(clickhouse.Kept(), strings.TrimPrefix(of, "store.")) {
		return ""
	}
	return of
}

// CopiedTable is a table that a backup has to have.
type CopiedTable struct {
	Name  string // with its database
	Bytes uint64 // on the server's disk
}

// CopiedTables lists them by name.
func CopiedTables(ctx context.Context, conn driver.Conn) ([]CopiedTable, error) {
	var found []struct {
		Name  string  `ch:"full_name"`
		Bytes *uint64 `ch:"total_bytes"`
	}
	err := conn.Select(ctx, &found, "SELECT concat(database, '.', name) AS full_name, total_bytes FROM system.tables"+
		" WHERE has(?, database) AND engine LIKE '%MergeTree' AND full_name != ? ORDER BY full_name", copied, clickhouse.VersionTable)
	if err != nil {
		return nil, fmt.Errorf("the tables of the warehouse cannot be listed: %w", err)
	}
	out := make([]CopiedTable, len(found))
	for i, t := range found {
		out[i].Name = t.Name
		if t.Bytes != nil {
			out[i].Bytes = *t.Bytes
		}
	}
	return out, nil
}

// copySettings are those of both directions.
var copySettings = []proto.Setting{
	{Key: "low_cardinality_allow_in_native_format", Value: "0", Important: true}, // columns of few values travel as plain ones
	{Key: "max_execution_time", Value: "0"},
	{Key: "max_threads", Value: "1"}, // it runs beside loads and readers
	{Key: "log_queries", Value: "0"}, // I7
}

// fillSettings are those of an insert: every version that was there, once. Two blocks may well be alike, and one of them may
// have been sent before, to a server that died while it took it: a token that is new keeps either from being taken for known.
// The setting that turns deduplication off has another name in every other version of ClickHouse.
func fillSettings() []proto.Setting {
	return append(slices.Clone(copySettings),
		proto.Setting{Key: "insert_deduplication_token", Value: rand.Text(), Important: true},
		proto.Setting{Key: "async_insert", Value: "0", Important: true},
		proto.Setting{Key: "optimize_on_insert", Value: "0", Important: true})
}

// CopyTable writes the rows of a table that messages up to the given one brought, block by block, and counts them. It reads
// the table as it was at one moment.
func CopyTable(ctx context.Context, a Address, table string, through uint64, w io.Writer) (rows uint64, err error) {
	server, err := a.wire(ctx)
	if err != nil {
		return 0, err
	}
	defer server.close()
	stop := server.ending(ctx)
	rows, err = copyTable(server, table, through, w)
	if err = stop(err); err != nil {
		return rows, fmt.Errorf("%s cannot be copied: %w", table, err)
	}
	return rows, nil
}

func copyTable(server *wire, table string, through uint64, w io.Writer) (rows uint64, err error) {
	query := "SELECT * FROM " + table
	if condition := untilMessage(table, through); condition != "" {
		query += " WHERE " + condition
	}
	if err := server.query(query, copySettings); err != nil {
		return 0, err
	}
	var block carrier
	for {
		n, err := server.receive(&block)
		if errors.Is(err, errEnd) {
			return rows, nil
		}
		if err == nil && n > 0 {
			err = block.write(w, n)
		}
		if err != nil {
			return rows, err
		}
		rows += uint64(n)
	}
}

// FillTable inserts the rows that CopyTable wrote, and counts them. The table has to be there. One that keeps the versions of
// another is emptied first: filling that other one has written into it.
func FillTable(ctx context.Context, a Address, table string, r io.Reader) (rows uint64, err error) {
	server, err := a.wire(ctx)
	if err != nil {
		return 0, err
	}
	defer server.close()
	stop := server.ending(ctx)
	if VersionsOf(table) != "" {
		err = server.do("TRUNCATE TABLE " + table)
	}
	if err == nil {
		rows, err = fillTable(server, table, proto.NewReader(r))
	}
	if err = stop(err); err != nil {
		return rows, fmt.Errorf("%s cannot be filled: %w", table, err)
	}
	return rows, nil
}

// do runs a statement without an answer.
func (w *wire) do(statement string) error {
	if err := w.query(statement, fillSettings()); err != nil {
		return err
	}
	for {
		if _, err := w.receive(new(carrier)); errors.Is(err, errEnd) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func fillTable(server *wire, table string, from *proto.Reader) (rows uint64, err error) {
	var block carrier
	n, err := block.read(from)
	if errors.Is(err, io.EOF) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	var names []string
	for _, c := range block.columns {
		names = append(names, "`"+c.name+"`")
	}
	if err := server.query(fmt.Sprintf("INSERT INTO %s (%s) VALUES", table, strings.Join(names, ", ")), fillSettings()); err != nil {
		return 0, err
	}
	if _, err := server.receive(new(carrier)); err != nil { // what the columns are, which names them
		return 0, err
	}
	for ; err == nil; n, err = block.read(from) {
		rows += uint64(n)
		if err := errors.Join(server.block(n, block.input()), server.flush()); err != nil {
			return rows, err
		}
	}
	if !errors.Is(err, io.EOF) {
		return rows, err
	}
	if err := errors.Join(server.block(0, nil), server.flush()); err != nil {
		return rows, err
	}
	if _, err := server.receive(new(carrier)); !errors.Is(err, errEnd) {
		return rows, errors.Join(err, errors.New("the server did not say that it has everything"))
	}
	return rows, nil
}

// Prepare makes the tables of a schema version in a warehouse that has none.
func Prepare(ctx context.Context, a Address, version int64) error {
	db := ch.OpenDB(a.options())
	defer db.Close()
	return clickhouse.MigrateTo(ctx, db, version)
}

// Filled names a table of the warehouse that has rows, "" when none has. A warehouse that was never used has no tables.
func Filled(ctx context.Context, conn driver.Conn) (string, error) {
	tables, err := CopiedTables(ctx, conn)
	if err != nil {
		return "", err
	}
	for _, t := range tables {
		n, err := CountRows(ctx, conn, t.Name)
		if err != nil {
			return "", err
		}
		if n > 0 {
			return t.Name, nil
		}
	}
	return "", nil
}

// CountRows counts a table's rows, every version.
func CountRows(ctx context.Context, conn driver.Conn, table string) (uint64, error) {
	var n uint64
	if err := conn.QueryRow(ctx, "SELECT count() FROM "+table).Scan(&n); err != nil {
		return 0, fmt.Errorf("the rows of %s cannot be counted: %w", table, err)
	}
	return n, nil
}

// Clear empties the tables that an unfinished restore has filled.
func Clear(ctx context.Context, conn driver.Conn) error {
	tables, err := CopiedTables(ctx, conn)
	if err != nil {
		return err
	}
	for _, t := range tables {
		if err := conn.Exec(ctx, "TRUNCATE TABLE "+t.Name); err != nil {
			return fmt.Errorf("%s cannot be emptied: %w", t.Name, err)
		}
	}
	return nil
}

// Collapses tells whether a table merges older versions of a row away by itself.
func Collapses(ctx context.Context, conn driver.Conn, table string) (bool, error) {
	database, name, _ := strings.Cut(table, ".")
	var engine string
	if err := conn.QueryRow(ctx, "SELECT engine FROM system.tables WHERE database = ? AND name = ?", database, name).Scan(&engine); err != nil {
		return false, fmt.Errorf("the engine of %s cannot be asked for: %w", table, err)
	}
	return strings.Contains(engine, "Replacing"), nil
}

// SchemaVersion is the last migration of a warehouse.
func SchemaVersion(ctx context.Context, conn driver.Conn) (version int64, err error) {
	if err := conn.QueryRow(ctx, "SELECT max(version_id) FROM "+clickhouse.VersionTable).Scan(&version); err != nil {
		return 0, fmt.Errorf("the warehouse's schema version cannot be read: %w", err)
	}
	return version, nil
}

// LoadedFrom identifies what a warehouse is loaded from, as it was given to Connect; "" before the first time.
func LoadedFrom(ctx context.Context, conn driver.Conn) (bus string, err error) {
	if err := conn.QueryRow(ctx, "SELECT any(bus) FROM store.bus").Scan(&bus); err != nil {
		return "", fmt.Errorf("ask the warehouse which bus it belongs to: %w", err)
	}
	return bus, nil
}
