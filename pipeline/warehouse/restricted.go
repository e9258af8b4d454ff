package warehouse

import (
	"context"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/shirecounty/shire/pipeline/seal"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// Restricted are the restricted tables as a place of sealed values.
type Restricted struct {
	conn   driver.Conn
	hasher *pseudonym.Hasher
	seal   func(*Sealer)
	settle func(context.Context) error
}

var _ seal.Place = (*Restricted)(nil)

// NewRestricted makes the place for a warehouse that is loaded; loaded returns when everything that was to be loaded when it was
// called has been.
func NewRestricted(w *Warehouse, hasher *pseudonym.Hasher, loaded func(context.Context) error) *Restricted {
	return &Restricted{conn: w.Conn(), hasher: hasher, seal: w.Seal, settle: loaded}
}

// NewRestrictedAtRest makes the place for a warehouse that nobody loads.
func NewRestrictedAtRest(conn driver.Conn, hasher *pseudonym.Hasher) *Restricted {
	return &Restricted{conn: conn, hasher: hasher, seal: func(*Sealer) {}, settle: func(context.Context) error { return nil }}
}

// Seal implements [seal.Place]. A load that is under way keeps the key that it began with.
func (r *Restricted) Seal(keys *seal.Keyring) { r.seal(NewSealer(keys, r.hasher)) }

// Settle implements [seal.Place].
func (r *Restricted) Settle(ctx context.Context) error { return r.settle(ctx) }

// Uses implements [seal.Place], by table.
func (r *Restricted) Uses(ctx context.Context) ([]seal.Use, error) { return KeysInUse(ctx, r.conn) }

// Reseal implements [seal.Place].
func (r *Restricted) Reseal(ctx context.Context, keys *seal.Keyring) (uint64, error) {
	return Reseal(ctx, r.conn, NewSealer(keys, r.hasher), nil)
}
