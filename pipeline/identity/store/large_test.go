package store_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/shirecounty/shire/pipeline/identity/store"
)

// The model test makes small runs. Here they have many blocks, with heads that all keys share, that thousands share,
// and that differ from key to key.
func TestLargeRunsAreSearchedRight(t *testing.T) {
	for _, heads := range []uint64{1, 7, 300, 1 << 62} {
		for _, flush := range []int{100_000, 1 << 20} { // only runs; runs and memory
			t.Run(fmt.Sprint(heads, flush), func(t *testing.T) {
				spec := []store.Spec{{Name: "entries", Key: 12, Value: 4}}
				s, err := store.Open(t.TempDir(), spec, store.Options{Flush: flush, NoSync: true, Log: quiet})
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				r := rand.New(rand.NewPCG(heads, 1))
				random := func() []byte {
					key := binary.BigEndian.AppendUint64(nil, r.Uint64N(heads)<<2)
					return binary.BigEndian.AppendUint32(key, r.Uint32N(1<<14)<<8)
				}
				want := map[string]string{}
				for c, size := range []int{40_000, 9000, 2000, 300} {
					b := store.NewBatch(spec)
					for i := range size {
						key, value := random(), fmt.Appendf(nil, "%04d", i%10_000)
						if i%5 == 0 {
							b.Delete(0, key)
							delete(want, string(key))
						} else {
							b.Put(0, key, value, nil)
							want[string(key)] = string(value)
						}
					}
					if err := s.Commit(b, uint64(c), nil); err != nil {
						t.Fatal(err)
					}
				}
				var keys []string
				for k := range want {
					keys = append(keys, k)
				}
				slices.Sort(keys)
				v := s.View()
				defer v.Release()
				for range 3000 {
					key := random()
					if r.IntN(2) == 0 {
						key = []byte(keys[r.IntN(len(keys))])
					}
					value, _, ok := v.Get(0, key)
					if w, there := want[string(key)]; ok != there || string(value) != w {
						t.Fatalf("Get(%x) gives %q, %v instead of %q, %v", key, value, ok, w, there)
					}
					from := key[:r.IntN(13)]
					at, _ := slices.BinarySearch(keys, string(from))
					v.Scan(0, from, func(key, value, blob []byte) bool {
						if at >= len(keys) || keys[at] != string(key) {
							t.Fatalf("Scan(%x) gives %x out of turn", from, key)
						}
						at++
						return r.IntN(4) > 0
					})
				}
				for width := 1; width <= 12; width++ {
					for _, every := range []int{1, 3, 1000, 20_000} {
						join(t, v, keys, width, every)
					}
				}
			})
		}
	}
}

// join asks for the prefixes of every so many-th key, and for some that no key has.
func join(t *testing.T, v *store.View, keys []string, width, every int) {
	var prefixes [][]byte
	for i := 0; i < len(keys); i += every {
		p := []byte(keys[i][:width])
		prefixes = append(prefixes, p)
		if missing := bytes.Clone(p); i%2 == 0 {
			missing[width-1]++
			prefixes = append(prefixes, missing)
		}
	}
	slices.SortFunc(prefixes, bytes.Compare)
	prefixes = slices.CompactFunc(prefixes, bytes.Equal)
	var want []string
	for i, at := 0, 0; i < len(prefixes); i++ {
		at, _ = slices.BinarySearch(keys, string(prefixes[i]))
		for ; at < len(keys) && keys[at][:width] == string(prefixes[i]); at++ {
			want = append(want, keys[at])
		}
	}
	var got []string
	v.Join(0, bytes.Join(prefixes, nil), width, func(i int, key, value, blob []byte) {
		if !bytes.HasPrefix(key, prefixes[i]) {
			t.Fatalf("Join gives %x for %x", key, prefixes[i])
		}
		got = append(got, string(key))
	})
	if !slices.Equal(got, want) {
		t.Fatalf("Join of %d prefixes of %d bytes gives %d entries instead of %d", len(prefixes), width, len(got), len(want))
	}
}
