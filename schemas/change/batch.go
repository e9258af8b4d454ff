package change

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// Batch is the changes of one dataset that travel together. Its Arrow record has the columns
//
//	_op uint8, _key utf8, _row int64, _time timestamp[us, UTC], _problem utf8?, _raw utf8?, _origin uint64?
//
// and then one nullable utf8 column for each source column, named as the source names it.
type Batch struct {
	Source     string
	Dataset    string
	Department string
	Unit       string   // what the rows were read from, for people: a file's name, a table
	First      Position // of the first change
	Last       Position // of the last change: where a connector resumes (I2)
	Drift      []Drift  // how the columns differ from those that were accepted, where the contract does not just let that pass
	Record     arrow.Record

	ops     *array.Uint8
	keys    *array.String
	rows    *array.Int64
	times   *array.Timestamp
	problem *array.String
	raw     *array.String
	origin  *array.Uint64
}

const fixedColumns = 7

var fixedFields = []arrow.Field{
	{Name: "_op", Type: arrow.PrimitiveTypes.Uint8},
	{Name: "_key", Type: arrow.BinaryTypes.String},
	{Name: "_row", Type: arrow.PrimitiveTypes.Int64},
	{Name: "_time", Type: arrow.FixedWidthTypes.Timestamp_us, Nullable: true},
	{Name: "_problem", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "_raw", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "_origin", Type: arrow.PrimitiveTypes.Uint64, Nullable: true},
}

// Len is the number of changes.
func (b *Batch) Len() int { return int(b.Record.NumRows()) }

// Columns are the source's own column names.
func (b *Batch) Columns() []string {
	fields := b.Record.Schema().Fields()[fixedColumns:]
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	return names
}

// Values is the i-th source column.
func (b *Batch) Values(i int) *array.String { return b.Record.Column(fixedColumns + i).(*array.String) }

func (b *Batch) Op(i int) Op      { return Op(b.ops.Value(i)) }
func (b *Batch) Key(i int) string { return b.keys.Value(i) }
func (b *Batch) Row(i int) int64  { return b.rows.Value(i) }

// Time is when the source says the change happened; zero when it does not say.
func (b *Batch) Time(i int) time.Time {
	if b.times.IsNull(i) {
		return time.Time{}
	}
	return time.UnixMicro(int64(b.times.Value(i))).UTC()
}

// Problem and Raw are set for a Malformed change only.
func (b *Batch) Problem(i int) string { return orEmpty(b.problem, i) }
func (b *Batch) Raw(i int) string     { return orEmpty(b.raw, i) }

// Retried tells whether any change in the batch brings the version along that it first had.
func (b *Batch) Retried() bool { return b.origin.NullN() < b.Len() }

// Version is the version of the i-th change when the batch stands at the given stream sequence. A change that
// comes back from quarantine keeps the version it first had, so that it never overtakes a later one.
func (b *Batch) Version(sequence uint64, i int) uint64 {
	if b.origin.IsValid(i) {
		return b.origin.Value(i)
	}
	return Version(sequence, i)
}

func orEmpty(a *array.String, i int) string {
	if a.IsNull(i) {
		return ""
	}
	return a.Value(i)
}

func (b *Batch) bind() error {
	if int(b.Record.NumCols()) < fixedColumns {
		return fmt.Errorf("a change batch has %d columns, at least %d are needed", b.Record.NumCols(), fixedColumns)
	}
	for i, want := range fixedFields {
		if got := b.Record.Schema().Field(i); got.Name != want.Name || !arrow.TypeEqual(got.Type, want.Type) {
			return fmt.Errorf("column %d of a change batch is %s %s, not %s %s", i, got.Name, got.Type, want.Name, want.Type)
		}
	}
	for i := fixedColumns; i < int(b.Record.NumCols()); i++ {
		if _, ok := b.Record.Column(i).(*array.String); !ok {
			return fmt.Errorf("source column %q of a change batch is %s, not utf8", b.Record.ColumnName(i), b.Record.Column(i).DataType())
		}
	}
	b.ops = b.Record.Column(0).(*array.Uint8)
	b.keys = b.Record.Column(1).(*array.String)
	b.rows = b.Record.Column(2).(*array.Int64)
	b.times = b.Record.Column(3).(*array.Timestamp)
	b.problem = b.Record.Column(4).(*array.String)
	b.raw = b.Record.Column(5).(*array.String)
	b.origin = b.Record.Column(6).(*array.Uint64)
	return nil
}

// Encode writes the batch as one Arrow IPC stream: schema, one record batch, end.
func (b *Batch) Encode() ([]byte, error) {
	var buf bytes.Buffer
	buf.Grow(b.size())
	w := ipc.NewWriter(&buf, ipc.WithSchema(b.Record.Schema()))
	if err := w.Write(b.Record); err != nil {
		return nil, fmt.Errorf("encode a change batch of %s: %w", b.Dataset, err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("encode a change batch of %s: %w", b.Dataset, err)
	}
	return compressed(buf.Bytes()), nil
}

// size is the bytes of the batch's buffers and a little for what stands around them.
func (b *Batch) size() int {
	size := 4 << 10
	for _, column := range b.Record.Columns() {
		size += 1 << 8
		for _, buffer := range column.Data().Buffers() {
			if buffer != nil {
				size += buffer.Len() + 64
			}
		}
	}
	return size
}

// Decode reads what Encode wrote.
func Decode(message []byte) (*Batch, error) {
	data, err := expanded(message)
	if err != nil {
		return nil, fmt.Errorf("decode a change batch: %w", err)
	}
	if err := proven(data); err != nil {
		return nil, fmt.Errorf("decode a change batch: %w", err)
	}
	r, err := ipc.NewReader(bytes.NewReader(data), ipc.WithAllocator(newAllowance(len(data))))
	if err != nil {
		return nil, fmt.Errorf("decode a change batch: %w", err)
	}
	defer r.Release()
	if !r.Next() {
		if err := r.Err(); err != nil {
			return nil, fmt.Errorf("decode a change batch: %w", err)
		}
		return nil, errors.New("decode a change batch: no record batch in it")
	}
	rec := r.Record()
	rec.Retain()
	meta := r.Schema().Metadata()
	get := func(key string) string {
		v, _ := meta.GetValue(key)
		return v
	}
	b := &Batch{
		Source: get("source"), Dataset: get("dataset"), Department: get("department"), Unit: get("unit"),
		First: Position(get("first")), Last: Position(get("last")), Record: rec,
	}
	if text := get("drift"); text != "" {
		if err := json.Unmarshal([]byte(text), &b.Drift); err != nil {
			rec.Release()
			return nil, errors.New("decode a change batch: what it says of drift is damaged")
		}
	}
	if err := b.bind(); err != nil {
		rec.Release()
		return nil, err
	}
	if err := sound(rec); err != nil {
		rec.Release()
		return nil, fmt.Errorf("decode a change batch: %w", err)
	}
	return b, nil
}

// Builder packs changes that have the same columns into batches.
type Builder struct {
	Source, Dataset, Department, Unit string
	Drift                             []Drift // of the batches that are built from now on

	columns []string
	fields  []arrow.Field
	rb      *array.RecordBuilder
	rows    int
	bytes   int
	first   Position
	last    Position
	values  []*array.StringBuilder
}

// NewBuilder starts a builder for rows with the given source columns.
func NewBuilder(source, department, dataset, unit string, columns []string) *Builder {
	fields := append([]arrow.Field(nil), fixedFields...)
	for _, c := range columns {
		fields = append(fields, arrow.Field{Name: c, Type: arrow.BinaryTypes.String, Nullable: true})
	}
	b := &Builder{
		Source: source, Department: department, Dataset: dataset, Unit: unit, columns: columns, fields: fields,
		rb: array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(fields, nil)),
	}
	for i := range columns {
		b.values = append(b.values, b.rb.Field(fixedColumns+i).(*array.StringBuilder))
	}
	return b
}

// NewBuilderLike starts a builder for some of a batch's changes: what is said of the batch goes with them.
func NewBuilderLike(b *Batch) *Builder {
	like := NewBuilder(b.Source, b.Department, b.Dataset, b.Unit, b.Columns())
	like.Drift = b.Drift
	return like
}

// Append adds one change. Values beyond its own count are NULL.
func (b *Builder) Append(c Change) { b.append(c, 0, false) }

// AppendFrom adds a change that already had a version (it comes back from quarantine).
func (b *Builder) AppendFrom(c Change, origin uint64) { b.append(c, origin, true) }

func (b *Builder) append(c Change, origin uint64, hasOrigin bool) {
	if b.rows == 0 {
		b.first = c.Position
	}
	b.last = c.Position
	b.rows++
	b.bytes += b.SizeOf(c)
	b.rb.Field(0).(*array.Uint8Builder).Append(uint8(c.Op))
	b.rb.Field(1).(*array.StringBuilder).Append(c.Key)
	b.rb.Field(2).(*array.Int64Builder).Append(c.Row)
	times := b.rb.Field(3).(*array.TimestampBuilder)
	if c.Time.IsZero() {
		times.AppendNull()
	} else {
		times.Append(arrow.Timestamp(c.Time.UnixMicro()))
	}
	problem, raw := b.rb.Field(4).(*array.StringBuilder), b.rb.Field(5).(*array.StringBuilder)
	if c.Op == Malformed {
		problem.Append(c.Problem)
		raw.Append(c.Raw)
	} else {
		problem.AppendNull()
		raw.AppendNull()
	}
	if o := b.rb.Field(6).(*array.Uint64Builder); hasOrigin {
		o.Append(origin)
	} else {
		o.AppendNull()
	}
	for i, vb := range b.values {
		if i >= len(c.Values) || (i < len(c.Null) && c.Null[i]) {
			vb.AppendNull()
			continue
		}
		vb.Append(c.Values[i])
	}
}

// SizeOf is what a change adds to Bytes. An absent value takes its place in the column too: of hundreds of columns
// that are mostly empty, the places are most of the message.
func (b *Builder) SizeOf(c Change) int {
	const fixed, place = 48, 5 // the seven columns of every change; offset and validity of one value
	size := fixed + len(c.Key) + len(c.Raw) + len(c.Problem) + place*len(b.columns)
	for i := range min(len(c.Values), len(b.columns)) {
		size += len(c.Values[i])
	}
	return size
}

// Rows and Bytes tell how full the builder is; Columns is what it was made with.
func (b *Builder) Rows() int         { return b.rows }
func (b *Builder) Bytes() int        { return b.bytes }
func (b *Builder) Columns() []string { return b.columns }
func (b *Builder) Last() Position    { return b.last }

// Build takes what was appended as a batch and leaves the builder empty for the next.
func (b *Builder) Build() *Batch {
	names := []string{"source", "dataset", "department", "unit", "first", "last", "rows"}
	texts := []string{b.Source, b.Dataset, b.Department, b.Unit, string(b.first), string(b.last), strconv.Itoa(b.rows)}
	if len(b.Drift) > 0 {
		drift, err := json.Marshal(b.Drift)
		if err != nil {
			panic(err) // it holds nothing but texts
		}
		names, texts = append(names, "drift"), append(texts, string(drift))
	}
	meta := arrow.NewMetadata(names, texts)
	bare := b.rb.NewRecord()
	rec := array.NewRecord(arrow.NewSchema(b.fields, &meta), bare.Columns(), bare.NumRows())
	bare.Release()
	batch := &Batch{
		Source: b.Source, Dataset: b.Dataset, Department: b.Department, Unit: b.Unit,
		First: b.first, Last: b.last, Drift: b.Drift, Record: rec,
	}
	if err := batch.bind(); err != nil {
		panic("change: the builder's own schema does not bind: " + err.Error()) // the schema is fixed above
	}
	b.reserve(bare.NumRows(), batch.Record)
	b.rows, b.bytes, b.first, b.last = 0, 0, "", ""
	return batch
}

// reserve makes room for a batch like the last one: growing by doubling would copy every byte once more.
func (b *Builder) reserve(rows int64, like arrow.Record) {
	b.rb.Reserve(int(rows))
	for i := range like.NumCols() {
		if column, ok := like.Column(int(i)).(*array.String); ok {
			b.rb.Field(int(i)).(*array.StringBuilder).ReserveData(len(column.ValueBytes()))
		}
	}
}

// Release frees the builder's buffers.
func (b *Builder) Release() { b.rb.Release() }
