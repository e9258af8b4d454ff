// Package clickhouse is the warehouse's schema: tables by numbered migrations, views that are written anew at every
// start, the reference tables that the program fills from its files, and who may read what.
//
// A warehouse is made ready by [Migrate], then [LoadReference], then [Views.Apply].
package clickhouse

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// VersionTable is where goose keeps which migrations were applied.
const VersionTable = "store.schema_migrations"

// NewerError says that a newer program has already migrated this warehouse.
type NewerError struct{ Warehouse, Program int64 }

func (e *NewerError) Error() string {
	return fmt.Sprintf("the warehouse has schema version %d and this program knows up to %d: "+
		"a newer shire has been here; run that one, or restore a backup from before it", e.Warehouse, e.Program)
}

// Migrate brings the tables of the warehouse to this program's [Version]. The statements can be repeated, so that a
// process that is killed in the middle is mended by the next. The error is a [NewerError] if a newer program has been here.
func Migrate(ctx context.Context, db *sql.DB) error { return MigrateTo(ctx, db, Version()) }

// MigrateTo is Migrate up to a version that an older program had: for a restore of its backup.
func MigrateTo(ctx context.Context, db *sql.DB, version int64) error {
	provider, err := provider(ctx, db)
	if err != nil {
		return err
	}
	current, err := provider.GetDBVersion(ctx)
	if err != nil {
		return fmt.Errorf("ask the warehouse for its schema version: %w", err)
	}
	if current > Version() {
		return &NewerError{Warehouse: current, Program: Version()}
	}
	if _, err := provider.UpTo(ctx, version); err != nil {
		var partial *goose.PartialError
		if errors.As(err, &partial) {
			return fmt.Errorf("migration %s of the warehouse failed; nothing was lost, it is tried again at the next start: %w",
				partial.Failed.Source.Path, partial.Err)
		}
		return fmt.Errorf("migrate the warehouse: %w", err)
	}
	return nil
}

func provider(ctx context.Context, db *sql.DB) (*goose.Provider, error) {
	// The version table needs its database before there is a first migration that could make it.
	if _, err := db.ExecContext(ctx, "CREATE DATABASE IF NOT EXISTS store"); err != nil {
		return nil, fmt.Errorf("create the database store: %w", err)
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("read the migrations: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectClickHouse, db, files, goose.WithTableName(VersionTable),
		goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, fmt.Errorf("read the migrations: %w", err)
	}
	return provider, nil
}

// Version is the schema version that this program migrates to: the number of its last migration.
func Version() int64 {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil || len(names) == 0 {
		panic("clickhouse: no migrations are embedded") // the pattern and the files are constants of this package
	}
	version, err := goose.NumericComponent(names[len(names)-1]) // Glob sorts by name, and all have five digits
	if err != nil {
		panic(err)
	}
	return version
}
