package change

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	flatbuffers "github.com/google/flatbuffers/go"
)

// The Arrow reader believes what a message says of its own lengths. What is published to the bus may come from
// anybody who may publish, so Decode believes nothing: no message takes more memory than its own size allows, and
// no value is reached through an offset that was not looked at.

// proven walks the frames of an Arrow stream and refuses a length that reaches beyond what is there. The Arrow reader
// makes room for as many things as a length says before it looks for them, and memory that runs out cannot be recovered.
func proven(data []byte) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("its frames are damaged")
		}
	}()
	const continuation = 0xFFFFFFFF
	for len(data) >= 8 {
		size := int(binary.LittleEndian.Uint32(data[4:]))
		if binary.LittleEndian.Uint32(data) != continuation || size > len(data)-8 {
			return errors.New("it is not an Arrow stream")
		}
		if size == 0 {
			return nil // the end
		}
		body := provenMessage(data[8 : 8+size])
		if body < 0 || body > int64(len(data)-8-size) {
			return errors.New("it claims to be longer than it is")
		}
		data = data[8+size+int(body):]
	}
	return errors.New("it has no end")
}

// Places of what Arrow's Message.fbs and Schema.fbs declare: the n-th field of a table is at 4 + 2n of its vtable.
const (
	messageKind, messageHeader, messageBody, messageNotes = 6, 8, 10, 12
	schemaFields, schemaNotes, schemaFeatures             = 6, 8, 10
	fieldDictionary, fieldChildren, fieldNotes            = 12, 14, 16
	batchNodes, batchBuffers, batchVariadic               = 6, 8, 12

	kindSchema, kindBatch = 1, 3
)

// provenMessage returns the length of the body that follows. It panics where the metadata is damaged.
func provenMessage(meta []byte) (body int64) {
	t := flatbuffers.Table{Bytes: meta, Pos: flatbuffers.GetUOffsetT(meta)}
	kind, at := t.GetByteSlot(messageKind, 0), t.Offset(messageHeader)
	if at == 0 {
		panic("no header")
	}
	header := flatbuffers.Table{Bytes: meta, Pos: t.Indirect(t.Pos + flatbuffers.UOffsetT(at))}
	vector(&t, messageNotes, 4)
	switch kind {
	case kindSchema:
		vector(&header, schemaNotes, 4)
		vector(&header, schemaFeatures, 8)
		first, n := vector(&header, schemaFields, 4)
		for i := range n {
			field := flatbuffers.Table{Bytes: meta, Pos: header.Indirect(first + flatbuffers.UOffsetT(4*i))}
			if _, children := vector(&field, fieldChildren, 4); children > 0 || field.Offset(fieldDictionary) != 0 {
				panic("nested") // a change batch has flat columns
			}
			vector(&field, fieldNotes, 4)
		}
	case kindBatch:
		vector(&header, batchNodes, 16)
		vector(&header, batchBuffers, 16)
		vector(&header, batchVariadic, 8)
	default:
		panic("neither schema nor record batch")
	}
	return t.GetInt64Slot(messageBody, 0)
}

// vector is the place and length of a table's vector; it panics unless all of its elements are there.
func vector(t *flatbuffers.Table, slot flatbuffers.VOffsetT, size int) (first flatbuffers.UOffsetT, n int) {
	at := t.Offset(slot)
	if at == 0 {
		return 0, 0
	}
	first, n = t.Vector(flatbuffers.UOffsetT(at)), t.VectorLen(flatbuffers.UOffsetT(at))
	if n < 0 || int(first) > len(t.Bytes) || n > (len(t.Bytes)-int(first))/size {
		panic("vector beyond its message")
	}
	return first, n
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
