package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Spec describes one table: fixed-width keys compared as bytes, fixed-width values, and, with Blob, bytes of any
// length beside each value.
type Spec struct {
	Name  string `json:"name"`
	Key   int    `json:"key"`
	Value int    `json:"value"`
	Blob  bool   `json:"blob,omitempty"`
}

// A row is key, value and a flag; in a batch and in a run, a table with blobs adds where the blob lies. In the
// journal and in memory the blob itself follows the flag.
const (
	alive = 0
	dead  = 1 // the entry says that the key is deleted

	refSize = 8 + 4 // where the blob begins, and its length
)

// flag is where a row keeps its flag: behind key and value.
func (t *Spec) flag() int { return t.Key + t.Value }

// stride is how wide a row of a batch or of a run is.
func (t *Spec) stride() int {
	if t.Blob {
		return t.flag() + 1 + refSize
	}
	return t.flag() + 1
}

// blobAt finds the blob of a row that says where it lies.
func (t *Spec) blobAt(row, blobs []byte) []byte {
	if !t.Blob {
		return nil
	}
	ref := row[t.flag()+1:]
	from := binary.LittleEndian.Uint64(ref)
	size := uint64(binary.LittleEndian.Uint32(ref[8:]))
	if size == 0 {
		return nil
	}
	return blobs[from : from+size : from+size]
}

func appendRef(row []byte, from uint64, size int) []byte {
	row = binary.LittleEndian.AppendUint64(row, from)
	return binary.LittleEndian.AppendUint32(row, uint32(size))
}

func checkSpecs(tables []Spec) error {
	if len(tables) > math.MaxUint16 {
		return errors.New("there are more tables than the journal can number")
	}
	for _, t := range tables {
		if t.Key < 1 || t.Value < 0 {
			return fmt.Errorf("the table %q cannot be: a key has 1 byte or more, and a value 0 or more", t.Name)
		}
	}
	return nil
}

// head is the beginning of a key as a number that sorts like the key. Most comparisons end with it.
func head(key []byte) uint64 {
	if len(key) >= 8 {
		return binary.BigEndian.Uint64(key)
	}
	var h uint64
	for i, c := range key {
		h |= uint64(c) << (56 - 8*i)
	}
	return h
}

// span is all keys that begin with a prefix. The empty prefix spans everything.
type span struct {
	prefix []byte
	head   uint64
	mask   uint64 // which bits of a key's head the prefix fixes
}

func newSpan(prefix []byte) span {
	return span{prefix: prefix, head: head(prefix), mask: ^uint64(0) << (64 - 8*min(8, len(prefix)))}
}

// above tells whether the prefix sorts after the key, whose head is h.
func (p *span) above(key []byte, h uint64) bool {
	if h != p.head || len(p.prefix) <= 8 {
		return h < p.head
	}
	return bytes.Compare(key[8:], p.prefix[8:]) < 0
}

// holds tells whether the key, whose head is h, begins with the prefix.
func (p *span) holds(key []byte, h uint64) bool {
	return h&p.mask == p.head && (len(p.prefix) <= 8 || bytes.HasPrefix(key[8:], p.prefix[8:]))
}
