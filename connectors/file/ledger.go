package file

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/cockroachdb/pebble"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
)

// ledger remembers which files were read, and of datasets that come as full files the hash of every record. It is
// a fold over the datasets' own messages on the bus, up to a stream sequence that it holds too, so it is never
// ahead of the bus, catches up when it is behind, and is rebuilt when it is lost. Only files that left nothing on
// the bus (no row, or nothing new) are known to it alone; reading one of those again changes nothing.
//
// Keys are a letter, the dataset, a zero byte, and:
//
//	f  file name       the content last read under this name (finished)
//	c  content hash    the file in which this content was read first (finished)
//	d  -               how far the bus was folded, and the file read last (folded)
//	k  record key      row hash, of full files
//	e  file name       the problem that was told of the file and is not solved
//	t  record key      staged: ordinal and row hash in the full file being read
//	m  record key      staged: key of a malformed row
//	p  ordinal         staged: what will be published for the row
type ledger struct{ db *pebble.DB }

// finished is a file that was read to its end.
type finished struct {
	Hash     string    `json:"hash"`
	Name     string    `json:"name"`
	Size     int64     `json:"size"`
	Modified int64     `json:"modified"`
	Rows     int64     `json:"rows"`
	When     time.Time `json:"when"`
}

// folded is what the ledger knows of a dataset's messages.
type folded struct {
	Sequence uint64          `json:"sequence"`
	Position change.Position `json:"position,omitempty"` // of the message at Sequence
	Last     finished        `json:"last"`
	Partial  bool            `json:"partial,omitempty"` // rows of another file, not read to its end, came after the last
}

func openLedger(dir string) (*ledger, error) {
	// Bounds of its memory (I10): 16 MiB of blocks and two tables of 16 MiB.
	cache := pebble.NewCache(16 << 20)
	defer cache.Unref()
	db, err := pebble.Open(filepath.Join(dir, "ledger"), &pebble.Options{Cache: cache, MemTableSize: 16 << 20, Logger: quiet{}})
	if err != nil {
		return nil, fmt.Errorf("open the ledger of files in %s (is another shire reading the same source? the folder may be deleted while none is, it is rebuilt from the bus): %w", dir, err)
	}
	return &ledger{db}, nil
}

func (l *ledger) close() error { return l.db.Close() }

// quiet keeps the database's own chatter out of the log. What fails is returned to the caller as well.
type quiet struct{}

func (quiet) Infof(string, ...any)      {}
func (quiet) Errorf(string, ...any)     {}
func (quiet) Fatalf(f string, a ...any) { panic(fmt.Sprintf("ledger of files: "+f, a...)) }

func space(letter byte, dataset string) []byte {
	return append(append(make([]byte, 0, 64), letter), dataset+"\x00"...)
}

func spaceKey(letter byte, dataset, rest string) []byte {
	return append(space(letter, dataset), rest...)
}

// after is the first key behind the space: dataset names hold no byte 1.
func after(space []byte) []byte {
	end := append([]byte(nil), space...)
	end[len(end)-1] = 1
	return end
}

func (l *ledger) get(key []byte, into any) (bool, error) {
	v, done, err := l.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the ledger of files: %w", err)
	}
	defer done.Close()
	if err := json.Unmarshal(v, into); err != nil {
		return false, fmt.Errorf("read the ledger of files: %w", err)
	}
	return true, nil
}

type writer interface {
	Set(key, value []byte, o *pebble.WriteOptions) error
}

func put(w writer, key []byte, v any, o *pebble.WriteOptions) error {
	data, err := json.Marshal(v)
	if err == nil {
		err = w.Set(key, data, o)
	}
	if err != nil {
		return fmt.Errorf("write the ledger of files: %w", err)
	}
	return nil
}

// file is what was read last under the name.
func (l *ledger) file(dataset, name string) (finished, bool, error) {
	var f finished
	ok, err := l.get(spaceKey('f', dataset, name), &f)
	return f, ok, err
}

// dataset is what is known of a dataset's messages.
func (l *ledger) dataset(name string) (folded, error) {
	var d folded
	_, err := l.get(space('d', name), &d)
	return d, err
}

// recognise finds the earlier file with the same content. Two full files are not recognised although they were
// read: one that equals an older one and not the last takes the dataset back to what it was, which is what the
// department says by dropping it; and the last one after a part of another was read and that one has gone.
func (l *ledger) recognise(f *drop) (before finished, known bool, err error) {
	d, err := l.dataset(f.dataset.Name)
	if err != nil {
		return before, false, err
	}
	full := f.dataset.Delivery == contract.Snapshot
	if full && d.Partial && d.Last.Hash == f.hash {
		return before, false, nil
	}
	before, known, err = l.file(f.dataset.Name, f.name)
	if err != nil || known && before.Hash == f.hash {
		f.again = f.name
		return before, known, err
	}
	if full {
		before, known = d.Last, d.Last.Hash == f.hash
	} else {
		known, err = l.get(spaceKey('c', f.dataset.Name, f.hash), &before)
	}
	f.again = before.Name
	return before, known, err
}

// alias notes that a name holds content that was read before.
func (l *ledger) alias(dataset string, f finished) error {
	return put(l.db, spaceKey('f', dataset, f.Name), f, pebble.Sync)
}

// finish notes a file that was read. I1: called when all of it is safe.
func (l *ledger) finish(dataset string, f finished) error {
	d, err := l.dataset(dataset)
	if err != nil {
		return err
	}
	b := l.db.NewBatch()
	defer b.Close()
	if err := note(b, dataset, f, &d); err != nil {
		return err
	}
	return commit(b, pebble.Sync)
}

func note(b *pebble.Batch, dataset string, f finished, d *folded) error {
	d.Last, d.Partial = f, false
	return errors.Join(
		put(b, spaceKey('f', dataset, f.Name), f, nil),
		put(b, spaceKey('c', dataset, f.Hash), f, nil),
		put(b, space('d', dataset), d, nil))
}

func commit(b *pebble.Batch, o *pebble.WriteOptions) error {
	if err := b.Commit(o); err != nil {
		return fmt.Errorf("write the ledger of files: %w", err)
	}
	return nil
}

// commitBytes is how much is gathered before it is written.
const commitBytes = 2 << 20

// catchUp makes the ledger say what the bus says of the dataset. A bus that has lost its end, as a machine that loses its
// power may, does not end where the ledger does: then the ledger is made anew, and what is gone is read again (I4).
func (l *ledger) catchUp(ctx context.Context, out connectors.Outlet, d *contract.Dataset) error {
	end, err := out.Resume(ctx, d.Name)
	if err != nil {
		return err
	}
	for range 2 {
		if err := l.fold(ctx, out, d); err != nil {
			return err
		}
		f, err := l.dataset(d.Name)
		if err != nil || f.Position == end {
			return err
		}
		if err := l.forget(d.Name); err != nil {
			return err
		}
	}
	return l.fold(ctx, out, d)
}

// forget takes out everything that is known of the dataset.
func (l *ledger) forget(dataset string) error {
	for _, letter := range []byte("fcdke") {
		from := space(letter, dataset)
		if err := l.db.DeleteRange(from, after(from), pebble.Sync); err != nil {
			return fmt.Errorf("write the ledger of files: %w", err)
		}
	}
	return nil
}

// fold takes over what the bus has of the dataset beyond what was folded before.
func (l *ledger) fold(ctx context.Context, out connectors.Outlet, d *contract.Dataset) error {
	f, err := l.dataset(d.Name)
	if err != nil {
		return err
	}
	b := l.db.NewBatch()
	defer func() { b.Close() }()
	from := f.Sequence
	err = out.History(ctx, d.Name, f.Sequence, func(sequence uint64, batch *change.Batch) error {
		if d.Delivery == contract.Snapshot {
			if err := foldRecords(b, d.Name, sequence, batch); err != nil {
				return err
			}
		}
		f.Sequence, f.Position = sequence, change.Position(strings.Clone(string(batch.Last)))
		at, ok := parsePosition(batch.Last)
		f.Partial = f.Partial || ok && !at.End
		if ok && at.End && (f.Partial || at.Hash != f.Last.Hash) {
			// The rows of a full file that did not change are not on the bus; the count is that of its last one.
			done := finished{Hash: at.Hash, Name: at.Name, Size: at.Size, Modified: at.Modified, Rows: at.Row, When: time.Now().UTC()}
			if err := note(b, d.Name, done, &f); err != nil {
				return err
			}
		}
		if b.Len() < commitBytes {
			return nil
		}
		// The sequence goes with what was folded up to it, in one commit.
		if err := errors.Join(put(b, space('d', d.Name), f, nil), commit(b, pebble.NoSync)); err != nil {
			return err
		}
		b.Reset()
		return nil
	})
	if err != nil || f.Sequence == from {
		return err
	}
	return errors.Join(put(b, space('d', d.Name), f, nil), commit(b, pebble.NoSync))
}

// foldRecords takes over what a batch says of the records.
func foldRecords(b *pebble.Batch, dataset string, sequence uint64, batch *change.Batch) error {
	hash := newRowHasher(batch.Columns())
	prefix := space('k', dataset)
	for i := range batch.Len() {
		// A row that comes back from quarantine was folded when it came first; later ones may have followed it.
		if batch.Version(sequence, i) != change.Version(sequence, i) {
			continue
		}
		key := append(prefix[:len(prefix):len(prefix)], batch.Key(i)...)
		var err error
		switch batch.Op(i) {
		case change.Malformed:
		case change.Delete:
			err = b.Delete(key, nil)
		default:
			err = b.Set(key, binary.BigEndian.AppendUint64(nil, hash.sumBatch(batch, i)), nil)
		}
		if err != nil {
			return fmt.Errorf("write the ledger of files: %w", err)
		}
	}
	return nil
}

// setProblem and clearProblem keep what was told of a file until it has been read.
func (l *ledger) setProblem(dataset, name, problem string) error {
	return put(l.db, spaceKey('e', dataset, name), problem, pebble.NoSync)
}

func (l *ledger) clearProblem(dataset, name string) (string, error) {
	var problem string
	known, err := l.get(spaceKey('e', dataset, name), &problem)
	if err != nil || !known {
		return "", err
	}
	if err := l.db.Delete(spaceKey('e', dataset, name), pebble.NoSync); err != nil {
		return "", fmt.Errorf("write the ledger of files: %w", err)
	}
	return problem, nil
}
