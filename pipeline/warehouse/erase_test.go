package warehouse_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// The oldest rows of the log of accesses can be cut off, and what is left can still be proven: nothing can be changed or taken
// out, neither behind the cut nor at it, and a chain that is broken is not cut.
func TestCutAccesses(t *testing.T) {
	_, loader := engine(t)
	w := connect(t, loader, "the bus of the test", slog.New(slog.DiscardHandler))
	hasher, err := pseudonym.New([]byte(strings.Repeat("k", 32)))
	if err != nil {
		t.Fatal(err)
	}
	log := warehouse.NewAccesses(w.Conn(), hasher)
	day := time.Date(2026, 1, 1, 3, 0, 0, 0, time.UTC)
	record := func(i int) {
		t.Helper()
		if err := log.Record(t.Context(), warehouse.Access{At: day.AddDate(0, 0, i), Caller: "c", Clerk: "李梅", Purpose: "p", Decision: "granted"}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 10 {
		record(i)
	}
	mutate := func(what string) {
		t.Helper()
		if err := w.Conn().Exec(t.Context(), "ALTER TABLE audit.accesses "+what+" SETTINGS mutations_sync = 2"); err != nil {
			t.Fatal(err)
		}
	}
	proven := func(want uint64) {
		t.Helper()
		if rows, err := warehouse.VerifyAccesses(t.Context(), w.Conn()); err != nil || rows != want {
			t.Errorf("%d rows are proven, want %d: %v", rows, want, err)
		}
	}
	broken := func(what string) {
		t.Helper()
		var b *warehouse.BrokenChainError
		if _, err := warehouse.VerifyAccesses(t.Context(), w.Conn()); !errors.As(err, &b) {
			t.Errorf("%s does not show: %v", what, err)
		}
	}
	cut := func(days int, dry bool) (uint64, error) {
		return w.CutAccesses(t.Context(), day.AddDate(0, 0, days), time.Now(), dry)
	}
	if n, err := cut(4, true); err != nil || n != 4 {
		t.Fatalf("%d, %v", n, err)
	}
	proven(10)
	mutate("UPDATE purpose = 'another' WHERE sequence = 2")
	if _, err := cut(4, false); err == nil {
		t.Error("a broken chain was cut")
	}
	mutate("UPDATE purpose = 'p' WHERE sequence = 2")
	if n, err := cut(4, false); err != nil || n != 4 {
		t.Fatalf("%d, %v", n, err)
	}
	proven(6)
	if n, err := cut(4, false); err != nil || n != 0 {
		t.Fatalf("a second cut took %d: %v", n, err)
	}
	record(10)
	proven(7)
	mutate("UPDATE purpose = 'another' WHERE sequence = 5")
	broken("a change of the first row that is left")
	mutate("UPDATE purpose = 'p' WHERE sequence = 5")
	proven(7)
	if n, err := cut(1000, false); err != nil || n != 6 { // the newest row stays
		t.Fatalf("%d, %v", n, err)
	}
	proven(1)
	record(11)
	proven(2)
	mutate("DELETE WHERE sequence = 11")
	broken("a row that was taken out at the cut")
}
