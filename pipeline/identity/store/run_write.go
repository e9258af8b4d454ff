package store

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"iter"
	"os"
	"path/filepath"
	"time"
)

// entries gives the rows of a table in the order of their keys, each key once, and their blobs. Of a row only key,
// value and flag count. It may be walked more than once.
type entries func(table int) iter.Seq2[[]byte, []byte]

// withoutDead leaves tombstones out: where no older run is, there is nothing to hide.
func (e entries) withoutDead(tables []Spec) entries {
	return func(table int) iter.Seq2[[]byte, []byte] {
		flag := tables[table].flag()
		return func(yield func(row, blob []byte) bool) {
			for row, blob := range e(table) {
				if row[flag] != dead && !yield(row, blob) {
					return
				}
			}
		}
	}
}

// writeRun makes a run of all entries and tells how many there are. When it returns, the file is on the disk, though
// the directory may not know of it yet. A file that could not be finished is removed. Gently leaves half of the time, and
// of the disk, to commits that come meanwhile.
func writeRun(dir string, number uint64, tables []Spec, e entries, sync, gently bool) (count int, err error) {
	path := filepath.Join(dir, runName(number))
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			os.Remove(path)
		}
	}()
	sum := &summed{to: f, sync: sync, gently: gently}
	w := &counted{Writer: bufio.NewWriterSize(sum, 1<<20)}
	w.WriteString(runMagic) // a bufio.Writer remembers its first error until Flush
	w.at = int64(len(runMagic))
	var footer []byte
	for i := range tables {
		n := 0
		footer, n = w.section(footer, &tables[i], e(i))
		count += n
	}
	if err := w.Flush(); err != nil {
		return 0, err
	}
	size := len(footer)
	footer = binary.LittleEndian.AppendUint32(footer, sum.crc)
	footer = binary.LittleEndian.AppendUint32(footer, uint32(size))
	footer = binary.LittleEndian.AppendUint32(footer, runVersion)
	footer = binary.LittleEndian.AppendUint32(footer, crc32.Checksum(footer, castagnoli))
	if _, err := f.Write(footer); err != nil {
		return 0, err
	}
	if sync {
		return count, f.Sync()
	}
	return count, nil
}

type counted struct {
	*bufio.Writer
	at int64
}

func (w *counted) put(b []byte) {
	w.Write(b)
	w.at += int64(len(b))
}

// section writes one table and appends to the footer where it lies.
func (w *counted) section(footer []byte, t *Spec, rows iter.Seq2[[]byte, []byte]) ([]byte, int) {
	var (
		begin    = w.at
		n        = 0
		blobbed  = uint64(0)
		index    []byte
		ref      [refSize]byte
		keyWidth = t.Key
		width    = t.flag() + 1
	)
	for row, blob := range rows {
		if n%block == 0 {
			index = binary.LittleEndian.AppendUint64(index, head(row[:keyWidth]))
		}
		n++
		w.put(row[:width])
		if t.Blob {
			w.put(appendRef(ref[:0], blobbed, len(blob)))
			blobbed += uint64(len(blob))
		}
	}
	blobs := w.at
	if blobbed > 0 {
		for _, blob := range rows {
			w.put(blob)
		}
	}
	for _, at := range []int64{begin, blobs, w.at, int64(n)} {
		footer = binary.LittleEndian.AppendUint64(footer, uint64(at))
	}
	w.put(index)
	return footer, n
}

// summed keeps the checksum of what goes through it.
type summed struct {
	to     *os.File
	sync   bool
	gently bool
	began  time.Time // with the bytes that are written now
	crc    uint32
	dirt   int // bytes that are perhaps not on the disk
}

// Much that is brought to the disk at once keeps the journal waiting, and with it every commit.
const mostDirt = 1 << 20

func (s *summed) Write(b []byte) (int, error) {
	s.crc = crc32.Update(s.crc, castagnoli, b)
	n, err := s.to.Write(b)
	if s.dirt += n; err == nil && s.sync && s.dirt >= mostDirt {
		s.dirt = 0
		err = s.to.Sync()
		if s.gently && !s.began.IsZero() {
			time.Sleep(time.Since(s.began))
		}
		s.began = time.Now()
	}
	return n, err
}
