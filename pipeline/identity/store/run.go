package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
)

// A run is one immutable file: runMagic, then for each table its rows in the order of their keys, the blobs, and the
// heads of every block-th key; then a footer that says where these lie, and a trailer of fixed size.
const (
	runMagic    = "shirerun"
	runVersion  = 1
	block       = 32            // rows between two heads of the index: a few lines of the processor's cache
	sectionSize = 4 * 8         // in the footer: rows, blobs, index, count
	trailerSize = 4 + 4 + 4 + 4 // checksum of all before the footer, the footer's length, version, checksum of the rest
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// run is an open run. The store counts who uses it.
type run struct {
	number   uint64
	path     string
	data     []byte
	body     []byte // what the trailer's first checksum is of
	crc      uint32
	sections []section
	unmap    func() error
	users    int // guarded by Store.mu
}

// section is one table of a run.
type section struct {
	Spec
	stride int
	count  int
	rows   []byte
	blobs  []byte
	index  []byte // heads of rows 0, block, 2*block, ...: small enough to stay in the processor's cache
}

func runName(number uint64) string { return fmt.Sprintf("%08d.run", number) }

// openRun maps a run and checks its footer. The rows are only checked when they are merged: reading everything at the
// start would take as long as the state is large.
func openRun(dir string, number uint64, tables []Spec) (*run, error) {
	path := filepath.Join(dir, runName(number))
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("a run cannot be opened: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("a run cannot be opened: %w", err)
	}
	data, unmap, err := mapFile(f, int(info.Size()))
	if err != nil {
		return nil, fmt.Errorf("the run %s cannot be read: %w", path, err)
	}
	r := &run{number: number, path: path, data: data, unmap: unmap}
	if err := r.readFooter(tables); err != nil {
		return nil, errors.Join(damaged(path, err), unmap())
	}
	return r, nil
}

func damaged(path string, err error) error {
	return fmt.Errorf("the file %s is damaged: %w; "+
		"put its directory back from a backup, or remove it and build identity anew", path, err)
}

func (r *run) readFooter(tables []Spec) error {
	d, size := r.data, len(tables)*sectionSize
	if len(d) < len(runMagic)+size+trailerSize || string(d[:len(runMagic)]) != runMagic {
		return errors.New("it is too short, or not a run at all")
	}
	tail := d[len(d)-trailerSize:]
	r.crc = binary.LittleEndian.Uint32(tail)
	if int(binary.LittleEndian.Uint32(tail[4:])) != size || binary.LittleEndian.Uint32(tail[8:]) != runVersion {
		return errors.New("its end does not say what a run's end says")
	}
	r.body = d[:len(d)-trailerSize-size]
	footer := d[len(r.body):]
	if crc32.Checksum(footer[:size+trailerSize-4], castagnoli) != binary.LittleEndian.Uint32(tail[12:]) {
		return errors.New("the checksum of its footer does not match")
	}
	r.sections = make([]section, len(tables))
	for i, t := range tables {
		f := footer[i*sectionSize:]
		rows, blobs, index, count := binary.LittleEndian.Uint64(f), binary.LittleEndian.Uint64(f[8:]),
			binary.LittleEndian.Uint64(f[16:]), binary.LittleEndian.Uint64(f[24:])
		w := uint64(t.stride())
		end := index + (count+block-1)/block*8
		if blobs != rows+count*w || index < blobs || end > uint64(len(r.body)) {
			return errors.New("its footer points outside of it")
		}
		r.sections[i] = section{Spec: t, stride: int(w), count: int(count),
			rows: d[rows:blobs:blobs], blobs: d[blobs:index:index], index: d[index:end:end]}
	}
	return nil
}

// check reads the whole run and compares its checksum.
func (r *run) check() error {
	if crc32.Checksum(r.body, castagnoli) != r.crc {
		return damaged(r.path, errors.New("the checksum of its entries does not match"))
	}
	return nil
}

func (s *section) key(i int) []byte { return s.rows[i*s.stride:][:s.Key] }

func (s *section) head(blk int) uint64 { return binary.LittleEndian.Uint64(s.index[blk*8:]) }

// seek gives the first row at or after from whose key is not below the prefix. It looks nearby first, then further
// and further: many seeks in ascending order cost little each.
func (s *section) seek(p *span, from int) int {
	for step := 1; step <= block; step *= 2 {
		i := from + step - 1
		if i >= s.count {
			return s.narrow(p, from, s.count)
		}
		if key := s.key(i); !p.above(key, head(key)) {
			return s.narrow(p, from, i)
		}
		from = i + 1
	}
	return s.leap(p, from)
}

// leap is seek by the index: from block to block, and then within one.
func (s *section) leap(p *span, from int) int {
	first, blocks := from/block, len(s.index)/8
	step := 1
	for first+step < blocks && s.head(first+step) < p.head {
		step *= 2
	}
	a, end := first+step/2, min(first+step, blocks) // the first block whose head is not below lies in [a, end]
	for a < end {
		mid := int(uint(a+end) >> 1)
		if s.head(mid) < p.head {
			a = mid + 1
		} else {
			end = mid
		}
	}
	b := a // keys longer than a head may share it over many blocks
	if len(p.prefix) > 8 {
		for step = 1; b < blocks && s.head(b) == p.head; step *= 2 {
			b = min(b+step, blocks)
		}
	}
	return s.narrow(p, max(from, (a-1)*block), min(b*block, s.count))
}

// narrow finds the first row of [lo, hi) that is not below the prefix, or hi.
func (s *section) narrow(p *span, lo, hi int) int {
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if key := s.key(mid); p.above(key, head(key)) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// get finds the row with this very key.
func (s *section) get(p *span) (row []byte, ok bool) {
	i := s.leap(p, 0)
	if i == s.count || !bytes.Equal(s.key(i), p.prefix) {
		return nil, false
	}
	return s.rows[i*s.stride:][:s.stride], true
}
