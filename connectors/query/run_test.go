package query

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shirecounty/shire/connectors/conformance"
	"github.com/shirecounty/shire/schemas/change"
)

func TestServerRestarts(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		d := newDesk(t, s.newTable(t))
		d.Apply(t, conformance.Operation{Kind: conformance.Insert, Row: conformance.Row{ID: "1"}})
		stop := d.follow(d.connector())
		d.until("the first row", func() bool { return len(d.said(0)) == 1 })
		s.kill()
		told := func(problem string) func() bool {
			return func() bool {
				d.mu.Lock()
				defer d.mu.Unlock()
				for _, e := range d.events {
					if e.Problem == strings.TrimPrefix(problem, "solved ") && e.Solved == strings.HasPrefix(problem, "solved ") {
						return true
					}
				}
				return false
			}
		}
		d.until("the news that the server is gone", told("unreachable"))
		s.restart(t)
		d.until("the news that it is back", told("solved unreachable"))
		for range 10 { // the pool of the test has connections that are dead
			s.admin.Ping()
		}
		d.Apply(t, conformance.Operation{Kind: conformance.Insert, Row: conformance.Row{ID: "2"}})
		d.until("the second row", func() bool { return slices.Equal(d.said(0), []string{"snapshot 1", "create 2"}) })
		stop()
	})
}

func TestResendAndSurvey(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		d := s.on(t, "id int, region varchar(10) NOT NULL, name varchar(20), updated_at bigint NOT NULL, PRIMARY KEY (region, id)")
		d.key, d.settings["deletions"] = "region, id", "off"
		d.with["poll"] = "1h"
		for i := range 5 {
			s.exec(t, fmt.Sprintf("INSERT INTO %s VALUES (%d, ' a', 'n', 1)", d.full(), i))
		}
		key := func(i int) string { return "a" + change.KeySeparator + strconv.Itoa(i) }
		c := d.connector()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		cancelled, end := context.WithTimeout(ctx, 50*time.Millisecond)
		if err := c.Resend(cancelled, conformance.Dataset, []string{key(1)}); !errors.Is(err, context.DeadlineExceeded) {
			t.Error("without a run, Resend ends with", err)
		}
		end()
		stop := d.follow(c)
		d.until("the first read", func() bool { return len(d.said(0)) == 5 })
		s.exec(t, "UPDATE "+d.full()+" SET name = 'stale' WHERE id = 2", "DELETE FROM "+d.full()+" WHERE id = 3")
		if err := c.Resend(ctx, conformance.Dataset, []string{key(1), key(2), key(3), key(99), "nonsense"}); err != nil {
			t.Fatal(err)
		}
		d.bus.Linger()
		equal(t, "said", d.said(5), []string{"snapshot a+1", "snapshot a+2", "delete a+3", "delete a+99", "delete nonsense"})
		if err := c.Resend(ctx, conformance.Dataset, []string{"a" + change.KeySeparator + "no number"}); err == nil && s.driver == "postgres" {
			t.Error("a key that is no number is taken for one")
		} else if err != nil && strings.Contains(err.Error(), "no number") {
			t.Error("the error quotes the key (I7):", err)
		}
		survey := func(keys ...string) map[string]string {
			got := map[string]string{}
			err := c.Survey(ctx, conformance.Dataset, keys, func(columns []string, ch change.Change) error {
				if ch.Position != "" || ch.Op != change.Snapshot {
					t.Errorf("%+v", ch)
				}
				got[ch.Key] = ch.Values[slices.Index(columns, "name")]
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		if got := survey(); !maps.Equal(got, map[string]string{key(0): "n", key(1): "n", key(2): "stale", key(4): "n"}) {
			t.Errorf("survey %v", got)
		}
		stop()
		n := len(d.said(0))
		d.load()
		equal(t, "after Resend, a load says", d.said(n), nil)
		d.settings["deletions"] = "every 1ns"
		d.load()
		equal(t, "a comparison says", d.said(n), nil)
	})
}

// TestResendDuringTheFirstRead: records are said again between two chunks, and the read goes on where it was, killed or not.
func TestResendDuringTheFirstRead(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		for _, kill := range []bool{false, true} {
			d := s.on(t, "id int PRIMARY KEY, name varchar(20), updated_at bigint NOT NULL")
			d.with["chunk_rows"], d.settings["overlap"], d.settings["deletions"] = 2, 0, "off"
			d.bus.PackRows = 1
			for i := range 12 {
				s.exec(t, fmt.Sprintf("INSERT INTO %s VALUES (%d, 'n', %d)", d.full(), i, i/5))
			}
			c := d.connector()
			answer, appended := make(chan error, 1), 0
			d.bus.AtAppend = func() {
				switch appended++; {
				case appended == 3:
					asked := &request{conformance.Dataset, []string{"0", "11"}, answer}
					go func() { c.requests <- asked }()
					time.Sleep(20 * time.Millisecond)
				case appended == 7 && kill: // the newest change on the bus is one of those
					d.bus.Budget = 0
				}
			}
			err := c.Run(t.Context(), d.bus, false)
			if kill != errors.Is(err, conformance.ErrKilled) {
				t.Fatal(err)
			}
			if err := <-answer; err != nil {
				t.Error(err)
			}
			d.bus.AtAppend = nil
			d.bus.Restart()
			d.load()
			count := map[string]int{}
			for _, said := range d.said(0) {
				count[said]++
			}
			for i := range 12 {
				want := 1
				if i == 0 { // row 11 was said before its turn, and has not changed since
					want = 2
				}
				if got := count[fmt.Sprint("snapshot ", i)]; got != want {
					t.Errorf("kill %v: row %d was said %d times: %v", kill, i, got, d.said(0))
				}
			}
		}
	})
}

func TestErrorsForPeople(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		secret := s.newTable(t)
		s.exec(t, map[string]string{"postgres": "REVOKE SELECT ON " + secret.full() + " FROM shire", "mysql": "REVOKE SELECT ON " + secret.full() + " FROM shire@'127.0.0.1'"}[s.driver])
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		closed := l.Addr().String()
		l.Close()
		hidden := "no_right_to_read"
		if s.driver == "mysql" {
			hidden = "no_such_table" // the catalog shows nothing of it
		}
		for _, c := range []struct {
			name    string
			change  func(d *desk)
			problem string
			says    string
		}{
			{"nobody there", func(d *desk) { d.with["address"] = closed }, "unreachable", closed},
			{"no TLS", func(d *desk) { d.with["tls"] = true }, "tls_failed", "with.tls: off"},
			{"no such user", func(d *desk) { d.with["user"] = "nobody" }, map[string]string{"postgres": "login_failed", "mysql": "login_failed"}[s.driver], "nobody"},
			{"no such database", func(d *desk) { d.with["database"] = "atlantis" }, "no_such_database", "atlantis"},
			{"no such table", func(d *desk) { d.settings["table"] = d.schema + ".atlantis" }, "no_such_table", "GRANT SELECT ON"},
			{"no right", func(d *desk) { d.settings["table"] = secret.full() }, hidden, "GRANT SELECT ON"},
			{"no watermark", func(d *desk) { d.settings["watermark"] = "changed" }, "no_such_column", "updated_at"},
			{"text as watermark", func(d *desk) { d.settings["watermark"] = "name" }, "unfit_watermark", "text"},
			{"number as overlap", func(d *desk) { d.settings["overlap"] = 100 }, "unfit_watermark", "overlap: 5m"},
			{"no key", func(d *desk) { d.key = "region" }, "unfit_key", "region"},
			{"unknown column", func(d *desk) { d.settings["columns"] = []any{"nmae"} }, "no_such_column", "nmae"},
		} {
			d := newDesk(t, s.newTable(t))
			c.change(d)
			err := d.run()
			no := refusalOf(t, err)
			if no.problem != c.problem || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %s: %v", c.name, no.problem, err)
			}
			if strings.Contains(err.Error(), readerPassword) {
				t.Errorf("%s: the error shows the password: %v", c.name, err)
			}
			equal(t, c.name, d.problems(), []string{c.problem})
		}
	})
}

// TestOneTableOfTwo: what is wrong with one table keeps no other from being read.
func TestOneTableOfTwo(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		d := newDesk(t, s.newTable(t))
		d.Apply(t, conformance.Operation{Kind: conformance.Insert, Row: conformance.Row{ID: "1"}})
		d.settings["table"] = d.schema + ".later"
		c := d.connector()
		stop := d.follow(c)
		d.until("the news", func() bool { d.mu.Lock(); defer d.mu.Unlock(); return len(d.events) > 0 })
		s.exec(t, "ALTER TABLE "+d.full()+" RENAME TO "+map[string]string{"postgres": "later", "mysql": d.schema + ".later"}[s.driver])
		d.name = "later"
		d.grant(t)
		d.until("the row", func() bool { return len(d.said(0)) == 1 })
		d.until("the end of the problem", func() bool { d.mu.Lock(); defer d.mu.Unlock(); return len(d.events) > 1 })
		stop()
		equal(t, "problems", d.problems(), []string{"no_such_table", "solved no_such_table"})
	})
}

// TestSlowQuery: a query that takes longer than query_timeout is given up, and the next poll has a connection of its own.
func TestSlowQuery(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		d := newDesk(t, s.newTable(t))
		sleep := map[string]string{"postgres": "pg_sleep(60)::text", "mysql": "CAST(SLEEP(60) AS CHAR)"}[s.driver]
		s.exec(t, "CREATE VIEW "+d.schema+".slow AS SELECT id, name, "+sleep+" AS note, updated_at FROM "+d.full())
		d.Apply(t, conformance.Operation{Kind: conformance.Insert, Row: conformance.Row{ID: "1"}})
		d.name = "slow"
		d.grant(t)
		d.with["query_timeout"] = "200ms"
		began := time.Now()
		no := refusalOf(t, d.run())
		if no.problem != "slow_query" || time.Since(began) > 20*time.Second {
			t.Errorf("%s after %s: %v", no.problem, time.Since(began), no)
		}
	})
}

// TestDriversAnswer: the drivers that no server is tested with are compiled in and connect.
func TestDriversAnswer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	for _, driver := range driverNames {
		for _, encrypted := range []string{"on", "off"} {
			host, port, _ := net.SplitHostPort(l.Addr().String())
			n, _ := strconv.Atoi(port)
			s := settings{driver: driver, dialect: dialects[driver], host: host, port: n, database: "x", user: "u", password: "hunter2", tls: encrypted, timeout: time.Second}
			_, err := s.connect(t.Context())
			no := refusalOf(t, err)
			if no.problem != "unreachable" && no.problem != "tls_failed" || strings.Contains(no.Error(), "hunter2") {
				t.Errorf("%s, tls %s: %s: %v", driver, encrypted, no.problem, no)
			}
		}
	}
}
