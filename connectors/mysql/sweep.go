package mysql

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cockroachdb/pebble"

	"github.com/shirecounty/shire/schemas/change"
)

// sweep ends a snapshot that was not the first: it deletes what the bus still holds and nobody has said since the snapshot
// began. Such a record is not in the table: if it were, a chunk would have said it, or the change that brought it there,
// which is either said or still to come.
func (r *run) sweep(ctx context.Context, d *dataset) error {
	if err := r.out.Flush(ctx); err != nil { // everything said is to be found on the bus
		return err
	}
	stale, err := openStale(filepath.Join(r.StateDir, "sweep-"+d.Name))
	if err != nil {
		return err
	}
	defer stale.close()
	if err := r.out.History(ctx, d.Name, 0, func(_ uint64, b *change.Batch) error {
		p, ok := parsePosition(b.First)
		return stale.fold(b, ok && p.Label == d.table.Label && p.Round == d.round)
	}); err != nil {
		return fmt.Errorf("read back what is on the bus: %w", err)
	}
	columns := d.now.names()
	last := ""
	err = stale.each(func(key string) error {
		if last != "" {
			if err := r.stand(ctx, d, columns, change.Change{Op: change.Delete, Key: last}); err != nil {
				return err
			}
		}
		last = key
		return nil
	})
	if err != nil {
		return err
	}
	d.done = true
	d.at.restart()
	if last != "" {
		err = r.stand(ctx, d, columns, change.Change{Op: change.Delete, Key: last})
	}
	for _, code := range []string{"snapshot_again", "binlog_gap"} {
		r.solved(problem{d.Name, d.table.String(), code})
	}
	return err
}

// stale holds the keys of records that were said before a snapshot began and not since, on disk (I10).
type stale struct {
	db  *pebble.DB
	dir string
}

func openStale(dir string) (*stale, error) {
	if err := os.RemoveAll(dir); err != nil { // what a killed sweep left
		return nil, err
	}
	cache := pebble.NewCache(8 << 20)
	defer cache.Unref()
	db, err := pebble.Open(dir, &pebble.Options{Cache: cache, MemTableSize: 8 << 20, DisableWAL: true, Logger: quiet{}})
	if err != nil {
		return nil, fmt.Errorf("sort the keys of what is on the bus in %s: %w", dir, err)
	}
	return &stale{db, dir}, nil
}

func (quiet) Infof(string, ...any)      {}
func (quiet) Errorf(string, ...any)     {}
func (quiet) Fatalf(f string, a ...any) { panic(fmt.Sprintf("keys of the bus: "+f, a...)) }

func (s *stale) close() error { return errors.Join(s.db.Close(), os.RemoveAll(s.dir)) }

func (s *stale) fold(b *change.Batch, since bool) error {
	w := s.db.NewBatch()
	defer w.Close()
	for i := range b.Len() {
		var err error
		switch op := b.Op(i); {
		case op == change.Malformed:
		case since || op == change.Delete:
			err = w.Delete([]byte(b.Key(i)), nil)
		default:
			err = w.Set([]byte(b.Key(i)), nil, nil)
		}
		if err != nil {
			return err
		}
	}
	return w.Commit(pebble.NoSync)
}

func (s *stale) each(fn func(key string) error) (err error) {
	it, err := s.db.NewIter(nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.First(); ok; ok = it.Next() {
		if err := fn(strings.Clone(string(it.Key()))); err != nil {
			return err
		}
	}
	return it.Error()
}
