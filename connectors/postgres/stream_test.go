package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/connectors/conformance"
	"github.com/shirecounty/shire/schemas/change"
)

var one = map[string][]string{"residents": {"id"}}

const residents = "CREATE TABLE residents (id int PRIMARY KEY, name text, large text); ALTER TABLE residents ALTER large SET STORAGE EXTERNAL"

// counter is an outlet that keeps nothing.
type counter struct {
	*conformance.Bus
	rows int
	most uint64 // of the heap
	last change.Position
}

func (c *counter) Append(_ context.Context, _, _ string, _ []string, ch change.Change) error {
	if c.rows++; c.rows%5000 == 0 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		c.most = max(c.most, m.HeapAlloc)
	}
	c.last = ch.Position
	return nil
}
func (c *counter) Flush(context.Context) error                             { return nil }
func (c *counter) Safe(string) change.Position                             { return c.last }
func (c *counter) Resume(context.Context, string) (change.Position, error) { return c.last, nil }

func TestLargeTransactionTakesNoMemory(t *testing.T) {
	s := newSource(t, start(t), one, residents)
	out := &counter{Bus: s.bus}
	s.with["chunk_rows"] = 50_000
	const rows = 200_000
	run := func() {
		t.Helper()
		out.rows, out.most = 0, 0
		var before runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		if err := s.connector(t).Run(t.Context(), out, false); err != nil {
			t.Fatal(err)
		}
		if grown := int64(out.most) - int64(before.HeapAlloc); grown > 24<<20 {
			t.Errorf("the heap grew by %d MiB", grown>>20)
		}
	}
	exec(t, s.conn, "INSERT INTO residents SELECT 0, 'first', NULL")
	run()
	exec(t, s.conn, "INSERT INTO residents SELECT i, 'name', repeat('x', 400) FROM generate_series(1, $1) i", rows)
	run()
	if out.rows != rows {
		t.Errorf("%d changes, not %d", out.rows, rows)
	}
	s.labels["residents"] = "again"
	run()
	if out.rows != rows+1 {
		t.Errorf("%d rows of the snapshot, not %d", out.rows, rows+1)
	}
}

func TestUnchangedLargeValues(t *testing.T) {
	t.Parallel()
	for _, identity := range []string{"DEFAULT", "FULL"} {
		t.Run(identity, func(t *testing.T) {
			s := newSource(t, start(t), one, residents, "ALTER TABLE residents REPLICA IDENTITY "+identity)
			exec(t, s.conn, "INSERT INTO residents SELECT i, 'name', repeat('x', 10000) || i FROM generate_series(1, 4) i")
			s.load(t)
			exec(t, s.conn, "UPDATE residents SET name = 'changed' WHERE id = 1")
			exec(t, s.conn, "UPDATE residents SET id = 20 WHERE id = 2")
			exec(t, s.conn, "UPDATE residents SET name = 'gone' WHERE id = 3; DELETE FROM residents WHERE id = 3")
			exec(t, s.conn, "UPDATE residents SET name = 'newer' WHERE id = 4")
			exec(t, s.conn, "UPDATE residents SET large = NULL WHERE id = 4")
			s.load(t)
			s.equal(t)
			for _, said := range s.bus.Said("residents") {
				if said.Op == change.Update && said.Key == "1" && !strings.Contains(said.Values, "xxxx") {
					t.Errorf("a value that did not change was said as %.100q", said.Values)
				}
			}
		})
	}
}

func TestUnchangedLargeValueOfAColumnThatWasRenamedOrDropped(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		alter   string
		columns string
		large   bool
	}{
		{"ALTER TABLE residents RENAME large TO larger", "id|name|large", true},
		{"ALTER TABLE residents DROP large", "id|name", false},
		{"ALTER TABLE residents RENAME id TO number", "", false},
	} {
		s := newSource(t, start(t), one, residents)
		exec(t, s.conn, "INSERT INTO residents SELECT i, 'name', repeat('x', 10000) FROM generate_series(1, 2) i")
		s.load(t)
		ctx, stop := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() { s.connector(t).Run(ctx, s.bus, true) }) // it may end by itself, when the key is gone
		s.active(t)
		exec(t, s.conn, "UPDATE residents SET name = 'changed' WHERE id = 1; "+c.alter)
		if c.columns == "" { // the contract's key is gone, which ends the run later; the change before it is whole
			s.until(t, func() string { return lacks(s.bus.Records("residents")["1"], "name", "changed") })
			if !strings.HasPrefix(s.bus.Records("residents")["1"]["large"], "xxxx") {
				t.Error("the large value is lost")
			}
			stop()
			run.Wait()
			continue
		}
		s.until(t, func() string {
			for _, said := range s.bus.Said("residents") {
				if said.Op == change.Update {
					if said.Columns != c.columns || strings.Contains(said.Values, "xxxx") != c.large {
						t.Fatalf("columns %s, values %.60q", said.Columns, said.Values)
					}
					return ""
				}
			}
			return "the change is lost"
		})
		stop()
		run.Wait()
		s.load(t) // notices the columns, and reads the table again where it has to
		if c.large {
			s.equal(t)
		}
	}
}

func TestTruncate(t *testing.T) {
	t.Parallel()
	for budget := 0; ; budget += 2 {
		s := newSource(t, start(t), map[string][]string{"residents": {"id"}, "steps": {"hall", "number"}}, residents,
			"CREATE TABLE steps (hall text, number int, PRIMARY KEY (number, hall))")
		exec(t, s.conn, "INSERT INTO residents SELECT i FROM generate_series(1, 6) i; INSERT INTO steps VALUES ('a', 1), ('a', 2), ('b', 1)")
		s.load(t)
		exec(t, s.conn, "DELETE FROM residents WHERE id = 1; INSERT INTO residents VALUES (7); TRUNCATE residents, steps; INSERT INTO residents VALUES (2, 'back')")
		before := len(s.bus.Said("residents")) + len(s.bus.Said("steps"))
		killed := false
		for attempt := 0; ; attempt++ {
			s.bus.Restart()
			s.bus.PackRows = 2
			if s.bus.Lose = attempt % 2; attempt < 2 {
				s.bus.Budget = budget
			}
			err := s.run(t)
			if err == nil {
				break
			}
			if !errors.Is(err, conformance.ErrKilled) {
				t.Fatal(err)
			}
			killed = true
		}
		s.bus.Budget = -1
		s.bus.Linger()
		s.equal(t)
		if said := len(s.bus.Said("residents")) + len(s.bus.Said("steps")) - before; said != 2+6+3+1 {
			t.Fatalf("killed after %d calls: %d changes", budget, said)
		}
		if !killed {
			return
		}
	}
}

func TestTablesWithoutPrimaryKey(t *testing.T) {
	t.Parallel()
	s := newSource(t, start(t), map[string][]string{"visits": {"hall", "number"}}, "CREATE TABLE visits (hall text, number int, note text)")
	exec(t, s.conn, "INSERT INTO visits SELECT 'h' || i % 3, i, 'note' FROM generate_series(1, 30) i; INSERT INTO visits VALUES ('h1', NULL, 'no key'), (NULL, 5, 'no key')")
	if err := s.run(t); err == nil || !strings.Contains(err.Error(), "REPLICA IDENTITY FULL") {
		t.Fatal(err)
	}
	e := s.problem(t, "replica_identity", false)
	exec(t, s.conn, strings.SplitAfter(sqlIn(t, e.Message), ";")[0])
	s.load(t)
	exec(t, s.conn, "UPDATE visits SET note = 'x' WHERE number = 7; UPDATE visits SET number = 700 WHERE number = 8; DELETE FROM visits WHERE number = 9; UPDATE visits SET hall = '' WHERE number = 10")
	s.load(t)
	exec(t, s.conn, "DELETE FROM visits WHERE number IS NULL OR coalesce(hall, '') = ''")
	s.load(t)
	s.equal(t)
	malformed := 0
	for _, said := range s.bus.Said("visits") {
		if said.Op == change.Malformed {
			malformed++
		}
	}
	if malformed != 3 {
		t.Errorf("%d rows without a key, not 3", malformed)
	}
}

func TestKeyOutsideOfThePrimaryKey(t *testing.T) {
	t.Parallel()
	s := newSource(t, start(t), map[string][]string{"residents": {"number"}}, "CREATE TABLE residents (id int PRIMARY KEY, number text NOT NULL)", "INSERT INTO residents VALUES (1, 'a'), (2, 'b')")
	if err := s.run(t); err == nil {
		t.Fatal("deletions could not be told, and nothing was said")
	}
	exec(t, s.conn, "CREATE UNIQUE INDEX by_number ON residents (number); ALTER TABLE residents REPLICA IDENTITY USING INDEX by_number")
	s.load(t)
	exec(t, s.conn, "UPDATE residents SET number = 'c' WHERE id = 1; DELETE FROM residents WHERE id = 2")
	s.load(t)
	s.equal(t)
}

func TestPartitions(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"PRIMARY KEY (id, year)", ""} {
		s := newSource(t, start(t), one, fmt.Sprintf("CREATE TABLE residents (id int, year int, name text%s) PARTITION BY RANGE (year)", strings.TrimSuffix(", "+key, ", ")),
			"CREATE TABLE residents_old PARTITION OF residents FOR VALUES FROM (1900) TO (2000); CREATE TABLE residents_new PARTITION OF residents FOR VALUES FROM (2000) TO (2100)",
			"INSERT INTO residents SELECT i, 1990 + i, 'name' FROM generate_series(1, 20) i")
		if key == "" {
			exec(t, s.conn, "ALTER TABLE residents REPLICA IDENTITY FULL")
			if err := s.run(t); err == nil {
				t.Fatal("the partitions do not say what was deleted, and nothing was said")
			}
			exec(t, s.conn, sqlIn(t, s.problem(t, "replica_identity", false).Message))
		}
		s.load(t)
		exec(t, s.conn, "UPDATE residents SET name = 'x' WHERE id = 3; UPDATE residents SET year = 2005 WHERE id = 4; DELETE FROM residents WHERE id = 15; INSERT INTO residents VALUES (100, 2050, 'y')")
		s.load(t)
		s.equal(t)
		exec(t, s.conn, "TRUNCATE residents")
		s.load(t)
		s.equal(t)
	}
}

func TestSnapshotOfOneTableAgain(t *testing.T) {
	t.Parallel()
	s := newSource(t, start(t), map[string][]string{"residents": {"id"}, "steps": {"id"}}, residents, "CREATE TABLE steps (id int PRIMARY KEY, name text)")
	exec(t, s.conn, "INSERT INTO residents SELECT i FROM generate_series(1, 40) i; INSERT INTO steps SELECT i FROM generate_series(1, 40) i")
	s.load(t)
	before := len(s.bus.Said("steps"))
	s.labels["residents"] = "2026-12"
	_, stop := s.follow(t)
	for i := range 30 {
		exec(t, s.conn, "UPDATE residents SET name = $2 WHERE id = $1", i, fmt.Sprint("a", i))
		exec(t, s.conn, "UPDATE steps SET name = $2 WHERE id = $1", i+1, fmt.Sprint("b", i))
	}
	s.settled(t)
	again := 0
	s.until(t, func() string {
		again = 0
		for _, said := range s.bus.Said("residents") {
			if said.Op == change.Snapshot {
				again++
			}
		}
		if again < 80 {
			return "the table was not read again"
		}
		return ""
	})
	stop()
	if again != 80 {
		t.Errorf("%d rows of two snapshots of 40", again)
	}
	if said := len(s.bus.Said("steps")) - before; said != 30 {
		t.Errorf("the other table said %d changes, not 30", said)
	}
	s.load(t)
	s.equal(t)
}

func TestDefaultOfANewColumnIsFollowed(t *testing.T) {
	t.Parallel()
	s := newSource(t, start(t), one, residents)
	s.look = 20 * time.Millisecond
	exec(t, s.conn, "INSERT INTO residents SELECT i, 'name' FROM generate_series(1, 20) i")
	_, stop := s.follow(t)
	s.settled(t)
	exec(t, s.conn, "ALTER TABLE residents ADD status text NOT NULL DEFAULT '在册'") // no row changes
	s.settled(t)
	exec(t, s.conn, "ALTER TABLE residents ADD empty text; UPDATE residents SET empty = 'x' WHERE id = 1")
	s.until(t, func() string { return lacks(s.bus.Records("residents")["1"], "empty", "x") })
	exec(t, s.conn, "ALTER TABLE residents ALTER id TYPE bigint, ALTER name TYPE varchar(7)")
	s.until(t, func() string {
		for _, c := range s.bus.Shaped("residents") {
			if c == (connectors.Column{Name: "name", Type: "character varying(7)"}) {
				return ""
			}
		}
		return fmt.Sprint("the new types are not told: ", s.bus.Shaped("residents"))
	})
	stop()
}

func lacks(record map[string]string, column, value string) string {
	if record[column] != value {
		return fmt.Sprintf("%s is %q, not %q", column, record[column], value)
	}
	return ""
}

func TestQuietTablesHoldNothingBack(t *testing.T) {
	t.Parallel()
	s := newSource(t, start(t), map[string][]string{"residents": {"id"}, "quiet": {"id"}}, residents, "CREATE TABLE quiet (id int PRIMARY KEY)", "CREATE TABLE elsewhere (id int)")
	exec(t, s.conn, "INSERT INTO quiet VALUES (1); INSERT INTO residents VALUES (1, 'a')")
	_, stop := s.follow(t)
	s.settled(t)
	for _, sql := range []string{"UPDATE residents SET name = 'b'", "INSERT INTO elsewhere SELECT generate_series(1, 1000)"} {
		exec(t, s.conn, sql)
		end := s.scalar(t, "SELECT pg_current_wal_flush_lsn()::text")
		s.until(t, func() string {
			if s.scalar(t, "SELECT (confirmed_flush_lsn >= $1::text::pg_lsn)::text FROM pg_replication_slots WHERE slot_name = $2", end, s.name) != "true" {
				return "the slot holds the log although all is safe, after " + sql
			}
			return ""
		})
	}
	stop()
	s.load(t)
	s.equal(t)
}

func TestNothingIsConfirmedBeforeItIsSafe(t *testing.T) {
	t.Parallel()
	s := newSource(t, start(t), map[string][]string{"residents": {"id"}, "steps": {"id"}}, residents, "CREATE TABLE steps (id int PRIMARY KEY)")
	s.confirm = time.Millisecond
	exec(t, s.conn, "INSERT INTO residents VALUES (0); INSERT INTO steps VALUES (0)")
	s.load(t)
	// The bus takes everything and makes nothing safe: no message becomes full, and the platform does not linger.
	out := &unsafe{Bus: s.bus}
	s.bus.PackRows = 1 << 20
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.connector(t).Run(ctx, out, true) }()
	exec(t, s.conn, "INSERT INTO steps VALUES (1)")
	first := s.scalar(t, "SELECT pg_current_wal_flush_lsn()::text")
	for i := range 200 {
		exec(t, s.conn, "INSERT INTO residents VALUES ($1)", i+1)
		time.Sleep(time.Millisecond)
	}
	if s.scalar(t, "SELECT (confirmed_flush_lsn < $1::text::pg_lsn)::text FROM pg_replication_slots WHERE slot_name = $2", first, s.name) != "true" {
		t.Error("what was not safe was confirmed")
	}
	cancel()
	<-done
	s.bus.Forget() // all that was appended is lost
	s.bus.PackRows = 4
	s.load(t)
	s.equal(t)
}

// unsafe is a bus whose Flush is never answered while the run goes on.
type unsafe struct{ *conformance.Bus }

func (u *unsafe) Flush(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return errors.New("the bus is gone")
}

func TestSnapshotGoesOnInTheMiddleOfAChunk(t *testing.T) {
	t.Parallel()
	for budget := 1; budget < 60; budget += 7 {
		s := newSource(t, start(t), one, residents)
		exec(t, s.conn, "INSERT INTO residents SELECT i, 'name' FROM generate_series(1, 40) i")
		for attempt := 0; ; attempt++ {
			s.bus.Restart()
			s.bus.PackRows, s.bus.Lose = 2, attempt%3
			if attempt < 4 {
				s.bus.Budget = budget
			}
			// Writes before, at and behind the mark, while a chunk is read.
			n := 0
			s.bus.AtAppend = func() {
				if n++; n%5 == 0 && attempt < 4 {
					exec(t, s.conn, "UPDATE residents SET name = $2 WHERE id % 7 = $1", n%7, fmt.Sprint("at ", attempt, n))
					exec(t, s.conn, "DELETE FROM residents WHERE id = $1", (n*13+attempt)%40)
					exec(t, s.conn, "INSERT INTO residents VALUES ($1, 'new') ON CONFLICT DO NOTHING", (n*11+attempt)%40)
				}
			}
			err := s.run(t)
			if err == nil {
				break
			}
			if !errors.Is(err, conformance.ErrKilled) {
				t.Fatal(err)
			}
		}
		s.bus.Budget, s.bus.AtAppend = -1, nil
		s.load(t)
		s.equal(t)
	}
}

func TestSurveyAndResend(t *testing.T) {
	t.Parallel()
	s := newSource(t, start(t), map[string][]string{"residents": {"code", "part"}}, "CREATE TABLE residents (code char(6), part int, name text, PRIMARY KEY (part, code))",
		"INSERT INTO residents SELECT ' a' || i, i % 3, 'name' FROM generate_series(1, 40) i")
	c, stop := s.follow(t)
	s.settled(t)
	survey := func(keys ...string) map[string]string {
		t.Helper()
		got := map[string]string{}
		err := c.(connectors.Surveyor).Survey(t.Context(), "residents", keys, func(columns []string, ch change.Change) error {
			got[ch.Key] = strings.Join(ch.Values, "|")
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	key := func(code string, part int) string { return fmt.Sprint(code, change.KeySeparator, part) }
	if got := survey(); len(got) != 40 || got[key("a7", 1)] != " a7   |1|name" {
		t.Errorf("%d records: %v", len(got), got)
	}
	some := survey(key("a7", 1), key("a7", 2), key("none", 1), "no composite key", key("a8", 999), key("x", 0)+"y")
	if !slices.Equal(slices.Collect(maps.Keys(some)), []string{key("a7", 1)}) {
		t.Errorf("%v", some)
	}
	// What the bus believes wrongly is put right.
	b := change.NewBuilder("test", "bureau", "residents", "residents", []string{"code", "part", "name"})
	last := s.bus.Safe("residents")
	b.Append(change.Change{Op: change.Update, Key: key("a7", 1), Values: []string{" a7   ", "1", "stale"}, Position: last})
	b.Append(change.Change{Op: change.Create, Key: key("phantom", 1), Values: []string{"phantom", "1", "x"}, Position: last})
	b.Append(change.Change{Op: change.Delete, Key: key("a8", 2), Values: []string{" a8   ", "2"}, Position: last})
	if err := s.bus.Put(b.Build()); err != nil {
		t.Fatal(err)
	}
	if s.differs(t, "residents") == "" {
		t.Fatal("nothing to put right")
	}
	if err := c.(connectors.Resender).Resend(t.Context(), "residents", []string{key("a7", 1), key("phantom", 1), key("a8", 2)}); err != nil {
		t.Fatal(err)
	}
	s.settled(t)
	stop()
	s.load(t)
	s.equal(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.connector(t).(connectors.Resender).Resend(ctx, "residents", []string{"x"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Error("without a run:", err)
	}
}

func TestSnapshotIsNotBegunAgain(t *testing.T) {
	t.Parallel()
	s := newSource(t, start(t), one, residents, "INSERT INTO residents SELECT i, 'name' FROM generate_series(1, 40) i")
	s.bus.Budget, s.bus.PackRows, s.bus.Lose = 25, 1, 0
	if err := s.run(t); !errors.Is(err, conformance.ErrKilled) {
		t.Fatal(err)
	}
	s.bus.Restart()
	s.load(t)
	s.equal(t)
	if said := len(s.bus.Said("residents")); said != 40 {
		t.Errorf("%d rows were said of a table of 40", said)
	}
}

// TestATransactionOlderThanThePublication: what it wrote before its table was published is not in the stream, so the snapshot
// waits for it; the other table does not.
func TestATransactionOlderThanThePublication(t *testing.T) {
	t.Parallel()
	s := newSource(t, start(t), one, residents, "CREATE TABLE steps (id int PRIMARY KEY, name text)", "INSERT INTO residents VALUES (1)")
	s.load(t)
	writer := connect(t, s.server, s.name)
	exec(t, writer, "BEGIN")
	exec(t, writer, "INSERT INTO steps VALUES (1, 'older')")
	s.keys = map[string][]string{"residents": {"id"}, "steps": {"id"}}
	_, stop := s.follow(t)
	exec(t, s.conn, "INSERT INTO residents VALUES (2)")
	s.until(t, func() string { return lacks(s.bus.Records("residents")["2"], "id", "2") })
	time.Sleep(100 * time.Millisecond) // a snapshot that does not wait would be over
	exec(t, writer, "COMMIT")
	s.settled(t)
	stop()
}
