package batch

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/shirecounty/shire/pipeline/identity/match"
	"github.com/shirecounty/shire/schemas/identity"
)

// county is the shipped model for persons, with parameters that make an equal telephone strong evidence.
func county(t *testing.T) *match.Model {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "schemas", "identity", "person.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := identity.Parse("person.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	s.Parameters = &identity.Parameters{Records: 1, Pairs: 1, Prior: .001, Comparisons: map[string][]identity.Estimate{}}
	for _, c := range s.Comparisons {
		for range c.Levels {
			s.Parameters.Comparisons[c.Name] = append(s.Parameters.Comparisons[c.Name], identity.Estimate{M: .9, U: 1e-6})
		}
		s.Parameters.Comparisons[c.Name] = append(s.Parameters.Comparisons[c.Name], identity.Estimate{M: .1, U: .2})
	}
	m, err := match.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// A telephone that two hundred thousand records share makes twenty billion pairs. None of them is compared, none is
// linked, and what stands beside the telephone is not linked by it either.
func TestSharedByAll(t *testing.T) {
	const records = 200_000
	m := county(t)
	for _, phone := range []string{"13800138000", "13957112233"} { // a placeholder, and one that looks like any other
		in := &Input{}
		for i := range records {
			values := make([]string, len(m.Fields()))
			for f, name := range m.Fields() {
				switch name {
				case "phone":
					values[f] = phone
				case "name":
					values[f] = string([]rune{rune('一' + i%5000), rune('一' + 5000 + i/5000)}) // each its own
				}
			}
			in.Add(values)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		begin := time.Now()
		res, err := Resolve(t.Context(), m, in, quiet)
		if err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		t.Logf("%s: %d pairs compared, %d parties, %v, %d MiB allocated in all", phone, res.Compared, res.Clusters, time.Since(begin), (after.TotalAlloc-before.TotalAlloc)>>20)
		if res.Compared > 3*records {
			t.Errorf("%d pairs are compared", res.Compared)
		}
		for _, p := range res.Pairs {
			t.Fatalf("records %d and %d are linked, or nearly: %s", p.A, p.B, fmt.Sprint(p.Weight))
		}
		if res.Clusters != records {
			t.Errorf("%d parties of %d records", res.Clusters, records)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 1<<30 {
			t.Errorf("%d MiB are allocated", used>>20)
		}
	}
}
