package mysql

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shirecounty/shire/connectors/conformance"
	"github.com/shirecounty/shire/schemas/change"
)

// What hurts a server is done to one of its own.
func TestServerThatIsHurt(t *testing.T) {
	server := conformance.StartMariaDB(t, "--innodb-buffer-pool-size=32M", "--sql-mode=")
	root := openDB(t, server, "")
	for _, c := range []struct {
		name string
		// hurt is done while Shire is away.
		hurt func(t *testing.T, b *bench)
		gap  bool
	}{
		{"purged behind", func(t *testing.T, b *bench) {
			b.system.exec(t, "update busy set name = 'later' where id = 1")
			b.system.exec(t, "flush binary logs")
			purge(t, root)
			b.system.exec(t, "update busy set name = 'still there' where id = 2")
		}, true},
		{"purged up to the end of what was read", func(t *testing.T, b *bench) {
			b.system.exec(t, "flush binary logs")
			purge(t, root)
			b.system.exec(t, "update busy set name = 'later' where id = 1")
		}, false},
		{"reset", func(t *testing.T, b *bench) {
			b.system.exec(t, "reset master")
			b.system.exec(t, "update busy set name = 'later' where id = 1")
		}, true},
		{"reset and overtaken", func(t *testing.T, b *bench) {
			b.system.exec(t, "reset master")
			time.Sleep(1100 * time.Millisecond) // times are noted to the second
			for i := range 60 {
				b.system.exec(t, "update busy set name = ? where id = 1", fmt.Sprint("later ", i))
			}
		}, true},
		{"killed", func(t *testing.T, b *bench) {
			b.system.exec(t, "update busy set name = 'just before' where id = 1")
			server.Kill()
			server.Restart(t)
			b.system.exec(t, "update busy set name = 'after' where id = 2")
		}, false},
	} {
		for _, onGap := range []string{stop, snapshot} {
			if !c.gap && onGap == snapshot {
				continue
			}
			t.Run(c.name+"/"+onGap, func(t *testing.T) {
				b := pair(t, server)
				b.with["on_gap"] = onGap
				b.load(t)
				for i := range 20 { // so that what was read last is a transaction
					b.system.exec(t, "update busy set name = ? where id = 3", fmt.Sprint("before ", i))
				}
				b.load(t)
				b.settled(t)
				c.hurt(t, b)
				b.system.exec(t, "delete from quiet where id = 9")
				b.system.exec(t, "delete from busy where id = 10")
				err := b.run(t)
				gap := slices.Contains(b.problems(), "binlog_gap") || b.told("binlog_gap") > 0
				if gap != c.gap {
					t.Fatalf("told %v, ended with %v", b.problems(), err)
				}
				if failed := c.gap && onGap == stop; failed != (err != nil) {
					t.Fatalf("told %v, ended with %v", b.problems(), err)
				} else if failed {
					if !strings.Contains(err.Error(), "gap") || !slices.Contains(b.problems(), "binlog_gap") {
						t.Fatalf("told %v, ended with %v", b.problems(), err)
					}
					b.label(0, "mended")
					b.label(1, "mended")
					b.load(t)
				}
				b.settled(t)
				if n := len(b.problems()); n > 0 {
					t.Errorf("still told: %v", b.problems())
				}
				before := len(b.Said("busy")) + len(b.Said("quiet"))
				b.load(t)
				if n := len(b.Said("busy")) + len(b.Said("quiet")) - before; n > 0 {
					t.Errorf("a run with nothing new said %d changes", n)
				}
			})
		}
	}
	t.Run("killed while it is followed", func(t *testing.T) {
		b := pair(t, server)
		b.load(t)
		_, stop := b.follow(t)
		for i := range 3 {
			for j := range 30 {
				b.system.exec(t, "insert into busy values (?, 'one')", 100+100*i+j)
			}
			server.Kill()
			server.Restart(t)
		}
		b.settled(t)
		stop()
		if n := b.count("busy", change.Create); n != 90 {
			t.Errorf("%d creates, not 90", n)
		}
	})
	// A table in which nothing happens: its newest message grows older than the binlog.
	t.Run("quiet for longer than the binlog is kept", func(t *testing.T) {
		for _, lost := range []bool{false, true} { // what was noted beside the bus
			b := pair(t, server)
			b.load(t)
			_, stop := b.follow(t)
			for i := range 3 {
				b.system.exec(t, "update busy set name = ? where id = 1", fmt.Sprint("noted ", lost, i))
				b.until(t, func() string {
					if got := b.Records("busy")["1"]["name"]; got != fmt.Sprint("noted ", lost, i) {
						return got
					}
					data, _ := os.ReadFile(filepath.Join(b.state, safeFile))
					if !strings.Contains(string(data), gtidNow(t, root)) {
						return "nothing was noted"
					}
					return ""
				})
			}
			stop()
			if lost {
				os.Remove(filepath.Join(b.state, safeFile))
				b.system.exec(t, "update busy set name = 'more' where id = 1")
			} else {
				b.system.exec(t, "flush binary logs")
				purge(t, root)
				b.system.exec(t, "update busy set name = 'more' where id = 1")
			}
			b.load(t)
			b.settled(t)
			if b.told("binlog_gap") > 0 {
				t.Errorf("a gap was told that is none (%v)", lost)
			}
			if n := b.count("quiet", change.Snapshot); n != 20 {
				t.Errorf("the quiet table was snapshotted again: %d rows", n)
			}
		}
	})
	// A server made anew before a single transaction was read has nothing in common with what was read but its names.
	t.Run("made anew at the very beginning", func(t *testing.T) {
		b := pair(t, server)
		b.load(t)
		time.Sleep(1100 * time.Millisecond)
		var n int
		fmt.Sscanf(gtidNow(t, root), "0-1-%d", &n)
		b.system.exec(t, "reset master")
		for i := range n + 5 {
			b.system.exec(t, "update busy set name = ? where id = 1", fmt.Sprint("anew ", i))
		}
		if err := b.run(t); err == nil || b.told("binlog_gap") == 0 || !strings.Contains(err.Error(), "log file in which reading began") {
			t.Errorf("told %v, ended with %v", b.problems(), err)
		}
	})
}

func purge(t testing.TB, db *sql.DB) {
	t.Helper()
	var file, rest string
	var offset int64
	if err := db.QueryRow("show master status").Scan(&file, &offset, &rest, &rest); err != nil {
		t.Fatal(err)
	}
	// A file is kept while somebody reads it, and while an engine may need it after a crash.
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		execOn(t, db, "purge binary logs to '"+file+"'")
		rows, err := db.Query("show binary logs")
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for rows.Next() {
			n++
		}
		rows.Close()
		if n == 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d log files are still there", n)
		}
	}
}

func gtidNow(t testing.TB, db *sql.DB) (s string) {
	t.Helper()
	if err := db.QueryRow("select @@global.gtid_binlog_pos").Scan(&s); err != nil {
		t.Fatal(err)
	}
	return s
}
