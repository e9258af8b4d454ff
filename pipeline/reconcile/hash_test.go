package reconcile

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/shirecounty/shire/pipeline/columnar"
	"github.com/shirecounty/shire/pipeline/normalise"
	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// Both sides have the same hash of every value that a column of each type can hold, in every table.
func TestSameHashOnBothSides(t *testing.T) {
	r := newRig(t, casesContract)
	random := rand.New(rand.NewPCG(1, 2))
	day := func(text string) int64 {
		at, err := time.Parse(time.DateOnly, text)
		if err != nil {
			t.Fatal(err)
		}
		return at.Unix() / 86400
	}
	texts := []string{"", "-", "|", "3:a|b", "12:", " 首尾 ", "张三", "𠮷野家", "\x00\x01", "ascii", "'\\\n\t", strings.Repeat("长", 5000), "\xff\xfe"}
	ints := []int64{0, 1, -1, math.MaxInt64, math.MinInt64, 1234567890123}
	dates := []int64{day("1900-01-01"), day("1969-12-31"), 0, 1, day("2000-02-29"), day("2026-03-02"), day("2299-12-31")}
	micro := func(text string) int64 { return day(text) * 86400 * 1e6 }
	times := []int64{micro("1900-01-01"), micro("1970-01-01") - 1, 0, 1, micro("2026-03-02") + 123456, micro("2262-04-11") - 1}
	for _, table := range canonical.Tables {
		if table.Own {
			continue
		}
		t.Run(table.Name, func(t *testing.T) {
			const n = 60
			b := change.NewBuilder("source", "hall", r.dataset.Name, "u", nil)
			defer b.Release()
			rows := &normalise.Rows{Table: table, Sequence: 1, RecordID: make([]pseudonym.ID, n), Deleted: make([]bool, n),
				PersonRecord: make([]pseudonym.ID, n), PersonID: make([]pseudonym.ID, n), OrganisationRecord: make([]pseudonym.ID, n), OrganisationID: make([]pseudonym.ID, n), LinkRule: make([]string, n)}
			for i := range n {
				b.Append(change.Change{Op: change.Snapshot, Key: fmt.Sprint(i)})
				rows.RecordID[i] = r.hasher.ID("test/"+table.Name, fmt.Sprint(i))
				rows.Source = append(rows.Source, int32(i))
			}
			rows.Batch = b.Build()
			defer rows.Batch.Record.Release()
			for k := range table.Columns {
				c := &table.Columns[k]
				if c.Origin == canonical.Assigned {
					rows.Columns = append(rows.Columns, nil)
					continue
				}
				col := &normalise.Column{}
				from := ints
				switch c.Type {
				case canonical.Text, canonical.Code:
					if k%7 == 0 {
						col.Const = "constant|值"
					} else {
						for i := range n {
							col.Text = append(col.Text, texts[(i+k)%len(texts)])
						}
					}
				case canonical.Date:
					from = dates
				case canonical.Timestamp:
					from = times
				}
				if c.Type != canonical.Text && c.Type != canonical.Code {
					for range n {
						valid := random.IntN(4) > 0
						v := from[random.IntN(len(from))]
						if !valid {
							v = 0
						}
						col.Ints, col.Valid = append(col.Ints, v), append(col.Valid, valid)
					}
				}
				rows.Columns = append(rows.Columns, col)
			}
			g := columnar.NewGatherer()
			g.Add(rows)
			made := g.Finish()[0]
			defer made.Record.Release()
			if err := r.loads.Load(t.Context(), table, made.Record, "hashes-"+table.Name); err != nil {
				t.Fatal(err)
			}
			h := hasher{sealed: r.sealed}
			want, sums := map[pseudonym.ID]uint64{}, &tallies{}
			for i := range int32(n) {
				want[rows.RecordID[i]] = h.row(rows, i)
				y := &sums[bucketOf(rows.RecordID[i])]
				y.count, y.sum = y.count+1, y.sum+want[rows.RecordID[i]]
			}
			side, got := house{r.loads.Conn(), r.dataset.Name, r.sealed}, 0
			compare := func(id pseudonym.ID, held held) {
				got++
				if held.hash != want[id] {
					t.Errorf("record %v: %d here and %d in ClickHouse", id, want[id], held.hash)
				}
			}
			if err := side.these(t.Context(), table, rows.RecordID, compare); err != nil || got != n {
				t.Fatalf("%d rows, %v", got, err)
			}
			counted := &tallies{}
			if total, err := side.count(t.Context(), table, counted); err != nil || total != n || *counted != *sums {
				t.Errorf("by key range: %d rows, %v", total, err)
			}
			var list []uint16
			for b := range buckets {
				list = append(list, uint16(b))
			}
			got = 0
			if err := side.within(t.Context(), table, list[100:], compare); err != nil || got == 0 || got > n {
				t.Fatalf("%d rows, %v", got, err)
			}
			if len(want) != n || len(hashesOf(want)) != n {
				t.Errorf("%d different rows have %d hashes", n, len(hashesOf(want)))
			}
		})
	}
}

func hashesOf(want map[pseudonym.ID]uint64) map[uint64]bool {
	out := map[uint64]bool{}
	for _, h := range want {
		out[h] = true
	}
	return out
}
