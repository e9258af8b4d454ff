package query

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/connectors/conformance"
	"github.com/shirecounty/shire/schemas/change"
)

// TestTies: many rows of one watermark, a chunk border within them, killed at every step, the ledger lost at some.
func TestTies(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		for _, composite := range []bool{false, true} {
			key := "id int, region varchar(10) NOT NULL, PRIMARY KEY (id)"
			if composite {
				key = "id int, region varchar(10) NOT NULL, PRIMARY KEY (region, id)"
			}
			d := s.on(t, key+", name varchar(20), updated_at bigint NOT NULL")
			d.with["chunk_rows"] = 3
			d.settings["overlap"], d.settings["deletions"] = 0, "off" // nothing else finds a row that was passed over
			var want []string
			for i := range 20 {
				region := string(rune('a' + i%3))
				s.exec(t, fmt.Sprintf("INSERT INTO %s VALUES (%d, '%s', 'n', %d)", d.full(), i*7, region, 5+i/15))
				if composite {
					want = append(want, fmt.Sprint(region, "+", i*7))
				} else {
					want = append(want, strconv.Itoa(i*7))
				}
			}
			if composite {
				d.key = "region, id"
			}
			slices.Sort(want)
			for budget := range 26 {
				d.bus, d.bus.PackRows, d.state = conformance.NewBus(), 2, t.TempDir()
				d.bus.Budget, d.bus.Lose = budget, budget%2
				if err := d.run(); err != nil && !errors.Is(err, conformance.ErrKilled) {
					t.Fatal(err)
				}
				d.bus.Budget = -1
				if budget%3 == 0 {
					d.lose()
				}
				d.load()
				said := d.said(0)
				slices.Sort(said)
				for i := range said {
					said[i] = strings.TrimPrefix(said[i], "snapshot ")
				}
				equal(t, fmt.Sprint("killed after ", budget), said, want)
			}
		}
	})
}

// TestLateCommit: a transaction that commits after younger rows were read is found within the overlap, and by the
// comparison of keys when it took longer than that.
func TestLateCommit(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		for _, c := range []struct {
			overlap, deletions string
			found              bool
		}{{"5m", "off", true}, {"1us", "off", false}, {"1us", "every 1ns", true}} {
			d := newDesk(t, s.newTable(t))
			d.settings["overlap"], d.settings["deletions"] = c.overlap, c.deletions
			tx := d.transaction(t, []conformance.Operation{{Kind: conformance.Insert, Row: conformance.Row{ID: "late"}}})
			d.Apply(t, conformance.Operation{Kind: conformance.Insert, Row: conformance.Row{ID: "early"}})
			d.load()
			equal(t, "before the commit", d.holds(), []string{"early"})
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
			d.load()
			if found := slices.Contains(d.holds(), "late"); found != c.found {
				t.Errorf("overlap %s, deletions %s: found is %v", c.overlap, c.deletions, found)
			}
			n := len(d.said(0))
			d.load()
			equal(t, "said again", d.said(n), nil)
		}
	})
}

// TestCommitsBehindALongPoll: what commits behind the place where a poll stands is found by the next one, however far that
// poll went on meanwhile. No commit is later than the overlap.
func TestCommitsBehindALongPoll(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		for _, kill := range []bool{false, true} {
			d := s.on(t, "id int PRIMARY KEY, name varchar(20), updated_at bigint NOT NULL")
			d.with["chunk_rows"], d.settings["overlap"], d.settings["deletions"] = 1, 3, "off"
			d.bus.PackRows = 1
			insert := func(mark int) {
				s.exec(t, fmt.Sprintf("INSERT INTO %s VALUES (%d, 'n', %d)", d.full(), mark, mark))
			}
			for mark := 1; mark <= 10; mark++ {
				insert(mark)
			}
			appended := 0
			d.bus.AtAppend = func() {
				switch appended++; appended {
				case 5:
					insert(15)
				case 11: // the row 15
					insert(12)
					insert(20)
				case 12: // the row 20
					insert(25)
					if kill {
						d.bus.Budget = 0
					}
				}
			}
			if err := d.run(); err != nil && !kill {
				t.Fatal(err)
			}
			d.bus.Restart()
			d.load()
			if got := d.holds(); len(got) != 14 {
				t.Errorf("kill %v: 14 rows became %q", kill, got)
			}
			if n := len(d.said(0)); n != 14 {
				t.Errorf("kill %v: 14 rows were said %d times", kill, n)
			}
		}
	})
}

// TestRowThatComesBack: a row that was not there when the keys were read, and is there when they have been, is not deleted.
func TestRowThatComesBack(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		d := s.on(t, "id int PRIMARY KEY, name varchar(20), updated_at bigint NULL")
		s.exec(t, "INSERT INTO "+d.full()+" VALUES (1, 'a', 1), (2, 'b', 1), (3, 'c', NULL), (4, 'd', 1)")
		d.load()
		s.exec(t, "DELETE FROM "+d.full()+" WHERE id IN (1, 4)")
		d.told = func(e connectors.Event) {
			if e.Problem == "null_watermark" { // the keys have been read
				s.exec(t, "INSERT INTO "+d.full()+" VALUES (1, 'back', 9)")
			}
		}
		d.load()
		equal(t, "said", d.said(4), []string{"update 1", "delete 4"})
	})
}

func TestNullWatermarks(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		for _, deletions := range []string{"off", "every 24h"} {
			d := s.on(t, "id int PRIMARY KEY, name varchar(20), updated_at "+s.stamped()+" NULL")
			d.settings["deletions"] = deletions
			at := time.Now()
			d.now = func() time.Time { return at }
			s.exec(t, "INSERT INTO "+d.full()+" (id, name, updated_at) VALUES (1, 'a', "+s.ago(time.Minute)+"), (2, 'b', NULL), (3, 'c', NULL)")
			d.load()
			equal(t, "first read", d.said(0), []string{"snapshot 1", "snapshot 2", "snapshot 3"})
			equal(t, "problems", d.problems(), []string{"watermark_not_indexed", "null_watermark"})
			s.exec(t, "UPDATE "+d.full()+" SET name = 'x', updated_at = NULL WHERE id = 3", "DELETE FROM "+d.full()+" WHERE id = 2")
			d.load()
			equal(t, "before a day is over", d.said(3), nil)
			at = at.Add(25 * time.Hour)
			d.load()
			want := []string{"update 3"}
			if deletions != "off" {
				want = append(want, "delete 2")
			}
			equal(t, "after a day", d.said(3), want)
			s.exec(t, "UPDATE "+d.full()+" SET updated_at = "+s.ago(0)+" WHERE updated_at IS NULL")
			d.load()
			equal(t, "with a watermark", d.said(3+len(want)), []string{"update 3"})
		}
	})
}

func TestLostLedger(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		d := newDesk(t, s.newTable(t))
		for i := range 25 {
			d.Apply(t, conformance.Operation{Kind: conformance.Insert, Row: conformance.Row{ID: strconv.Itoa(i), Name: conformance.Text(" x ")}})
		}
		d.load()
		d.lose()
		d.load()
		if n := len(d.said(0)); n != 25 {
			t.Errorf("25 rows became %d changes", n)
		}
		d.Apply(t, conformance.Operation{Kind: conformance.Delete, Row: conformance.Row{ID: "3"}}, conformance.Operation{Kind: conformance.Update, Row: conformance.Row{ID: "4"}})
		d.lose()
		d.load()
		equal(t, "after the second loss", d.said(25), []string{"update 4", "delete 3"})
	})
}

// TestBusLostItsEnd: a bus that lost its newest messages gets them again, although the ledger has them.
func TestBusLostItsEnd(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		d := newDesk(t, s.newTable(t))
		for i := range 20 {
			d.Apply(t, conformance.Operation{Kind: conformance.Insert, Row: conformance.Row{ID: strconv.Itoa(i)}})
		}
		d.load()
		shorter := conformance.NewBus()
		err := d.bus.History(t.Context(), conformance.Dataset, 0, func(sequence uint64, b *change.Batch) error {
			if sequence > 3 {
				return nil
			}
			b.Record.Retain() // Put releases it
			return shorter.Put(b)
		})
		if err != nil {
			t.Fatal(err)
		}
		d.bus = shorter
		d.load()
		if got := d.said(0); len(got) != 20 || len(d.holds()) != 20 {
			t.Errorf("20 rows became %q", got)
		}
	})
}

func TestTooManyDeletions(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		d := newDesk(t, s.newTable(t))
		for i := range 10 {
			d.Apply(t, conformance.Operation{Kind: conformance.Insert, Row: conformance.Row{ID: strconv.Itoa(i)}})
		}
		d.load()
		s.exec(t, "DELETE FROM "+d.full()+" WHERE id < '6'")
		d.load()
		equal(t, "held", d.said(10), nil)
		equal(t, "problems", d.problems(), []string{"too_many_deletions"})
		d.with["max_deletions"] = "60%"
		d.load()
		if n := len(d.holds()); n != 4 {
			t.Errorf("%d records are left, not 4", n)
		}
	})
}

func TestSoftDeletions(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		for _, every := range []any{nil, "1ns"} {
			d := s.on(t, "id int PRIMARY KEY, name varchar(20), gone char(1) NOT NULL, updated_at bigint NOT NULL")
			soft := map[string]any{"column": "gone", "is": 1}
			if every != nil {
				soft["every"] = every
			}
			d.settings["deletions"] = soft
			s.exec(t, "INSERT INTO "+d.full()+" VALUES (1, 'a', '0', 1), (2, 'b', '1', 2), (3, 'c', '0', 3)")
			d.load()
			s.exec(t, "UPDATE "+d.full()+" SET gone = '1', updated_at = 4 WHERE id = 1")
			d.load()
			s.exec(t, "UPDATE "+d.full()+" SET gone = '0', updated_at = 5 WHERE id = 1")
			d.load()
			s.exec(t, "DELETE FROM "+d.full()+" WHERE id = 3")
			d.load()
			want := []string{"snapshot 1", "snapshot 3", "delete 1", "create 1"}
			if every != nil {
				want = append(want, "delete 3")
			}
			equal(t, "said", d.said(0), want)
		}
	})
}

// TestWatermarkAhead: a year that was mistyped does not have later rows passed over.
func TestWatermarkAhead(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		for _, kind := range []string{s.stamped(), map[string]string{"postgres": "timestamp", "mysql": "datetime(6)"}[s.driver], "date"} {
			d := s.on(t, "id int PRIMARY KEY, name varchar(20), updated_at "+kind+" NOT NULL")
			d.settings["deletions"], d.settings["overlap"] = "off", "1s"
			d.with["time_zone"] = "UTC"
			s.exec(t, "INSERT INTO "+d.full()+" VALUES (1, 'a', '2036-01-01 00:00:00'), (2, 'b', "+s.ago(time.Hour)+")")
			d.load()
			equal(t, kind, d.problems(), []string{"watermark_not_indexed", "watermark_ahead"})
			s.exec(t, "INSERT INTO "+d.full()+" VALUES (3, 'c', "+s.ago(0)+")")
			d.load()
			n := len(d.said(0))
			d.load()
			equal(t, kind, d.said(0), []string{"snapshot 2", "snapshot 1", "create 3"})
			equal(t, kind+", again", d.said(n), nil)
		}
	})
}

// TestLocalClock: local times are compared with the server's own clock, or with that of the zone that is named.
func TestLocalClock(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		for _, c := range []struct {
			server, named string
			ahead         bool
		}{{"Asia/Shanghai", "", false}, {"America/New_York", "", true}, {"America/New_York", "Asia/Shanghai", false}} {
			d := s.on(t, "id int PRIMARY KEY, name varchar(20), updated_at "+map[string]string{"postgres": "timestamp", "mysql": "datetime"}[s.driver]+" NOT NULL")
			d.InZone(t, c.server)
			if c.named != "" {
				d.with["time_zone"] = c.named
			}
			shanghai := time.FixedZone("", 8*3600)
			s.exec(t, "INSERT INTO "+d.full()+" VALUES (1, 'a', '"+time.Now().In(shanghai).Add(-time.Minute).Format(time.DateTime)+"')")
			d.load()
			if got := slices.Contains(d.problems(), "watermark_ahead"); got != c.ahead {
				t.Errorf("%+v: ahead is %v", c, got)
			}
			n := len(d.said(0))
			s.exec(t, "INSERT INTO "+d.full()+" VALUES (2, 'a', '"+time.Now().In(shanghai).Format(time.DateTime)+"')")
			d.load()
			equal(t, "said", d.said(n), []string{"create 2"})
		}
	})
}

// TestKeys: keys are found again whatever their type and however their department pads them.
func TestKeys(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		binary := map[string]string{"postgres": "bytea", "mysql": "varbinary(20)"}[s.driver]
		for _, c := range []struct{ kind, a, b, c string }{
			{"int", "1", "2", "10"}, {"bigint", "9007199254740993", "9007199254740992", "9007199254740994"}, {"numeric(20,2)", "1.50", "1.05", "10"},
			{"char(6)", "'a'", "'b'", "'ab'"}, {"varchar(20)", "' a'", "'b '", "'王'"}, {"date", "'2026-01-01'", "'2025-01-01'", "'2026-12-31'"},
			{binary, `'\x0a'`, `'\x00'`, `'\xff'`},
		} {
			if s.driver == "mysql" && strings.HasPrefix(c.a, `'\x`) {
				c.a, c.b, c.c = "x'0a'", "x'00'", "x'ff'"
			}
			d := s.on(t, "id "+c.kind+" PRIMARY KEY, name varchar(20), updated_at bigint NOT NULL")
			d.with["chunk_rows"] = 1
			for i, v := range []string{c.a, c.b, c.c} {
				s.exec(t, fmt.Sprintf("INSERT INTO %s VALUES (%s, 'x', %d)", d.full(), v, 7+i/2))
			}
			d.load()
			first := d.holds()
			if len(first) != 3 {
				t.Errorf("%s: %q", c.kind, first)
			}
			d.load()
			d.lose()
			d.load()
			equal(t, c.kind+", said again", d.said(3), nil)
			s.exec(t, "DELETE FROM "+d.full()+" WHERE id = "+c.b)
			d.load()
			if got := d.said(3); len(got) != 1 || !strings.HasPrefix(got[0], "delete ") {
				t.Errorf("%s: %q", c.kind, got)
			}
			d.load()
			equal(t, c.kind+" problems", d.problems(), []string{"watermark_not_indexed", "watermark_not_indexed", "watermark_not_indexed", "watermark_not_indexed", "watermark_not_indexed"})
		}
	})
}

// TestColumnsWithDefaults: a column with a default is in every row, and no watermark moved.
func TestColumnsWithDefaults(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		d := s.on(t, "id int PRIMARY KEY, name varchar(20), updated_at bigint NOT NULL")
		d.settings["overlap"], d.settings["deletions"] = 0, "off"
		s.exec(t, "INSERT INTO "+d.full()+" VALUES (1, 'a', 1), (2, 'b', 2)")
		d.load()
		s.exec(t, "ALTER TABLE "+d.full()+" ADD COLUMN region varchar(20) DEFAULT '350100'")
		d.bus.Budget = 1
		if err := d.run(); !errors.Is(err, conformance.ErrKilled) {
			t.Fatal(err)
		}
		d.bus.Budget = -1
		d.load()
		equal(t, "said", d.said(2), []string{"update 1", "update 2"})
		s.exec(t, "ALTER TABLE "+d.full()+" ADD COLUMN empty varchar(20)")
		d.load()
		equal(t, "said of a column that is NULL", d.said(4), nil)
		shaped := d.bus.Shaped(conformance.Dataset)
		if n := len(shaped); n != 5 || shaped[1].Type == "" {
			t.Errorf("shape %+v", shaped)
		}
	})
}

// TestRowsThatCannotBeUsed go to quarantine once.
func TestRowsThatCannotBeUsed(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		d := newDesk(t, s.newTable(t))
		large := strings.Repeat("大", rowLimit/3+10)
		for id, note := range map[string]string{"large": large, " ": "blank key", "good": "x"} {
			d.do(t, s.admin, conformance.Operation{Kind: conformance.Insert, Row: conformance.Row{ID: id, Note: &note}})
		}
		d.load()
		d.load()
		d.lose()
		d.load()
		count := map[string]int{}
		for _, said := range d.bus.Said(conformance.Dataset) {
			count[said.Op.String()]++
		}
		if count["malformed"] != 2 || count["snapshot"] != 1 {
			t.Errorf("said %v", count)
		}
		if got := d.problems(); !slices.Contains(got, "no_key") {
			t.Errorf("problems %q", got)
		}
	})
}

// TestAnyHistory: whatever happens to the table, the connector and its folder, the bus ends as the table does, and nothing
// is said that changes nothing.
func TestAnyHistory(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		b := s.newTable(t)
		b.with["chunk_rows"], b.with["max_deletions"] = 2, 1
		left := map[string]int{"mysql": 100, "postgres": 25}[s.driver] // a connection costs PostgreSQL a process
		rapid.Check(t, func(rt *rapid.T) {
			if left--; left < 0 {
				return
			}
			s.exec(t, "DELETE FROM "+b.full())
			d := newDesk(t, b)
			d.bus.PackRows = 3
			want := map[string]string{}
			for step := range rapid.IntRange(1, 4).Draw(rt, "steps") {
				for range rapid.IntRange(0, 5).Draw(rt, "operations") {
					id := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(rt, "id")
					name := fmt.Sprint(step)
					row := conformance.Row{ID: id, Name: &name}
					if _, there := want[id]; !there {
						d.do(t, s.admin, conformance.Operation{Kind: conformance.Insert, Row: row})
						want[id] = name
					} else if rapid.Bool().Draw(rt, "delete") {
						d.do(t, s.admin, conformance.Operation{Kind: conformance.Delete, Row: row})
						delete(want, id)
					} else {
						d.do(t, s.admin, conformance.Operation{Kind: conformance.Update, Row: row})
						want[id] = name
					}
				}
				if rapid.IntRange(0, 4).Draw(rt, "lost") == 0 {
					d.lose()
				}
				d.bus.Budget, d.bus.Lose = rapid.IntRange(-1, 8).Draw(rt, "calls"), rapid.IntRange(0, 3).Draw(rt, "sent while dying")
				if err := d.run(); err != nil && !errors.Is(err, conformance.ErrKilled) {
					rt.Fatal(err)
				}
				d.bus.Budget = -1
			}
			d.load()
			got := d.bus.Records(conformance.Dataset)
			for id, name := range want {
				if got[id]["name"] != name {
					rt.Fatalf("%s is %q, not %q; said %q", id, got[id]["name"], name, d.said(0))
				}
			}
			if len(got) != len(want) {
				rt.Fatalf("%d records, want %d; said %q", len(got), len(want), d.said(0))
			}
			last := map[string]string{}
			for _, s := range d.bus.Said(conformance.Dataset) {
				if s.Op == change.Delete {
					if _, there := last[s.Key]; !there {
						rt.Fatalf("%s was deleted and not there", s.Key)
					}
					delete(last, s.Key)
					continue
				}
				if last[s.Key] == s.Values {
					rt.Fatalf("%s was said again", s.Key)
				}
				last[s.Key] = s.Values
			}
			n := len(d.said(0))
			d.load()
			if more := d.said(n); more != nil {
				rt.Fatalf("a load with nothing new said %q", more)
			}
		})
	})
}
