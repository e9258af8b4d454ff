package audit

import (
	"bytes"
	"testing"
)

// How fast an export is proven: see cmd/bench -only audit for the whole, from a file.
func BenchmarkVerifyFile(b *testing.B) {
	for _, a := range []Algorithm{SHA256, SM3} {
		b.Run(string(a), func(b *testing.B) {
			const entries = 20_000
			k, keys := testKey(b, Ed25519)
			var file bytes.Buffer
			if err := writeFile(b.Context(), &file, header{}, chain(b, k, a, Place{}, entries, 10_000)); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				report, _, err := VerifyFile(b.Context(), bytes.NewReader(file.Bytes()), keys, nil)
				if err != nil || !report.OK() || report.Entries != entries {
					b.Fatalf("%+v, %v", report, err)
				}
			}
			b.ReportMetric(float64(entries)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}
