package warehouse

import (
	"errors"
	"fmt"
	"io"

	"github.com/ClickHouse/ch-go/proto"
)

// carrier holds one block on its way between the server and a file (I10). The columns are those of the first block.
type carrier struct {
	columns []carried
	buffer  proto.Buffer
}

type carried struct {
	name string
	data proto.Column
}

var _ proto.Result = (*carrier)(nil)

// plainFormat is the protocol version of the format Native in files: the oldest, without anything optional.
const plainFormat = 0

// DecodeResult implements proto.Result.
func (c *carrier) DecodeResult(r *proto.Reader, version int, b proto.Block) error {
	first := c.columns == nil
	if !first && b.Columns != len(c.columns) {
		return fmt.Errorf("a block has %d columns, those before it %d", b.Columns, len(c.columns))
	}
	for i := range b.Columns {
		name, err := r.Str()
		if err != nil {
			return err
		}
		kind, err := r.Str()
		if err != nil {
			return err
		}
		if proto.FeatureCustomSerialization.In(version) {
			if special, err := r.Bool(); err != nil || special {
				return errors.Join(err, fmt.Errorf("column %s comes in a form of its own", name))
			}
		}
		if first {
			data, err := columnOf(proto.ColumnType(kind))
			if err != nil {
				return fmt.Errorf("column %s: %w", name, err)
			}
			c.columns = append(c.columns, carried{name, data})
		}
		own := c.columns[i]
		if own.name != name || own.data.Type().Conflicts(proto.ColumnType(kind)) {
			return fmt.Errorf("column %s of type %s stands where %s of type %s was", name, kind, own.name, own.data.Type())
		}
		own.data.Reset()
		if b.Rows == 0 {
			continue
		}
		if s, ok := own.data.(proto.StateDecoder); ok {
			if err := s.DecodeState(r); err != nil {
				return fmt.Errorf("column %s: %w", name, err)
			}
		}
		if err := own.data.DecodeColumn(r, b.Rows); err != nil {
			return fmt.Errorf("column %s: %w", name, err)
		}
	}
	return nil
}

// columnOf holds values of a type.
func columnOf(t proto.ColumnType) (proto.Column, error) {
	if t == "Map(String, UInt64)" { // the library knows texts alone by itself
		return proto.NewMap(new(proto.ColStr), new(proto.ColUInt64)), nil
	}
	var c proto.ColAuto
	if err := c.Infer(t); err != nil {
		return nil, fmt.Errorf("the type %s cannot be copied yet: %w", t, err)
	}
	return c.Data, nil
}

// input is the block as it is sent.
func (c *carrier) input() []proto.InputColumn {
	input := make([]proto.InputColumn, len(c.columns))
	for i, col := range c.columns {
		input[i] = proto.InputColumn{Name: col.name, Data: col.data}
	}
	return input
}

// write appends the block to a file.
func (c *carrier) write(w io.Writer, rows int) error {
	c.buffer.Reset()
	input := c.input()
	if err := (proto.Block{Columns: len(input), Rows: rows}).EncodeRawBlock(&c.buffer, plainFormat, input); err != nil {
		return err
	}
	_, err := w.Write(c.buffer.Buf)
	return err
}

// read takes the next block from a file; 0 rows and io.EOF at its end.
func (c *carrier) read(r *proto.Reader) (rows int, err error) {
	var b proto.Block
	if err := b.DecodeRawBlock(r, plainFormat, c); err != nil {
		return 0, err
	}
	return b.Rows, nil
}
