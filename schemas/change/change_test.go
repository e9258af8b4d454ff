package change_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/klauspost/compress/s2"
	"pgregory.net/rapid"

	"github.com/shirecounty/shire/schemas/change"
)

// expected is a change and the version it brings along, if any.
type expected struct {
	change.Change
	origin  uint64
	retried bool
}

func build(columns []string, rows []expected) *change.Batch {
	b := change.NewBuilder("hall", "service_hall", "cases", "十一月.csv", columns)
	defer b.Release()
	for _, r := range rows {
		if r.retried {
			b.AppendFrom(r.Change, r.origin)
		} else {
			b.Append(r.Change)
		}
	}
	return b.Build()
}

func roundTrip(t testing.TB, b *change.Batch) *change.Batch {
	t.Helper()
	data, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	out, err := change.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

type fataler interface {
	Helper()
	Fatalf(string, ...any)
}

// same compares a batch with the changes that it was built from.
func same(t fataler, b *change.Batch, columns []string, rows []expected) {
	t.Helper()
	if b.Len() != len(rows) || strings.Join(b.Columns(), "|") != strings.Join(columns, "|") {
		t.Fatalf("%d changes with columns %q, want %d with %q", b.Len(), b.Columns(), len(rows), columns)
	}
	const sequence = 9
	for i, want := range rows {
		if b.Op(i) != want.Op || b.Key(i) != want.Key || b.Row(i) != want.Row || !b.Time(i).Equal(want.Time) {
			t.Fatalf("change %d: %v %q %d %v, want %v %q %d %v", i, b.Op(i), b.Key(i), b.Row(i), b.Time(i), want.Op, want.Key, want.Row, want.Time)
		}
		version := change.Version(sequence, i)
		if want.retried {
			version = want.origin
		}
		if got := b.Version(sequence, i); got != version {
			t.Fatalf("change %d: version %d, want %d", i, got, version)
		}
		problem, raw := "", ""
		if want.Op == change.Malformed {
			problem, raw = want.Problem, want.Raw
		}
		if b.Problem(i) != problem || b.Raw(i) != raw {
			t.Fatalf("change %d: problem %q, raw %q", i, b.Problem(i), b.Raw(i))
		}
		for k := range columns {
			col := b.Values(k)
			null := k >= len(want.Values) || k < len(want.Null) && want.Null[k]
			if col.IsNull(i) != null || !null && col.Value(i) != want.Values[k] {
				t.Fatalf("change %d, column %d: null %v %q, want null %v %q", i, k, col.IsNull(i), col.Value(i), null, want.Values)
			}
		}
	}
}

func TestRoundTripKeepsEveryChange(t *testing.T) {
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "𠮷野家", "\U0001F600", "a\x1fb", "\x00", "无", strings.Repeat("字", 4000)}))
	rapid.Check(t, func(t *rapid.T) {
		columns := rapid.SliceOfN(text, 0, 5).Draw(t, "columns")
		rows := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) expected {
			e := expected{Change: change.Change{
				Op: change.Op(rapid.IntRange(1, 5).Draw(t, "op")), Key: text.Draw(t, "key"), Row: rapid.Int64().Draw(t, "row"),
				Position: change.Position(text.Draw(t, "position")), Problem: text.Draw(t, "problem"), Raw: text.Draw(t, "raw"),
			}, retried: rapid.Bool().Draw(t, "retried"), origin: rapid.Uint64().Draw(t, "origin")}
			if rapid.Bool().Draw(t, "timed") {
				e.Time = time.UnixMicro(rapid.Int64Range(-1<<50, 1<<50).Draw(t, "time")).UTC()
			}
			e.Values = rapid.SliceOfN(text, 0, len(columns)).Draw(t, "values")
			if rapid.Bool().Draw(t, "some null") {
				e.Null = rapid.SliceOfN(rapid.Bool(), 0, len(e.Values)).Draw(t, "null")
			}
			return e
		}), 1, 20).Draw(t, "rows")
		b := build(columns, rows)
		data, err := b.Encode()
		if err != nil {
			t.Fatal(err)
		}
		out, err := change.Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		same(t, b, columns, rows)
		same(t, out, columns, rows)
		if out.Source != "hall" || out.Department != "service_hall" || out.Dataset != "cases" || out.Unit != "十一月.csv" ||
			out.First != rows[0].Position || out.Last != rows[len(rows)-1].Position {
			t.Fatalf("what the batch says of itself: %+v", out)
		}
		retried := false
		for _, r := range rows {
			retried = retried || r.retried
		}
		if out.Retried() != retried {
			t.Fatalf("Retried is %v", out.Retried())
		}
	})
}

func TestAbsentIsNotEmpty(t *testing.T) {
	rows := []expected{{Change: change.Change{Op: change.Create, Key: "1", Values: []string{"", "", "x"}, Null: []bool{true, false, false}}}}
	b := roundTrip(t, build([]string{"a", "b", "c"}, rows))
	if !b.Values(0).IsNull(0) || b.Values(1).IsNull(0) || b.Values(1).Value(0) != "" {
		t.Fatal("NULL and the empty text are taken for the same")
	}
}

func TestLargeValue(t *testing.T) {
	large := strings.Repeat("𠮷", 1<<18) // 1 MiB
	b := roundTrip(t, build([]string{"a"}, []expected{{Change: change.Change{Op: change.Create, Key: "1", Values: []string{large}}}}))
	if b.Values(0).Value(0) != large {
		t.Fatal("the value changed on its way")
	}
}

// The packing stops by Bytes: it must not say less than the message will have, whatever the rows look like.
func TestBytesBoundTheMessage(t *testing.T) {
	columns := make([]string, 400)
	for i := range columns {
		columns[i] = strings.Repeat("c", i%7+1)
	}
	for name, c := range map[string]change.Change{
		"mostly NULL": {Op: change.Create, Key: "1", Values: []string{"x"}},
		"short text":  {Op: change.Create, Key: "1", Values: columns},
		"malformed":   {Op: change.Malformed, Raw: strings.Repeat("r", 5000), Problem: strings.Repeat("p", 900)},
	} {
		t.Run(name, func(t *testing.T) {
			b := change.NewBuilder("s", "d", "x", "u", columns)
			defer b.Release()
			const rows = 2000
			for range rows {
				b.Append(c)
			}
			if want := rows * b.SizeOf(c); b.Bytes() != want {
				t.Fatalf("Bytes is %d, %d changes of SizeOf are %d", b.Bytes(), rows, want)
			}
			claimed := b.Bytes()
			data, err := b.Build().Encode()
			if err != nil {
				t.Fatal(err)
			}
			const schema = 400 * 400 // the names and padding of 400 columns
			if len(data) > claimed+schema {
				t.Fatalf("the message has %d bytes, the builder spoke of %d", len(data), claimed)
			}
			if b.Bytes() != 0 || b.Rows() != 0 || b.Last() != "" {
				t.Fatal("the builder is not empty after Build")
			}
		})
	}
}

func TestVersions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sequence := rapid.Uint64Range(0, 1<<47).Draw(t, "sequence")
		row := rapid.IntRange(0, change.MaxRows-1).Draw(t, "row")
		v := change.Version(sequence, row)
		if change.SequenceOf(v) != sequence || change.RowOf(v) != row {
			t.Fatalf("version %d is taken apart into %d and %d", v, change.SequenceOf(v), change.RowOf(v))
		}
		if change.Version(sequence+1, 0) <= v || row > 0 && change.Version(sequence, row-1) >= v {
			t.Fatal("versions do not ascend")
		}
	})
}

func TestOpsHaveNames(t *testing.T) {
	for op, want := range map[change.Op]string{change.Snapshot: "snapshot", change.Create: "create", change.Update: "update",
		change.Delete: "delete", change.Malformed: "malformed", 77: "unknown"} {
		if op.String() != want {
			t.Errorf("%d is called %q, want %q", op, op, want)
		}
	}
}

func TestDecodeRefusesTooManyRows(t *testing.T) {
	rows := make([]expected, change.MaxRows)
	for i := range rows {
		rows[i].Op = change.Create
	}
	roundTrip(t, build(nil, rows)) // as many as fit
	data, err := build(nil, append(rows, rows[0])).Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := change.Decode(data); err == nil || !strings.Contains(err.Error(), "65537 changes") {
		t.Fatalf("one more than a version can count: %v", err)
	}
}

// damaged is a batch of which somebody changed the bytes.
func damaged(t testing.TB) []byte {
	t.Helper()
	data, err := build([]string{"a"}, []expected{
		{Change: change.Change{Op: change.Create, Key: "one", Values: []string{"aaaa"}}},
		{Change: change.Change{Op: change.Update, Key: "two", Values: []string{"bbbb"}}},
	}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	plain, err := s2.Decode(nil, data) // Decode reads an Arrow stream that is not compressed, too
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// A department's own publisher may leave the compression out; nobody may send a little that expands to very much.
func TestDecodeExpands(t *testing.T) {
	if b, err := change.Decode(damaged(t)); err != nil || b.Len() != 2 {
		t.Errorf("a plain stream: %v", err)
	}
	if _, err := change.Decode(s2.EncodeSnappy(nil, make([]byte, 64<<20))); err == nil || !strings.Contains(err.Error(), "expands") {
		t.Errorf("64 MiB of zeroes in %v", err)
	}
	whole := s2.EncodeSnappy(nil, damaged(t))
	if _, err := change.Decode(whole[:len(whole)-3]); err == nil {
		t.Error("a cut block was decoded")
	}
}

func TestDecodeRefusesWhatItCannotReach(t *testing.T) {
	offsets := func(data []byte) int { // of the column a: 0, 4, 8
		at := bytes.Index(data, []byte{0, 0, 0, 0, 4, 0, 0, 0, 8, 0, 0, 0})
		if at < 0 {
			t.Fatal("the offsets were not found")
		}
		return at
	}
	for name, spoil := range map[string]func([]byte) []byte{
		"nothing":           func([]byte) []byte { return nil },
		"text":              func([]byte) []byte { return []byte(`{"no": "arrow"}`) },
		"cut":               func(d []byte) []byte { return d[:len(d)/2] },
		"schema alone":      func(d []byte) []byte { return d[:8+binary.LittleEndian.Uint32(d[4:])] },
		"offset beyond":     func(d []byte) []byte { binary.LittleEndian.PutUint32(d[offsets(d)+8:], 1<<20); return d },
		"offsets descend":   func(d []byte) []byte { binary.LittleEndian.PutUint32(d[offsets(d)+4:], 9); return d },
		"negative offset":   func(d []byte) []byte { binary.LittleEndian.PutUint32(d[offsets(d):], 0xFFFFFFFF); return d },
		"metadata of 2 GiB": func(d []byte) []byte { binary.LittleEndian.PutUint32(d[4:], 0x7FFFFFFF); return d },
	} {
		t.Run(name, func(t *testing.T) {
			if b, err := change.Decode(spoil(damaged(t))); err == nil {
				t.Fatalf("decoded as %d changes", b.Len())
			} else if strings.Contains(err.Error(), "%!") {
				t.Fatalf("the sentence is broken: %v", err)
			}
		})
	}
}

func TestDecodeRefusesOtherColumns(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "_op", Type: arrow.PrimitiveTypes.Int64}}, nil)
	rb := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	rb.Field(0).(*array.Int64Builder).Append(1)
	var buf bytes.Buffer
	w := ipc.NewWriter(&buf, ipc.WithSchema(schema))
	if err := w.Write(rb.NewRecord()); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := change.Decode(buf.Bytes()); err == nil {
		t.Fatal("a record that is no change batch was taken for one")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(damaged(f))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0})
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := change.Decode(data)
		if err != nil {
			return
		}
		// What was decoded can be read to the last value, and be packed again, as quarantine does.
		again := change.NewBuilder(b.Source, b.Department, b.Dataset, b.Unit, b.Columns())
		defer again.Release()
		for i := range b.Len() {
			c := change.Change{Op: b.Op(i), Key: b.Key(i), Row: b.Row(i), Time: b.Time(i), Problem: b.Problem(i), Raw: b.Raw(i)}
			for k := range b.Columns() {
				c.Values, c.Null = append(c.Values, b.Values(k).Value(i)), append(c.Null, b.Values(k).IsNull(i))
			}
			again.AppendFrom(c, b.Version(1, i))
		}
		packed, err := again.Build().Encode()
		if err != nil {
			t.Fatalf("decoded and not encoded again: %v", err)
		}
		if second, err := change.Decode(packed); err != nil || second.Len() != b.Len() {
			t.Fatalf("decoded, encoded and not decoded again: %v", err)
		}
	})
}
