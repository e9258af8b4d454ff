package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
)

// The journal holds the commits since the last run, one record each: the length of what follows and its checksum, the
// position, the length of meta, meta, and the entries. An entry is the table's number, for a table with blobs the
// blob's length, the row up to its flag, and the blob.
const (
	recordHead  = 4 + 4
	recordLeast = 8 + 4
)

// journal is the writer's end of it.
type journal struct {
	number uint64
	path   string
	file   *os.File
	size   int64
}

func journalName(number uint64) string { return fmt.Sprintf("%08d.wal", number) }

// createJournal makes a new one. The caller makes the directory remember it.
func createJournal(dir string, number uint64) (*journal, error) {
	path := filepath.Join(dir, journalName(number))
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("a journal cannot be made: %w", err)
	}
	return &journal{number: number, path: path, file: f}, nil
}

// append writes a record. When it fails, clean tells that the journal is as it was before.
func (j *journal) append(record []byte, sync bool) (clean bool, err error) {
	if _, err := j.file.WriteAt(record, j.size); err != nil {
		return j.file.Truncate(j.size) == nil, fmt.Errorf("the journal %s cannot be written: %w", j.path, err)
	}
	if sync {
		// After a failed fsync nobody knows what is on the disk.
		if err := j.file.Sync(); err != nil {
			return false, fmt.Errorf("the journal %s cannot be brought to the disk: %w", j.path, err)
		}
	}
	j.size += int64(len(record))
	return true, nil
}

// encode makes a record of a batch.
func encode(b *Batch, position uint64, meta []byte) []byte {
	extra := 0
	for i := range b.tables {
		extra += 2 * b.tables[i].len()
	}
	rec := make([]byte, recordHead, recordHead+recordLeast+len(meta)+b.size()+extra)
	rec = binary.LittleEndian.AppendUint64(rec, position)
	rec = binary.LittleEndian.AppendUint32(rec, uint32(len(meta)))
	rec = append(rec, meta...)
	for i := range b.tables {
		t := &b.tables[i]
		w, width := t.stride(), t.flag()+1
		for rows := t.rows; len(rows) > 0; rows = rows[w:] {
			rec = binary.LittleEndian.AppendUint16(rec, uint16(i))
			blob := t.blobAt(rows, t.blobs)
			if t.Blob {
				rec = binary.LittleEndian.AppendUint32(rec, uint32(len(blob)))
			}
			rec = append(append(rec, rows[:width]...), blob...)
		}
	}
	binary.LittleEndian.PutUint32(rec, uint32(len(rec)-recordHead))
	binary.LittleEndian.PutUint32(rec[4:], crc32.Checksum(rec[recordHead:], castagnoli))
	return rec
}

// nextRecord gives the first record of data without its head, or nil when there is no whole one.
func nextRecord(data []byte) []byte {
	if len(data) < recordHead+recordLeast {
		return nil
	}
	size := int64(binary.LittleEndian.Uint32(data))
	if size < recordLeast || size > int64(len(data)-recordHead) {
		return nil
	}
	rec := data[recordHead:][:size]
	if crc32.Checksum(rec, castagnoli) != binary.LittleEndian.Uint32(data[4:]) {
		return nil
	}
	return rec
}

// apply puts a record's entries into memory, which keeps pieces of the record.
func (m *memtable) apply(rec []byte) (position uint64, meta []byte, err error) {
	malformed := errors.New("a record does not hold what it should")
	position = binary.LittleEndian.Uint64(rec)
	size := int64(binary.LittleEndian.Uint32(rec[8:]))
	rec = rec[recordLeast:]
	if size > int64(len(rec)) {
		return 0, nil, malformed
	}
	meta, rec = rec[:size:size], rec[size:]
	for len(rec) > 0 {
		if len(rec) < 2 || int(binary.LittleEndian.Uint16(rec)) >= len(m.tables) {
			return 0, nil, malformed
		}
		table := binary.LittleEndian.Uint16(rec)
		rec = rec[2:]
		t := &m.tables[table]
		size := int64(t.flag() + 1)
		if t.Blob {
			if len(rec) < 4 {
				return 0, nil, malformed
			}
			size += int64(binary.LittleEndian.Uint32(rec))
			rec = rec[4:]
		}
		if size > int64(len(rec)) {
			return 0, nil, malformed
		}
		m.trees[table].Set(rec[:size:size])
		rec = rec[size:]
	}
	return position, meta, nil
}

// replay reads a journal into memory, as far as its records are whole: of the commit that was being written when the
// process died, part may be there. It tells how far that is, and what the last whole record said, if there is one.
func replay(f *os.File, path string, m *memtable) (size int64, position uint64, meta []byte, err error) {
	data, err := io.ReadAll(f)
	if err != nil {
		return 0, 0, nil, fmt.Errorf("the journal %s cannot be read: %w", path, err)
	}
	for {
		rec := nextRecord(data[size:])
		if rec == nil {
			break
		}
		if position, meta, err = m.apply(rec); err != nil {
			return 0, 0, nil, damaged(path, err)
		}
		size += int64(recordHead + len(rec))
	}
	// Each commit waits for the one before. So a whole record behind a broken one means that the broken one had been
	// whole: that is not a crash, and cutting it off would lose commits that were promised to hold.
	if rest := data[size:]; len(rest) >= recordHead {
		next := recordHead + int64(binary.LittleEndian.Uint32(rest))
		if next < int64(len(rest)) && nextRecord(rest[next:]) != nil {
			return 0, 0, nil, damaged(path, errors.New("the checksum of a record does not match"))
		}
	}
	return size, position, meta, nil
}
