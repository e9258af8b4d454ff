package partition_test

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/shirecounty/shire/connectors/simulate"
	"github.com/shirecounty/shire/pipeline/identity/partition"
	"github.com/shirecounty/shire/schemas/identity"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// countyChanges are the first changes of a simulated county: each record, once.
func countyChanges(b *testing.B, n int) []partition.Change {
	r, w := io.Pipe()
	go func() {
		w.CloseWithError(simulate.WritePersons(w, simulate.PersonsOptions{Records: n, Defects: simulate.DefaultPersonDefects()}))
	}()
	rows, err := csv.NewReader(r).ReadAll()
	if err != nil {
		b.Fatal(err)
	}
	changes := make([]partition.Change, 0, n)
	for i, row := range rows[1:] {
		at := uint64(i/4096+2)<<16 | uint64(i%4096)
		changes = append(changes, partition.Change{
			At: at, Version: at, Record: recordID(i), Dataset: row[1], Role: "self",
			Values: []string{row[2], row[5], row[3], row[4], row[6], row[7]},
		})
	}
	return changes
}

func countyPartition(b *testing.B, changes []partition.Change) *partition.Partition {
	h, err := pseudonym.New([]byte(strings.Repeat("k", 32)))
	if err != nil {
		b.Fatal(err)
	}
	p, err := partition.Open(partition.Options{
		About: "person", Columns: []string{"name", "id_number", "sex", "birth_date", "phone", "address"},
		Dir: b.TempDir(), Hasher: h, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { p.Close() })
	spec, err := identity.Shipped("person")
	if err != nil {
		b.Fatal(err)
	}
	if _, _, err := p.Apply(context.Background(), []partition.Change{choose(spec, 1)}); err != nil {
		b.Fatal(err)
	}
	for from := 0; from < len(changes); from += 40_000 {
		decide(b, p, changes[from:min(from+40_000, len(changes))])
	}
	return p
}

func decide(b *testing.B, p *partition.Partition, changes []partition.Change) {
	if _, _, err := p.Apply(context.Background(), changes); err != nil {
		b.Fatal(err)
	}
	if err := p.Keep(changes[len(changes)-1].At); err != nil {
		b.Fatal(err)
	}
}

// A first load, by ranges as the flow cuts them.
func BenchmarkLoad(b *testing.B) {
	changes := countyChanges(b, 200_000)
	for b.Loop() {
		countyPartition(b, changes)
	}
	b.ReportMetric(float64(len(changes)*b.N)/b.Elapsed().Seconds(), "records/s")
}

// Groups of corrections of a telephone, decided and kept.
func BenchmarkCorrections(b *testing.B) {
	changes := countyChanges(b, 200_000)
	for _, group := range []int{1, 8, 64} {
		b.Run(fmt.Sprint(group), func(b *testing.B) {
			p := countyPartition(b, changes)
			b.ReportAllocs()
			at := uint64(1) << 40
			for i := 0; b.Loop(); i++ {
				batch := make([]partition.Change, group)
				for k := range batch {
					c := changes[(i*group+k)*7919%len(changes)]
					at++
					c.At, c.Version = at, at
					c.Values = append([]string(nil), c.Values...)
					c.Values[4] = fmt.Sprintf("142%08d", at%1e8)
					batch[k] = c
				}
				decide(b, p, batch)
			}
			b.ReportMetric(b.Elapsed().Seconds()*1e6/float64(b.N*group), "µs/change")
		})
	}
}
