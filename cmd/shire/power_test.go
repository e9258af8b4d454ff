package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A machine that loses its power may lose the end of the bus, though it was acknowledged. Its newest block is cut by hand;
// the sources send again what is gone, and nothing of it disappears behind what the warehouse had loaded.
func TestBusLostItsEnd(t *testing.T) {
	t.Parallel() // it waits more than it works
	needEngine(t)
	county := demoCounty(t, 1000, 90)
	u := loadUndisturbed(t, county, smallLoads)
	file := countyYAML(t, county, smallLoads)
	for name, c := range map[string]struct {
		keep  float64
		index bool // the server's own note of how far it was survives
	}{
		"the last messages": {.98, true}, "half, and how far it was": {.5, false}, "everything, and how far it was": {0, false},
	} {
		t.Run(name, func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "node")
			shire(t, "load", "-c", file, "--data", data).ok(t)
			blocks, err := filepath.Glob(filepath.Join(data, "nats", "jetstream", "*", "streams", "CHANGES", "msgs", "*.blk"))
			if err != nil || len(blocks) == 0 {
				t.Fatal("no block of the stream was found", err)
			}
			newest := slices.MaxFunc(blocks, func(a, b string) int { return len(a) - len(b) + strings.Compare(a, b) })
			info, err := os.Stat(newest)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(newest, int64(c.keep*float64(info.Size()))); err != nil {
				t.Fatal(err)
			}
			if !c.index {
				if err := os.Remove(filepath.Join(filepath.Dir(newest), "index.db")); err != nil {
					t.Fatal(err)
				}
			}
			r := shire(t, "load", "-c", file, "--data", data).ok(t)
			if !strings.Contains(r.Stderr, "the bus has lost messages that it had acknowledged") {
				t.Errorf("nothing was said of it: %v", r)
			}
			want, got := peopleOf(t, u.data), peopleOf(t, data)
			for view, rows := range want {
				// Rows were loaded again, and refused rows are waiting under the place at which they came again.
				if strings.HasPrefix(view, "mart.") && got[view] != rows {
					t.Errorf("%s: undisturbed: %s; here: %s", view, rows, got[view])
				}
			}
			// What comes from now on is not taken for old.
			if again := counts(t, shire(t, "load", "-c", file, "--data", data)); again != (loadCounts{}) {
				t.Errorf("a second load did %+v", again)
			}
		})
	}
}
