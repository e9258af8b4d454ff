package evidence_test

import (
	"bytes"
	"encoding/csv"
	"testing"

	"github.com/shirecounty/shire/connectors/simulate"
)

// county is a small simulated county: by record, the values of the kinds.
func county(t testing.TB, records int) (kinds []string, rows [][]string) {
	t.Helper()
	var text bytes.Buffer
	if err := simulate.WritePersons(&text, simulate.PersonsOptions{Records: records, Defects: simulate.DirtyPersonDefects()}); err != nil {
		t.Fatal(err)
	}
	all, err := csv.NewReader(&text).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range all[1:] {
		rows = append(rows, row[2:8])
	}
	return []string{"chinese_name", "category", "chinese_date", "citizen_number", "phone", "chinese_address"}, rows
}

// BenchmarkPrepareCounty prepares all six fields of one record.
func BenchmarkPrepareCounty(b *testing.B) {
	names, rows := county(b, 20_000)
	one := func(b *testing.B, from, to int) {
		for _, n := range names { // tables are read at first use
			kind(b, n).Prepare(rows[0][0])
		}
		b.ReportAllocs()
		b.ResetTimer()
		for i := range b.N {
			row := rows[i%len(rows)]
			for f := from; f < to; f++ {
				kind(b, names[f]).Prepare(row[f])
			}
		}
	}
	b.Run("all", func(b *testing.B) { one(b, 0, len(names)) })
	for f, n := range names {
		b.Run(n, func(b *testing.B) { one(b, f, f+1) })
	}
}
