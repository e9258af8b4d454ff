package main

import (
	"fmt"
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
	u := loadUndisturbed(t, 1000, 90, small)
	for name, c := range map[string]struct {
		keep  float64
		index bool // the server's own note of how far it was survives
	}{
		"the last messages": {.98, true}, "half, and how far it was": {.5, false}, "everything, and how far it was": {0, false},
	} {
		t.Run(name, func(t *testing.T) {
			data := copyNode(t, u.data)
			loseBus(t, data, c.keep, c.index)
			r := shire(t, "load", "-c", u.file, "--data", data).ok(t)
			if !strings.Contains(r.Stderr, "the bus has lost messages that it had acknowledged") {
				t.Errorf("nothing was said of it: %v", r)
			}
			want, got := u.people, peopleOf(t, data)
			for view, rows := range want {
				// Rows were loaded again, and refused rows are waiting under the place at which they came again.
				if strings.HasPrefix(view, "mart.") && got[view] != rows {
					t.Errorf("%s: undisturbed: %s; here: %s", view, rows, got[view])
				}
			}
			// What comes from now on is not taken for old.
			if again := counts(t, shire(t, "load", "-c", u.file, "--data", data)); again != (loadCounts{}) {
				t.Errorf("a second load did %+v", again)
			}
		})
	}
}

// loseBus cuts the newest block of the stream of changes, as a machine that loses its power may.
func loseBus(t *testing.T, data string, keep float64, index bool) {
	t.Helper()
	blocks, err := filepath.Glob(filepath.Join(data, "nats", "jetstream", "*", "streams", "CHANGES", "msgs", "*.blk"))
	if err != nil || len(blocks) == 0 {
		t.Fatal("no block of the stream was found", err)
	}
	newest := slices.MaxFunc(blocks, func(a, b string) int { return len(a) - len(b) + strings.Compare(a, b) })
	info, err := os.Stat(newest)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(newest, int64(keep*float64(info.Size()))); err != nil {
		t.Fatal(err)
	}
	if index {
		return
	}
	if err := os.Remove(filepath.Join(filepath.Dir(newest), "index.db")); err != nil {
		t.Fatal(err)
	}
}

// A PostgreSQL has thrown away what it was told is safe. What a power failure then takes from the bus and from the
// warehouse is in the department's tables still: reconcile finds it and repairs.
func TestReconcileAfterPowerFailure(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, 500)
	shire(t, "load", "-c", d.file, "--data", d.data).ok(t)
	d.exec(fmt.Sprintf(`UPDATE calls SET category = '%[1]s later' WHERE number LIKE 'N1%%';
		INSERT INTO calls SELECT 'X' || i, '%[1]s', '2026-03-02 10:00' FROM generate_series(1, 40) i;
		DELETE FROM calls WHERE number LIKE 'N4%%'`, d.certainWords))
	shire(t, "load", "-c", d.file, "--data", d.data).ok(t)
	if got := d.reconcile(exitOK); !got.Equal {
		t.Fatalf("before anything is lost: %+v", got)
	}

	loseBus(t, d.data, .97, false) // the last message
	d.damage("ALTER TABLE store.incidents DELETE WHERE incident_number LIKE 'X%' OR incident_number LIKE 'N1%' SETTINGS mutations_sync = 2")
	if r := shire(t, "load", "-c", d.file, "--data", d.data); !strings.Contains(r.Stderr, "the bus has lost messages that it had acknowledged") {
		t.Errorf("nothing was said of it: %v", r)
	}
	if got := d.reconcile(exitFailed); got.Equal || got.Missing == 0 {
		t.Errorf("what was lost is not found: %+v", got)
	}
	if got := d.reconcile(exitOK, "--repair"); !got.Equal || got.Repaired == 0 {
		t.Errorf("after the repair: %+v", got)
	}
	if got := d.reconcile(exitOK); !got.Equal {
		t.Errorf("at last: %+v", got)
	}
}
