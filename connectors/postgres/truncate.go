package postgres

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/shirecounty/shire/schemas/change"
)

// truncate says that all records of tables are gone. The stream does not name them; what is on the bus does.
func (r *run) truncate(ctx context.Context, body string) error {
	oids, err := parseTruncate(body)
	if err != nil {
		return err
	}
	for _, oid := range oids {
		r.tx.n++
		rel := r.relations[oid]
		if rel == nil {
			return fmt.Errorf("the server emptied table %d without its description", oid)
		}
		at := place{r.tx.commit, r.tx.n}
		if rel.feed == nil {
			continue
		}
		r.use()
		if !at.after(rel.feed.at) {
			continue
		}
		if err := r.prepare(ctx, rel); err != nil {
			return err
		}
		if err := r.empty(ctx, rel, at); err != nil {
			return fmt.Errorf("table %s was emptied, and its records cannot be found: %w", rel.feed.unit, err)
		}
	}
	return nil
}

// empty says of every record that is on the bus that it is deleted. Only the last one has the position of the event: a run
// that begins in between does the rest.
func (r *run) empty(ctx context.Context, rel *relation, at place) error {
	f := rel.feed
	if err := r.out.Flush(ctx); err != nil { // the history then has all that was appended
		return err
	}
	before := place{at.lsn, at.n - 1}
	var held string
	say := func(key string, where place) error {
		c := deleted(rel.keyer, len(rel.names), key)
		c.Row, c.Time = at.n, r.tx.at
		return r.append(ctx, f, rel.names, c, where)
	}
	err := r.live(ctx, f, func(key string) (err error) {
		if held != "" {
			err = say(held, before)
		}
		held = key
		return err
	})
	if err != nil {
		return err
	}
	if held != "" {
		return say(held, at)
	}
	f.at = at
	return nil
}

const buckets = 256

// live calls fn with the key of every record that the bus holds. The keys go through files, by their hash, so that only
// a part of them is in memory at once (I10). The files hold personal data and are removed at once (I7).
func (r *run) live(ctx context.Context, f *feed, fn func(key string) error) (err error) {
	dir := filepath.Join(r.StateDir, "emptied")
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o700)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var files [buckets]*os.File
	var writers [buckets]*bufio.Writer
	defer func() {
		for _, file := range files {
			if file != nil {
				file.Close()
			}
		}
	}()
	var head [binary.MaxVarintLen64]byte
	err = r.out.History(ctx, f.dataset.Name, 0, func(_ uint64, b *change.Batch) error {
		for i := range b.Len() {
			op := b.Op(i)
			if op == change.Malformed {
				continue
			}
			key := b.Key(i)
			h := fnv.New32a()
			io.WriteString(h, key)
			at := h.Sum32() % buckets
			if files[at] == nil {
				file, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(int(at))), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
				if err != nil {
					return err
				}
				files[at], writers[at] = file, bufio.NewWriter(file)
			}
			gone := byte(0)
			if op == change.Delete {
				gone = 1
			}
			writers[at].WriteByte(gone)
			writers[at].Write(head[:binary.PutUvarint(head[:], uint64(len(key)))])
			writers[at].WriteString(key) // an error stays until Flush
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, file := range files {
		if file == nil {
			continue
		}
		if err := writers[i].Flush(); err != nil {
			return err
		}
		if err := eachLive(file, fn); err != nil {
			return err
		}
	}
	return nil
}

func eachLive(file *os.File, fn func(key string) error) error {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	in := bufio.NewReader(file)
	live := map[string]struct{}{}
	var key []byte
	for {
		gone, err := in.ReadByte()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		size, err := binary.ReadUvarint(in)
		if err != nil {
			return err
		}
		if uint64(cap(key)) < size {
			key = make([]byte, size)
		}
		key = key[:size]
		if _, err := io.ReadFull(in, key); err != nil {
			return err
		}
		if gone == 1 {
			delete(live, string(key))
		} else {
			live[string(key)] = struct{}{}
		}
	}
	for key := range live {
		if err := fn(key); err != nil {
			return err
		}
	}
	return nil
}
