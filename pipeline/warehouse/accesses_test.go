package warehouse_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/clickhouse"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// The log of accesses is one chain, however many write to it at once; a change shows; names do not.
func TestAccesses(t *testing.T) {
	engines, loader := engine(t)
	w := connect(t, loader, "the bus of the test", slog.New(slog.DiscardHandler))
	hasher, err := pseudonym.New([]byte(strings.Repeat("k", 32)))
	if err != nil {
		t.Fatal(err)
	}
	as := func(user string) *warehouse.Accesses {
		conn, err := warehouse.Open(warehouse.Address{Native: loader.Native, User: user, Password: "of-" + user})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return warehouse.NewAccesses(conn, hasher.Clone())
	}
	access := warehouse.Access{
		At: time.Date(2026, 11, 23, 3, 0, 0, 123_456_789, time.UTC), Caller: "portal/review", Clerk: "李梅", Purpose: "identity review",
		Persons: []pseudonym.ID{{15: 1}, {15: 2}}, Fields: []string{"name", "id_number"}, Decision: "granted",
	}
	// Two processes and several requests of each; a row for each person.
	var group sync.WaitGroup
	for _, user := range []string{clickhouse.Loader, clickhouse.Sharing} {
		log := as(user)
		for i := range 2 {
			group.Go(func() {
				mine := access
				for k := range 3 {
					mine.CaseNumber = fmt.Sprint(user, i, k)
					// Whoever loses its place too often is refused, and shows nothing.
					for log.Record(t.Context(), mine) != nil {
						if t.Context().Err() != nil {
							return
						}
					}
				}
			})
		}
	}
	group.Wait()
	nobody := access
	nobody.Persons = nil
	if err := as(clickhouse.Loader).Record(t.Context(), nobody); err != nil {
		t.Fatal(err)
	}
	if rows, err := warehouse.VerifyAccesses(t.Context(), w.Conn()); err != nil || rows != 25 {
		t.Errorf("the chain has %d rows, want 25: %v", rows, err)
	}
	var clerks []string
	if err := w.Conn().Select(t.Context(), &clerks, "SELECT DISTINCT clerk FROM audit.accesses"); err != nil {
		rows, _ := w.Conn().Query(t.Context(), "SELECT DISTINCT clerk FROM audit.accesses")
		for rows.Next() {
			var c string
			if err := rows.Scan(&c); err != nil {
				t.Fatal(err)
			}
			clerks = append(clerks, c)
		}
	}
	if len(clerks) != 1 || clerks[0] != hasher.Text("clerk", "李梅") {
		t.Errorf("the clerks are %q", clerks)
	}

	// What was changed or taken out shows.
	for _, c := range []struct{ change, back string }{
		{"UPDATE fields = ['name'] WHERE sequence = 7", "UPDATE fields = ['name', 'id_number'] WHERE sequence = 7"},
		{"UPDATE person_id = toUUID('00000000-0000-0000-0000-000000000009') WHERE sequence = 25", "UPDATE person_id = toUUID('00000000-0000-0000-0000-000000000000') WHERE sequence = 25"},
		{"DELETE WHERE sequence = 9", ""},
	} {
		mutate := func(what string) {
			t.Helper()
			if err := w.Conn().Exec(t.Context(), "ALTER TABLE audit.accesses "+what+" SETTINGS mutations_sync = 2"); err != nil {
				t.Fatal(err)
			}
		}
		mutate(c.change)
		var broken *warehouse.BrokenChainError
		if _, err := warehouse.VerifyAccesses(t.Context(), w.Conn()); !errors.As(err, &broken) {
			t.Errorf("%s does not show: %v", c.change, err)
		}
		if c.back != "" {
			mutate(c.back)
			if _, err := warehouse.VerifyAccesses(t.Context(), w.Conn()); err != nil {
				t.Errorf("%s: %v", c.back, err)
			}
		}
	}

	// Without the server there is no access, and soon.
	log := as(clickhouse.Loader)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := engines.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if err := log.Record(ctx, access); err == nil || ctx.Err() != nil || strings.Contains(fmt.Sprint(err), "李梅") {
		t.Errorf("without a server: %v", err)
	}
}
