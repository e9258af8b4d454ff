// Package warehouse is the last stage of the flow: it loads canonical batches into ClickHouse column by column,
// owns the migrations, and answers the figures.
package warehouse

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/shirecounty/shire/schemas/clickhouse"
)

// Address is how to reach a ClickHouse server as one of its users.
type Address struct {
	Native   string // host:port of the native protocol
	User     string
	Password string
	TLS      *tls.Config // nil for none
}

func (a Address) options() *ch.Options {
	// Compressing costs more than loopback saves.
	compression := ch.CompressionLZ4
	if host, _, err := net.SplitHostPort(a.Native); err == nil && net.ParseIP(host).IsLoopback() {
		compression = ch.CompressionNone
	}
	return &ch.Options{
		Addr: []string{a.Native}, Auth: ch.Auth{Database: "default", Username: a.User, Password: a.Password}, TLS: a.TLS,
		Compression: &ch.Compression{Method: compression}, DialTimeout: 5 * time.Second, ReadTimeout: 5 * time.Minute,
		MaxOpenConns: 4, MaxIdleConns: 4, ConnMaxLifetime: time.Hour, BlockBufferSize: 4,
	}
}

// Open connects to a server; the connection is made when it is first used.
func Open(a Address) (driver.Conn, error) {
	conn, err := ch.Open(a.options())
	if err != nil {
		return nil, fmt.Errorf("ClickHouse at %s: %w", a.Native, err)
	}
	return conn, nil
}

// Warehouse loads.
type Warehouse struct {
	conn driver.Conn
	log  *slog.Logger

	sealer atomic.Pointer[Sealer] // nil: values of restricted tables are loaded as they are
}

// OtherBusError says that the warehouse was loaded from another bus.
type OtherBusError struct{}

func (OtherBusError) Error() string {
	return "the warehouse was loaded from another bus or with another pseudonym key: new rows would not fit the ones it has; give it its own back, or start with an empty warehouse"
}

// LoadedThrough is the sequence of the last message that anything was loaded from; 0 before the first. The bus's own
// ledger says less after a machine has lost its power.
func (w *Warehouse) LoadedThrough(ctx context.Context) (uint64, error) {
	var loaded uint64
	if err := w.conn.QueryRow(ctx, "SELECT max(last_sequence) FROM store.load_log").Scan(&loaded); err != nil {
		return 0, fmt.Errorf("ask the warehouse what was loaded: %w", err)
	}
	return loaded, nil
}

// Connect migrates the warehouse and makes it ready to be loaded. bus identifies what it is loaded from: the bus
// and the key of the pseudonyms.
func Connect(ctx context.Context, a Address, bus string, log *slog.Logger) (*Warehouse, error) {
	if err := Migrate(ctx, a); err != nil {
		return nil, err
	}
	conn, err := Open(a)
	if err != nil {
		return nil, err
	}
	w := &Warehouse{conn: conn, log: log}
	if err := w.adopt(ctx, bus); err != nil {
		conn.Close()
		return nil, err
	}
	return w, nil
}

// adopt binds the warehouse to one bus: versions are stream sequences, which mean nothing on another.
func (w *Warehouse) adopt(ctx context.Context, bus string) error {
	known, err := LoadedFrom(ctx, w.conn)
	if err != nil {
		return err
	}
	switch known {
	case bus:
		return nil
	case "":
		if err := w.conn.Exec(ctx, "INSERT INTO store.bus SETTINGS async_insert = 0 VALUES (?)", bus); err != nil {
			return fmt.Errorf("bind the warehouse to its bus: %w", err)
		}
		return nil
	}
	return OtherBusError{}
}

// Conn is the loading user's connection, for schemas/clickhouse to write reference tables and views.
func (w *Warehouse) Conn() driver.Conn { return w.conn }

// Close ends the connections.
func (w *Warehouse) Close() error { return w.conn.Close() }

// retry runs a step until it succeeds or cannot: while the server is away, restarts, or is out of memory or
// parts, it is tried again, because what a load holds must not be lost (I4).
func (w *Warehouse) retry(ctx context.Context, what string, step func(context.Context) error) error {
	for backoff := 100 * time.Millisecond; ; backoff = min(2*backoff, 10*time.Second) {
		err := step(ctx)
		if err == nil || ctx.Err() != nil || hopeless(err) {
			if err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			return nil
		}
		w.log.Warn("the warehouse did not take a load; it is sent again", "what", what, "error", err, "pause", backoff)
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, err)
		case <-time.After(backoff):
		}
	}
}

// Codes of server exceptions that waiting does not mend: wrong SQL, a missing table or column, no rights.
var hopelessCodes = map[int32]bool{10: true, 16: true, 20: true, 46: true, 47: true, 53: true, 60: true, 62: true, 81: true, 497: true, 516: true}

// unfitError says that rows do not fit the table's columns: they will not on the next attempt either.
type unfitError struct{ error }

func (e *unfitError) Unwrap() error { return e.error }

func hopeless(err error) bool {
	var unfit *unfitError
	if errors.As(err, &unfit) {
		return true
	}
	var exception *ch.Exception
	if errors.As(err, &exception) {
		return hopelessCodes[exception.Code]
	}
	var network net.Error
	return !errors.As(err, &network) && errors.Is(err, context.Canceled)
}

// Migrate brings a warehouse's tables to this program's schema, without loading anything into it.
func Migrate(ctx context.Context, a Address) error {
	db := ch.OpenDB(a.options())
	defer db.Close()
	return clickhouse.Migrate(ctx, db)
}
