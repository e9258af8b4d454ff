package mysql

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/connectors/conformance"
	"github.com/shirecounty/shire/schemas/change"
)

// pair is a bench with two tables.
func pair(t testing.TB, server *conformance.MariaDB) *bench {
	b := newBench(t, server)
	for _, name := range []string{"busy", "quiet"} {
		b.system.exec(t, "create table "+name+" (id int primary key, name varchar(200))")
		b.dataset(t, name, name, 1, "id", "name")
		b.system.exec(t, "insert into "+name+" select seq, concat('first ', seq) from seq_1_to_20")
	}
	return b
}

func TestTablesShareTheStream(t *testing.T) {
	b := pair(t, sharedServer(t))
	b.load(t)
	for i := range 30 {
		b.system.exec(t, "update busy set name = ? where id = ?", fmt.Sprint("later ", i), 1+i%20)
	}
	b.load(t)
	// One transaction over both, cut at each of its changes.
	b.system.exec(t, "begin; update busy set name = 'both' where id <= 3; update quiet set name = 'both' where id <= 3; update busy set id = 100 where id = 4; update quiet set name = 'again' where id = 1; commit")
	before := len(b.Said("busy")) + len(b.Said("quiet"))
	for budget := range 12 {
		b.Restart()
		b.PackRows, b.Budget, b.Lose = 2, budget, budget%2
		if err := b.run(t); err != nil && !errors.Is(err, conformance.ErrKilled) {
			t.Fatal(err)
		}
	}
	b.Restart()
	b.load(t)
	b.settled(t)
	if said := len(b.Said("busy")) + len(b.Said("quiet")) - before; said != 3+3+2+1 {
		t.Errorf("%d changes were said, not 9", said)
	}
}

// The library reads ahead while a change is handed on; what it keeps of a domain that is new must not rename its transactions.
func TestTheFirstTransactionsOfADomain(t *testing.T) {
	b := pair(t, sharedServer(t))
	b.load(t)
	b.system.exec(t, "update busy set name = 'before' where id = 1")
	b.system.exec(t, "set session gtid_domain_id = 11; update busy set name = 'first' where id = 2; update busy set name = 'second' where id = 3; set session gtid_domain_id = 0")
	b.Restart()
	b.PackRows = 1
	b.AtAppend = func() { time.Sleep(100 * time.Millisecond) }
	before := b.Len()
	if err := b.connector(t).Run(t.Context(), b, false); err != nil {
		t.Fatal(err)
	}
	b.AtAppend = nil
	var in []string
	b.History(t.Context(), "busy", uint64(before), func(_ uint64, batch *change.Batch) error {
		p, _ := parsePosition(batch.Last)
		in = append(in, p.At.In)
		return nil
	})
	if want := []string{in[0], "11-1-1", "11-1-2"}; !slices.Equal(in, want) {
		t.Errorf("the changes are said to be of the transactions %v, not %v", in, want)
	}
	b.settled(t)
}

func TestTransactionsThatAreTakenBack(t *testing.T) {
	b := pair(t, sharedServer(t))
	b.load(t)
	b.system.exec(t, "begin; update busy set name = 'never' where id = 1; savepoint a; update busy set name = 'never' where id = 2; rollback to a; update busy set name = 'kept' where id = 3; rollback")
	b.system.exec(t, "begin; update busy set name = 'kept' where id = 3; savepoint a; update busy set name = 'never' where id = 2; rollback to a; commit")
	b.load(t)
	b.settled(t)
	for _, s := range b.Said("busy") {
		if strings.Contains(s.Values, "never") {
			t.Errorf("what was taken back was said: %+v", s)
		}
	}
}

// What was noted as safe is safe: the process dies right after a note, with changes that were not sent.
func TestNotesAreOfWhatIsSafe(t *testing.T) {
	for budget := range 6 {
		b := pair(t, sharedServer(t))
		b.load(t)
		for i := range 3 {
			b.system.exec(t, "update busy set name = ? where id = ?", fmt.Sprint("later ", i), 1+i)
		}
		b.Restart()
		b.PackRows, b.Budget = 100, budget
		c := b.connector(t)
		c.safeEvery = 0
		if err := c.Run(t.Context(), b, false); err != nil && !errors.Is(err, conformance.ErrKilled) {
			t.Fatal(err)
		}
		b.Restart()
		b.load(t)
		if d := b.differs(t, 0); d != "" {
			t.Errorf("killed after %d calls: %s", budget, d)
		}
	}
}

// A transaction can stand in the binlog, and be sent, before the tables show it: here it waits for a replica that is none.
func TestTheTablesMayLagBehindTheBinlog(t *testing.T) {
	for _, follow := range []bool{false, true} {
		b := pair(t, sharedServer(t))
		stop := func() {}
		if follow {
			b.load(t)
		}
		b.system.exec(t, "set global rpl_semi_sync_master_wait_point = AFTER_SYNC; set global rpl_semi_sync_master_timeout = 1500; set global rpl_semi_sync_master_wait_no_slave = on; set global rpl_semi_sync_master_enabled = on")
		before := gtidNow(t, b.system.db)
		written := make(chan error, 1)
		go func() {
			_, err := b.system.db.Exec("update busy set name = 'not to be seen yet' where id = 1")
			written <- err
		}()
		var name string
		for deadline := time.Now().Add(30 * time.Second); ; {
			var file, rest string
			var end int64
			if err := b.system.db.QueryRow("show master status").Scan(&file, &end, &rest, &rest); err != nil {
				t.Fatal(err)
			}
			var at string
			if err := b.system.db.QueryRow(fmt.Sprintf("select binlog_gtid_pos('%s', %d), (select name from busy where id = 1)", file, end)).Scan(&at, &name); err != nil {
				t.Fatal(err)
			}
			if at != before {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("the transaction does not come")
			}
		}
		if name != "first 1" {
			t.Fatal("the server shows the transaction at once: this proves nothing")
		}
		if follow {
			b.label(0, "again")
			_, stop = b.follow(t)
		} else {
			b.load(t)
		}
		b.system.exec(t, "set global rpl_semi_sync_master_enabled = off")
		if err := <-written; err != nil {
			t.Fatal(err)
		}
		b.settled(t)
		stop()
	}
}

// The binlog holds the rows of an XA transaction where it was prepared; they come to be much later, or never.
func TestXA(t *testing.T) {
	for _, size := range []int{1, 5000} { // kept in memory, and read again
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			b := pair(t, sharedServer(t))
			b.system.exec(t, "alter table busy modify id int auto_increment")
			b.load(t)
			prepare := func(id, text string) {
				conn, err := b.system.db.Conn(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				for _, s := range []string{"xa start '" + id + "','" + b.system.name + "'", fmt.Sprintf("insert into busy (name) select '%s %s' from seq_1_to_%d", text, strings.Repeat("x", 100), size), "xa end '" + id + "','" + b.system.name + "'", "xa prepare '" + id + "','" + b.system.name + "'"} {
					if _, err := conn.ExecContext(t.Context(), s); err != nil {
						t.Fatal(err)
					}
				}
				// A prepared transaction belongs to its connection until that ends.
				conn.Raw(func(any) error { return errors.New("end it") })
				conn.Raw(func(c any) error { c.(interface{ Close() error }).Close(); return nil })
			}
			end := func(word, id string) {
				for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
					_, err := b.system.db.Exec("xa " + word + " '" + id + "','" + b.system.name + "'")
					if err == nil {
						return
					}
					if time.Now().After(deadline) {
						t.Fatal(err)
					}
				}
			}
			prepare("a", "kept")
			prepare("b", "never")
			b.system.exec(t, "update quiet set name = 'between' where id = 1")
			b.load(t) // the process ends while they wait
			if n := len(b.Records("busy")); n != 20 {
				t.Fatalf("%d records before anything was committed", n)
			}
			b.system.exec(t, "update quiet set name = 'between again' where id = 1")
			b.load(t)
			end("commit", "a")
			end("rollback", "b")
			prepare("c", "kept")
			end("commit", "c")
			b.load(t)
			b.settled(t)
			if n := len(b.Records("busy")); n != 20+2*size {
				t.Errorf("%d records, not %d", n, 20+2*size)
			}
			if n := b.count("busy", change.Create); n != 2*size {
				t.Errorf("%d were said", n)
			}
		})
	}
}

// heavy is an outlet that keeps nothing.
type heavy struct {
	*conformance.Bus
	appended atomic.Int64
	most     uint64
}

func (h *heavy) Append(_ context.Context, _, _ string, _ []string, _ change.Change) error {
	if h.appended.Add(1)%2000 == 0 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		h.most = max(h.most, m.HeapAlloc)
	}
	return nil
}

func TestLargeTransactionInLittleMemory(t *testing.T) {
	b := pair(t, sharedServer(t))
	b.system.exec(t, "alter table busy modify name varchar(2000)")
	b.load(t)
	b.system.exec(t, "insert into busy select seq, repeat('大', 700) from seq_1000_to_30999") // more than 60 MB of rows
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	h := &heavy{Bus: b.Bus}
	if err := b.connector(t).Run(t.Context(), h, false); err != nil {
		t.Fatal(err)
	}
	if n := h.appended.Load(); n != 30_000 {
		t.Errorf("%d changes, not 30000", n)
	}
	if grown := int64(h.most) - int64(before.HeapAlloc); grown > 16<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
	// And the snapshot of as much.
	b.label(0, "again")
	h = &heavy{Bus: conformance.NewBus()}
	if err := b.connector(t).Run(t.Context(), h, false); err != nil {
		t.Fatal(err)
	}
	if n := h.appended.Load(); n != 30_040 {
		t.Errorf("%d rows, not 30040", n)
	}
	if grown := int64(h.most) - int64(before.HeapAlloc); grown > 16<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
}

// One table is snapshotted again while both are written to.
func TestSnapshotAgainWhileTheStreamRuns(t *testing.T) {
	b := pair(t, sharedServer(t))
	b.with["chunk_rows"] = 3
	b.load(t)
	first := b.count("quiet", change.Snapshot)
	// What reached the table beside the binlog: only a snapshot finds it.
	b.system.exec(t, "set session sql_log_bin = 0; update busy set name = 'unseen' where id = 5; delete from busy where id = 6; insert into busy values (77, 'unseen'); set session sql_log_bin = 1")
	b.label(0, "2026-11")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 150 {
			b.system.db.Exec("update busy set name = ? where id = ?", fmt.Sprint("while ", i), 1+i%4)
			b.system.db.Exec("update quiet set name = ? where id = ?", fmt.Sprint("while ", i), 1+i%4)
			b.system.db.Exec("insert into busy values (?, 'new')", 200+i)
			b.system.db.Exec("delete from busy where id = ?", 195+i)
		}
	}()
	_, stop := b.follow(t)
	<-done
	b.settled(t)
	stop()
	if n := b.count("quiet", change.Snapshot); n != first {
		t.Errorf("the other table was snapshotted too: %d rows", n-first)
	}
	before := len(b.Said("busy"))
	b.load(t)
	if n := len(b.Said("busy")); n != before {
		t.Errorf("a run with nothing new said %d changes", n-before)
	}
}

func TestConnectionsThatAreKilled(t *testing.T) {
	b := pair(t, sharedServer(t))
	b.load(t)
	_, stop := b.follow(t)
	for i := range 12 {
		b.system.exec(t, "update busy set name = ? where id = ?", fmt.Sprint("killed ", i), 1+i)
		rows, err := b.system.db.Query("select id, command = 'Binlog Dump' from information_schema.processlist where command = 'Binlog Dump' or id <> connection_id() and db is null")
		if err != nil {
			t.Fatal(err)
		}
		var ids []int64
		for rows.Next() {
			var id int64
			var dump bool
			if err := rows.Scan(&id, &dump); err != nil {
				t.Fatal(err)
			}
			if dump == (i%2 == 0) {
				ids = append(ids, id)
			}
		}
		rows.Close()
		for _, id := range ids {
			b.system.db.Exec(fmt.Sprint("kill ", id))
		}
		b.system.exec(t, "insert into quiet values (?, 'after a kill')", 100+i)
		b.until(t, func() string {
			if _, there := b.Records("quiet")[fmt.Sprint(100+i)]; !there {
				return "a change after the kill is missing"
			}
			return ""
		})
	}
	b.settled(t)
	stop()
	if n := b.count("quiet", change.Create); n != 12 {
		t.Errorf("%d creates, not 12", n)
	}
}

func TestResend(t *testing.T) {
	b := pair(t, sharedServer(t))
	b.load(t)
	c, stop := b.follow(t)
	b.system.exec(t, "set session sql_log_bin = 0; update busy set name = 'unseen' where id = 5; delete from busy where id = 6; insert into busy values (77, 'unseen'); set session sql_log_bin = 1")
	if err := c.Resend(t.Context(), "busy", []string{"5", "6", "77", "no number"}); err != nil {
		t.Fatal(err)
	}
	b.settled(t)
	var said []string
	for _, s := range b.Said("busy")[20:] {
		said = append(said, s.Op.String()+" "+s.Key)
	}
	slices.Sort(said)
	if got := strings.Join(said, ", "); got != "delete 6, delete no number, snapshot 5, snapshot 77" {
		t.Errorf("said %s", got)
	}
	if err := c.Resend(t.Context(), "stranger", []string{"1"}); err == nil {
		t.Error("a dataset of another source was sent again")
	}
	stop()
	before := len(b.Said("busy"))
	b.load(t)
	if n := len(b.Said("busy")) - before; n != 0 {
		t.Errorf("%d changes after it", n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := c.Resend(ctx, "busy", []string{"1"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without a Run: %v", err)
	}
}

func TestSurvey(t *testing.T) {
	b := newBench(t, sharedServer(t))
	b.system.exec(t, "create table padded (id varchar(20) character set gbk, n int, name varchar(20), primary key (id, n))")
	b.dataset(t, "padded", "padded", 2, "id", "n", "name")
	b.system.exec(t, "insert into padded values (' 甲', 1, 'a'), ('乙\\n', 2, 'b'), ('丙', 3, 'c'), ('', 4, 'no key')")
	b.load(t)
	b.settled(t)
	var found []string
	key := func(s string, n int) string { return fmt.Sprint(s, change.KeySeparator, n) }
	if err := b.connector(t).Survey(t.Context(), "padded", []string{key("甲", 1), key("乙", 2), key("丙", 4), key("丙", 3), key("𠮷", 1), "alone"}, func(_ []string, c change.Change) error {
		found = append(found, c.Key)
		if c.Position != "" || c.Op != change.Snapshot {
			t.Errorf("%+v", c)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	if want := []string{key("丙", 3), key("乙", 2), key("甲", 1)}; !slices.Equal(found, want) {
		t.Errorf("found %q, not %q", found, want)
	}
	stop := errors.New("enough")
	if err := b.connector(t).Survey(t.Context(), "padded", nil, func([]string, change.Change) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
}

var _ connectors.Outlet = (*heavy)(nil)
