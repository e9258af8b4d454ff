package change

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// The Arrow reader believes what a message says of its own lengths. What is published to the bus may come from
// anybody who may publish, so Decode believes nothing: no message takes more memory than its own size allows, and
// no value is reached through an offset that was not looked at.

// framed refuses a length that is longer than what is left of the message, before the Arrow reader makes room for it.
type framed struct{ *bytes.Reader }

func (f *framed) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	const continuation = 0xFFFFFFFF
	// Lengths are read four bytes at a time, and nothing else is: metadata and bodies are padded to eight.
	if len(p) == 4 && n == 4 {
		if v := binary.LittleEndian.Uint32(p); v != continuation && int64(v) > int64(f.Len()) {
			return 0, errors.New("it claims to be longer than it is")
		}
	}
	return n, err
}

// allowance is an allocator that hands out a multiple of the message's size and then panics; the Arrow reader makes an
// error of the panic.
type allowance struct {
	memory.Allocator
	left int
}

func newAllowance(size int) *allowance {
	return &allowance{Allocator: memory.DefaultAllocator, left: 4*size + 64<<10}
}

func (a *allowance) take(size int) {
	if size < 0 || size > a.left {
		panic("it claims to be larger than it is")
	}
	a.left -= size
}

func (a *allowance) Allocate(size int) []byte {
	a.take(size)
	return a.Allocator.Allocate(size)
}

func (a *allowance) Reallocate(size int, b []byte) []byte {
	a.take(size)
	return a.Allocator.Reallocate(size, b)
}

// sound checks that every value of the record can be reached.
func sound(rec arrow.Record) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("its columns are damaged: %v", r)
		}
	}()
	rows := int(rec.NumRows())
	if rows > MaxRows {
		return fmt.Errorf("it has %d changes, at most %d fit in one message", rows, MaxRows)
	}
	for i, col := range rec.Columns() {
		if col.Len() != rows {
			return fmt.Errorf("column %d has %d values for %d changes", i, col.Len(), rows)
		}
		if rows == 0 {
			continue
		}
		col.IsNull(rows - 1) // panics when the bitmap is too short
		switch a := col.(type) {
		case *array.String:
			if err := soundText(a); err != nil {
				return fmt.Errorf("column %d: %w", i, err)
			}
		case *array.Uint8:
			_ = a.Value(rows - 1)
		case *array.Int64:
			_ = a.Value(rows - 1)
		case *array.Uint64:
			_ = a.Value(rows - 1)
		case *array.Timestamp:
			_ = a.Value(rows - 1)
		}
	}
	return nil
}

func soundText(a *array.String) error {
	var size int
	if values := a.Data().Buffers()[2]; values != nil {
		size = values.Len()
	}
	at := int32(0)
	for _, next := range a.ValueOffsets() {
		if next < at {
			return errors.New("its offsets do not ascend")
		}
		at = next
	}
	if int(at) > size {
		return errors.New("its offsets lead beyond its values")
	}
	return nil
}
