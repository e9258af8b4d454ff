package query

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/shirecounty/shire/connectors/conformance"
)

// outboxOn makes an outbox in the database, whose ids are those of the database's own counter.
func (s *server) outboxOn(t testing.TB) *desk {
	counter := map[string]string{"postgres": "bigserial PRIMARY KEY", "mysql": "bigint AUTO_INCREMENT PRIMARY KEY"}[s.driver]
	d := s.on(t, "seq "+counter+", kind varchar(20), op varchar(10), who varchar(20), body text")
	for _, key := range []string{"watermark", "deletions"} {
		d.settings[key] = nil
	}
	d.settings["outbox"] = map[string]any{"id": "seq", "op": "op", "payload": "body", "key": "who", "gap_wait": "300ms", "only": map[string]any{"column": "kind", "is": "resident"}}
	return d
}

const put = "INSERT INTO %s (kind, op, who, body) VALUES ('%s', '%s', '%s', %s)"

func (d *desk) put(kind, op, who, body string) string {
	return fmt.Sprintf(put, d.full(), kind, op, who, body)
}

func TestOutbox(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		d := s.outboxOn(t)
		s.exec(t,
			d.put("resident", "c", "1", `'{"name": "甲", "age": 12345678901234567890, "id": "1", "tags": [1, {"a": null}], "left": null, "ok": true}'`),
			d.put("other", "c", "x", `'not even JSON'`),
			d.put("resident", "u", "1", `'{"name": ""}'`),
			d.put("resident", "d", "2", "NULL"),
			d.put("resident", "u", "3", `'[1]'`), d.put("resident", "u", "3", "''"), d.put("resident", "boom", "3", "'{}'"), d.put("resident", "u", " ", "'{}'"))
		d.load()
		var got []string
		for _, said := range d.bus.Said(conformance.Dataset) {
			got = append(got, fmt.Sprintf("%s %s %d %s %s", said.Op, said.Key, said.Row, said.Columns, said.Values))
		}
		want := []string{
			`create 1 1 age|id|left|name|ok|tags 12345678901234567890|1|\N|甲|true|[1,{"a":null}]`,
			"update 1 3 id|name 1|", "delete 2 4 id " + conformance.Null,
		}
		if len(got) != 7 {
			t.Fatalf("said %q", got)
		}
		for i := range want[:2] {
			if got[i] != want[i] {
				t.Errorf("got %q, want %q", got[i], want[i])
			}
		}
		equal(t, "said", d.said(2), []string{"delete 2", "malformed ", "malformed ", "malformed ", "malformed "})
		n := len(got)
		d.lose()
		d.load()
		equal(t, "said again", d.said(n), nil)
		if err := d.connector().Resend(t.Context(), conformance.Dataset, []string{"1"}); err == nil {
			t.Error("an outbox says records again")
		}
	})
}

// TestOutboxGaps: rows behind an open transaction wait for it; one that was taken back is passed after gap_wait; one that
// comes later than that is told.
func TestOutboxGaps(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		d := s.outboxOn(t)
		wait := "1h"
		begin := func(who string) interface {
			Commit() error
			Rollback() error
		} {
			tx, err := s.admin.Begin()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.Exec(d.put("resident", "c", who, "'{}'")); err != nil {
				t.Fatal(err)
			}
			return tx
		}
		set := func(w string) {
			d.settings["outbox"].(map[string]any)["gap_wait"] = w
		}
		set(wait)
		s.exec(t, d.put("resident", "c", "1", "'{}'"))
		open := begin("2")
		s.exec(t, d.put("resident", "c", "3", "'{}'"), d.put("resident", "c", "4", "'{}'"))
		stop := d.follow(d.connector())
		d.until("the first row", func() bool { return len(d.said(0)) == 1 })
		time.Sleep(100 * time.Millisecond) // some polls in which nothing may come
		d.bus.Linger()
		equal(t, "while the transaction is open", d.said(0), []string{"create 1"})
		if err := open.Commit(); err != nil {
			t.Fatal(err)
		}
		all := []string{"create 1", "create 2", "create 3", "create 4"}
		d.until("what waited", func() bool { return slices.Equal(d.said(0), all) })
		stop()
		taken := begin("5")
		s.exec(t, d.put("resident", "c", "6", "'{}'"))
		if err := taken.Rollback(); err != nil {
			t.Fatal(err)
		}
		set("300ms")
		d.load() // waits by itself
		equal(t, "past what was taken back", d.said(4), []string{"create 6"})
		late := begin("7")
		s.exec(t, d.put("resident", "c", "8", "'{}'"))
		d.load()
		equal(t, "past what is open too long", d.said(5), []string{"create 8"})
		equal(t, "problems", d.problems(), nil)
		if err := late.Commit(); err != nil {
			t.Fatal(err)
		}
		d.load()
		equal(t, "what came too late", d.said(6), nil)
		equal(t, "problems", d.problems(), []string{"late_outbox_row"})
		d.load()
		equal(t, "problems of the next run", d.problems(), nil)
	})
}

func TestOutboxKilledAtEveryStep(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		d := s.outboxOn(t)
		var want []string
		n := 0
		more := func() {
			for range 8 {
				if n++; n%3 == 1 {
					s.exec(t, d.put("other", "u", fmt.Sprint(n), "'{}'"))
				} else {
					s.exec(t, d.put("resident", "u", fmt.Sprint(n), "'{}'"))
					want = append(want, fmt.Sprint("update ", n))
				}
			}
		}
		killed := func(budget int) {
			d.bus.Budget, d.bus.Lose = budget, budget%2
			if err := d.run(); err != nil && !errors.Is(err, conformance.ErrKilled) {
				t.Fatal(err)
			}
			d.bus.Budget = -1
		}
		more()
		d.with["chunk_rows"] = 3
		for budget := range 9 {
			d.bus, d.bus.PackRows, d.state = conformance.NewBus(), 2, t.TempDir()
			killed(budget)
			d.load()
			equal(t, fmt.Sprint("killed after ", budget), d.said(0), want)
			more()
			killed(budget)
			d.load()
			equal(t, fmt.Sprint("killed again after ", budget), d.said(0), want)
		}
	})
}
