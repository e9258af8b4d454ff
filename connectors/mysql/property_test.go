package mysql

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shirecounty/shire/connectors/conformance"
	"github.com/shirecounty/shire/schemas/change"
)

// Whatever is written, and whenever the process dies, the bus holds what the tables hold in the end.
func TestRandomWritesAndKills(t *testing.T) {
	server := sharedServer(t)
	rapid.Check(t, func(rt *rapid.T) {
		b := pair(t, server)
		defer b.system.db.Close()
		b.with["chunk_rows"] = rapid.IntRange(1, 30).Draw(rt, "chunk")
		every := rapid.SampledFrom([]time.Duration{0, time.Hour}).Draw(rt, "noted every")
		run := func() error {
			c := b.connector(t)
			c.safeEvery = every
			err := c.Run(t.Context(), b, false)
			if err == nil {
				b.Linger()
			}
			return err
		}
		labels := 0
		for range rapid.IntRange(2, 6).Draw(rt, "rounds") {
			b.system.exec(t, writes(rt))
			for range rapid.IntRange(0, 3).Draw(rt, "kills") {
				b.Restart()
				b.PackRows = rapid.IntRange(1, 9).Draw(rt, "pack")
				b.Budget = rapid.IntRange(0, 60).Draw(rt, "budget")
				b.Lose = rapid.IntRange(0, 9).Draw(rt, "sent while it dies")
				statement, at, n := writes(rt), rapid.IntRange(1, 40).Draw(rt, "writes come at"), 0
				b.AtAppend = func() {
					if n++; n == at {
						b.system.exec(t, statement)
					}
				}
				err := run()
				b.AtAppend = nil
				if err != nil && !errors.Is(err, conformance.ErrKilled) {
					rt.Fatal(err)
				}
			}
			if rapid.IntRange(0, 4).Draw(rt, "snapshot again") == 0 {
				labels++
				b.label(rapid.IntRange(0, 1).Draw(rt, "of"), fmt.Sprint("label ", labels))
			}
		}
		b.Restart()
		if err := run(); err != nil {
			rt.Fatal(err)
		}
		for i := range b.tables {
			if d := b.differs(t, i); d != "" {
				rt.Fatalf("%s\n%s", d, b.story(t, []string{"busy", "quiet"}[i]))
			}
		}
		before := len(b.Said("busy")) + len(b.Said("quiet"))
		if err := run(); err != nil {
			rt.Fatal(err)
		}
		if n := len(b.Said("busy")) + len(b.Said("quiet")) - before; n != 0 {
			rt.Fatalf("a run with nothing new said %d changes", n)
		}
	})
}

// story is all that was said of a dataset with where it stood, and what the server's binlog holds of it.
func (b *bench) story(t testing.TB, dataset string) string {
	t.Helper()
	var out strings.Builder
	b.History(t.Context(), dataset, 0, func(at uint64, batch *change.Batch) error {
		fmt.Fprintf(&out, "message %d, last %s\n", at, batch.Last)
		for i := range batch.Len() {
			fmt.Fprintf(&out, "    %v %s", batch.Op(i), batch.Key(i))
			for c := range batch.Columns() {
				fmt.Fprintf(&out, " %s", batch.Values(c).Value(i))
			}
			out.WriteByte('\n')
		}
		return nil
	})
	return out.String()
}

// writes is a few transactions over the two tables.
func writes(rt *rapid.T) (all string) {
	for range rapid.IntRange(1, 3).Draw(rt, "transactions") {
		all += fmt.Sprintf("set session gtid_domain_id = %d; begin;", rapid.SampledFrom([]int{0, 0, 3, 7}).Draw(rt, "domain"))
		for range rapid.IntRange(1, 4).Draw(rt, "statements") {
			table := rapid.SampledFrom([]string{"busy", "busy", "quiet"}).Draw(rt, "table")
			id, other := rapid.IntRange(1, 40).Draw(rt, "id"), rapid.IntRange(1, 40).Draw(rt, "other")
			switch rapid.IntRange(0, 9).Draw(rt, "kind") {
			case 0, 1:
				all += fmt.Sprintf("insert ignore into %s values (%d, 'made %d');", table, id, other)
			case 2, 3:
				all += fmt.Sprintf("delete from %s where id = %d;", table, id)
			case 4:
				all += fmt.Sprintf("update ignore %s set id = %d where id = %d;", table, other, id)
			case 5:
				all += fmt.Sprintf("update %s set name = 'many %d' where id < %d;", table, other, id)
			case 6:
				all += fmt.Sprintf("savepoint s; delete from %s where id > %d; rollback to s;", table, id)
			default:
				all += fmt.Sprintf("update %s set name = 'set %d' where id = %d;", table, other, id)
			}
		}
		all += rapid.SampledFrom([]string{"commit;", "commit;", "commit;", "rollback;"}).Draw(rt, "end")
		if rapid.IntRange(0, 12).Draw(rt, "truncate") == 0 {
			all += "truncate busy;"
		}
	}
	return all
}
