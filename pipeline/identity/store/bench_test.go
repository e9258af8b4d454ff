package store_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/shirecounty/shire/pipeline/identity/store"
)

var postings = []store.Spec{{Name: "postings", Key: 12, Value: 0}}

// posting is an 8-byte term, of which a few share one, and a 4-byte record.
func posting(r *rand.Rand) []byte {
	key := binary.BigEndian.AppendUint64(nil, r.Uint64N(5_000_000)*0x9e3779b97f4a7c15)
	return binary.BigEndian.AppendUint32(key, r.Uint32())
}

// fill commits batches of these sizes, largest first, so that nothing is merged and each stays a run.
func fill(b *testing.B, sizes ...int) *store.Store {
	b.Helper()
	s, err := store.Open(b.TempDir(), postings, store.Options{NoSync: true, Log: quiet})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	r := rand.New(rand.NewPCG(1, 2))
	for i, n := range sizes {
		batch := store.NewBatch(postings)
		for range n {
			batch.Put(0, posting(r), nil, nil)
		}
		if err := s.Commit(batch, uint64(i+1), nil); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

var tenMillion = []int{7_000_000, 1_400_000, 1_000_000, 600_000, 10_000}

func BenchmarkJoin(b *testing.B) {
	s := fill(b, tenMillion...)
	r := rand.New(rand.NewPCG(3, 4))
	prefixes := make([]uint64, 360_000)
	for i := range prefixes {
		prefixes[i] = r.Uint64N(5_000_000) * 0x9e3779b97f4a7c15
	}
	slices.Sort(prefixes)
	prefixes = slices.Compact(prefixes)
	var flat []byte
	for _, p := range prefixes {
		flat = binary.BigEndian.AppendUint64(flat, p)
	}
	v := s.View()
	defer v.Release()
	b.ResetTimer()
	found := 0
	for range b.N {
		found = 0
		v.Join(0, flat, 8, func(i int, key, value, blob []byte) { found++ })
	}
	b.ReportMetric(float64(found), "entries/op")
}

func BenchmarkPrefix(b *testing.B) {
	v := fill(b, tenMillion...).View()
	defer v.Release()
	r := rand.New(rand.NewPCG(5, 6))
	b.ResetTimer()
	for range b.N {
		p := binary.BigEndian.AppendUint64(nil, r.Uint64N(5_000_000)*0x9e3779b97f4a7c15)
		v.Prefix(0, p, func(key, value, blob []byte) bool { return true })
	}
}

func BenchmarkGet(b *testing.B) {
	v := fill(b, tenMillion...).View()
	defer v.Release()
	r := rand.New(rand.NewPCG(1, 2)) // the keys that are there
	b.ResetTimer()
	for range b.N {
		if _, _, ok := v.Get(0, posting(r)); !ok {
			b.StopTimer()
			r = rand.New(rand.NewPCG(1, 2))
			b.StartTimer()
		}
	}
}

func BenchmarkLargeCommit(b *testing.B) {
	spec := []store.Spec{{Name: "entries", Key: 12, Value: 4}}
	s, err := store.Open(b.TempDir(), spec, store.Options{Log: quiet, Flush: 16 << 20})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	r := rand.New(rand.NewPCG(7, 8))
	for i := range b.N {
		b.StopTimer()
		batch := store.NewBatch(spec)
		for range 400_000 {
			batch.Put(0, posting(r), []byte("four"), nil)
		}
		b.StartTimer()
		if err := s.Commit(batch, uint64(i+1), nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSmallCommit(b *testing.B) {
	s, err := store.Open(b.TempDir(), postings, store.Options{Log: quiet})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	r := rand.New(rand.NewPCG(9, 10))
	meta := bytes.Repeat([]byte("m"), 100)
	for i := range b.N {
		batch := store.NewBatch(postings)
		for range 20 {
			batch.Put(0, posting(r), nil, nil)
		}
		if err := s.Commit(batch, uint64(i+1), meta); err != nil {
			b.Fatal(err)
		}
	}
}
