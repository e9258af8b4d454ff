package columnar_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/shirecounty/shire/pipeline/columnar"
	"github.com/shirecounty/shire/pipeline/normalise"
	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

func TestFullSaysWhy(t *testing.T) {
	limits := columnar.Limits{Rows: 10, Bytes: 100, Age: time.Second}
	for _, c := range []struct {
		rows, bytes int
		age         time.Duration
		want        columnar.Reason
		full        bool
	}{
		{9, 99, time.Second - 1, "", false}, {10, 99, 0, columnar.ByRows, true}, {11, 0, 0, columnar.ByRows, true}, {1, 100, 0, columnar.ByBytes, true},
		{1, 1, time.Second, columnar.ByAge, true}, {10, 100, time.Hour, columnar.ByRows, true}, {1, 100, time.Hour, columnar.ByBytes, true},
		{0, 0, time.Hour, columnar.ByAge, true}, // messages without changes are to be finished, too
	} {
		if got, full := limits.Full(c.rows, c.bytes, c.age); got != c.want || full != c.full {
			t.Errorf("%+v: %q %v", c, got, full)
		}
	}
}

// drawn is rows of a table as normalise and identity would leave them, with anything in them.
func drawn(t *rapid.T, table *canonical.Table, sequence uint64) *normalise.Rows {
	n := rapid.IntRange(1, 6).Draw(t, "rows")
	b := change.NewBuilder("source", "hall", "data", "u", nil)
	defer b.Release()
	for i := range n {
		c := change.Change{Op: change.Create, Key: fmt.Sprint(i)}
		if rapid.Bool().Draw(t, "timed") {
			c.Time = time.UnixMicro(rapid.Int64Range(0, 1<<50).Draw(t, "time"))
		}
		if rapid.Bool().Draw(t, "retried") {
			b.AppendFrom(c, rapid.Uint64().Draw(t, "origin"))
		} else {
			b.Append(c)
		}
	}
	ids := func(label string) (out []pseudonym.ID) {
		for range n {
			var id pseudonym.ID
			id[0], id[15] = rapid.Byte().Draw(t, label), rapid.Byte().Draw(t, label)
			out = append(out, id)
		}
		return out
	}
	r := &normalise.Rows{Table: table, Batch: b.Build(), Sequence: sequence, Arrived: time.UnixMicro(rapid.Int64Range(0, 1<<52).Draw(t, "arrived")), Role: "role", RecordID: ids("record"), PersonRecord: ids("person record"), PersonID: ids("person"),
		OrganisationRecord: ids("organisation record"), OrganisationID: ids("organisation"), LinkRule: make([]string, n), Deleted: make([]bool, n)}
	for i := range n {
		r.LinkRule[i], r.Deleted[i] = rapid.SampledFrom([]string{"alone", "exact_number"}).Draw(t, "rule"), rapid.Bool().Draw(t, "deleted")
		if rapid.Bool().Draw(t, "emitted") {
			r.Source = append(r.Source, int32(i))
		}
	}
	for _, col := range table.Columns {
		c := &normalise.Column{}
		switch {
		case col.Origin == canonical.Assigned:
			c = nil
		case col.Type.Nullable():
			for range n {
				c.Valid = append(c.Valid, rapid.Bool().Draw(t, "valid"))
				c.Ints = append(c.Ints, rapid.Int64Range(-25567, 120529).Draw(t, "int"))
			}
		case rapid.Bool().Draw(t, "constant"):
			c.Const = rapid.String().Draw(t, "const")
		default:
			for range n {
				c.Text = append(c.Text, rapid.String().Draw(t, "text"))
			}
		}
		r.Columns = append(r.Columns, c)
	}
	return r
}

// reference is a cell of a table, looked up the slow way.
func reference(r *normalise.Rows, col canonical.Column, at, i int) string {
	id := func(ids []pseudonym.ID) string { return uuid.UUID(ids[i]).String() }
	switch col.Name {
	case "record_id":
		return id(r.RecordID)
	case "source":
		return "source"
	case "dataset":
		return "data"
	case "source_department":
		return "hall"
	case "source_time":
		if r.Batch.Time(i).IsZero() {
			return "NULL"
		}
		return fmt.Sprint(r.Batch.Time(i).UnixMicro())
	case "received_at":
		return fmt.Sprint(r.Arrived.UnixMicro())
	case "version":
		return fmt.Sprint(r.Batch.Version(r.Sequence, i))
	case "deleted":
		if r.Deleted[i] {
			return "1"
		}
		return "0"
	}
	if col.Origin == canonical.Assigned {
		switch col.Name {
		case "person_record":
			return id(r.PersonRecord)
		case "person_id":
			return id(r.PersonID)
		case "organisation_record":
			return id(r.OrganisationRecord)
		case "organisation_id":
			return id(r.OrganisationID)
		case "link_rule":
			return r.LinkRule[i]
		case "role":
			return r.Role
		}
	}
	c := r.Columns[at]
	switch {
	case c.Valid != nil && c.Valid[i]:
		return fmt.Sprint(c.Ints[i])
	case c.Valid != nil:
		return "NULL"
	case c.Text != nil:
		return c.Text[i]
	}
	return c.Const
}

func cell(t *rapid.T, table columnar.Table, col, i int) string {
	values := table.Record.Column(col)
	if values.IsNull(i) {
		return "NULL"
	}
	switch a := values.(type) {
	case *array.String:
		return a.Value(i)
	case *array.FixedSizeBinary:
		return uuid.UUID(a.Value(i)).String()
	case *array.Date32:
		return fmt.Sprint(int64(a.Value(i)))
	case *array.Timestamp:
		return fmt.Sprint(int64(a.Value(i)))
	case *array.Int64:
		return fmt.Sprint(a.Value(i))
	case *array.Uint64:
		return fmt.Sprint(a.Value(i))
	case *array.Uint8:
		return fmt.Sprint(a.Value(i))
	}
	t.Fatalf("column %d is %s", col, values.DataType())
	return ""
}

func TestGatherEqualsTheReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := columnar.NewGatherer()
		want := map[string][][]string{}
		var taken []*normalise.Rows
		for n := range rapid.IntRange(1, 4).Draw(t, "parts") {
			table := canonical.Tables[rapid.IntRange(0, len(canonical.Tables)-1).Draw(t, "table")]
			r := drawn(t, table, uint64(n+1))
			g.Add(r)
			if want[table.Name] == nil {
				want[table.Name] = [][]string{}
			}
			for _, i := range r.Source {
				var cells []string
				for at, col := range table.Columns {
					cells = append(cells, reference(r, col, at, int(i)))
				}
				want[table.Name] = append(want[table.Name], cells)
			}
			taken = append(taken, r)
		}
		tables := g.Finish()
		for _, r := range taken {
			r.Batch.Record.Release() // what is needed was copied
		}
		if len(tables) != len(want) {
			t.Fatalf("%d tables, want %d", len(tables), len(want))
		}
		place := -1
		for _, table := range tables {
			for i, known := range canonical.Tables {
				if known == table.Table {
					if i <= place {
						t.Fatal("the tables are not in the model's order")
					}
					place = i
				}
			}
			rows := want[table.Table.Name]
			if int(table.Record.NumRows()) != len(rows) || !table.Record.Schema().Equal(table.Table.Schema()) {
				t.Fatalf("%s has %d rows, want %d", table.Table.Name, table.Record.NumRows(), len(rows))
			}
			for i, cells := range rows {
				for c, want := range cells {
					if got := cell(t, table, c, i); got != want {
						t.Fatalf("%s.%s, row %d: %q, want %q", table.Table.Name, table.Table.Columns[c].Name, i, got, want)
					}
				}
			}
		}
	})
}

func TestSizeGrowsWithTheBatch(t *testing.T) {
	build := func(value string) *change.Batch {
		b := change.NewBuilder("s", "d", "x", "u", []string{"c"})
		defer b.Release()
		b.Append(change.Change{Op: change.Create, Values: []string{value}})
		return b.Build()
	}
	small, large := columnar.Size(build("")), columnar.Size(build(string(make([]byte, 1<<20))))
	if small <= 0 || large < small+1<<20 {
		t.Errorf("%d and %d bytes", small, large)
	}
}
