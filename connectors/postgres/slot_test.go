package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/connectors/conformance"
	"github.com/shirecounty/shire/schemas/change"
)

// TestAGapIsSaid: whatever happens to the slot behind our back, nothing is read as if nothing were missing.
func TestAGapIsSaid(t *testing.T) {
	t.Parallel()
	recreate := "SELECT pg_drop_replication_slot('%[1]s'); INSERT INTO residents VALUES (100, 'in the gap'); DELETE FROM residents WHERE id = 2; SELECT pg_create_logical_replication_slot('%[1]s', 'pgoutput')"
	for _, c := range []struct {
		name, sql string
		forget    bool // the state file is lost too
		word      string
	}{
		{"dropped", "SELECT pg_drop_replication_slot('%[1]s'); INSERT INTO residents VALUES (100, 'in the gap'); DELETE FROM residents WHERE id = 2", false, "is gone"},
		{"recreated", recreate, false, "made anew or moved"},
		{"recreated and forgotten", recreate, true, "is lost"},
		{"advanced", "INSERT INTO residents VALUES (100, 'in the gap'); DELETE FROM residents WHERE id = 2; SELECT pg_replication_slot_advance('%[1]s', pg_current_wal_insert_lsn())", false, "made anew or moved"},
		{"publication dropped", "DROP PUBLICATION %[1]s; INSERT INTO residents VALUES (100, 'in the gap'); DELETE FROM residents WHERE id = 2", false, "publication"},
		{"publication recreated", "DROP PUBLICATION %[1]s; INSERT INTO residents VALUES (100, 'in the gap'); DELETE FROM residents WHERE id = 2; CREATE PUBLICATION %[1]s FOR TABLE residents", false, "publication"},
		{"table not published for a while", "ALTER PUBLICATION %[1]s ADD TABLE other; ALTER PUBLICATION %[1]s DROP TABLE residents; INSERT INTO residents VALUES (100, 'in the gap'); DELETE FROM residents WHERE id = 2; ALTER PUBLICATION %[1]s ADD TABLE residents", false, "publication"},
		{"table not published", "ALTER PUBLICATION %[1]s ADD TABLE other; ALTER PUBLICATION %[1]s DROP TABLE residents; INSERT INTO residents VALUES (100, 'in the gap'); DELETE FROM residents WHERE id = 2", false, "publication"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSource(t, start(t), one, residents, "CREATE TABLE other (id int PRIMARY KEY)")
			exec(t, s.conn, "INSERT INTO residents SELECT i, 'name' FROM generate_series(1, 10) i")
			s.load(t)
			for _, sql := range strings.Split(c.sql, "; ") { // each a transaction of its own
				exec(t, s.conn, strings.ReplaceAll(sql, "%[1]s", s.name))
			}
			if c.forget {
				if err := os.Remove(filepath.Join(s.state, "slot.json")); err != nil {
					t.Fatal(err)
				}
			}
			for range 3 { // it is said until somebody decides
				err := s.run(t)
				if err == nil || !strings.Contains(err.Error(), c.word) || !strings.Contains(err.Error(), "on_gap: snapshot") {
					t.Fatal(err)
				}
			}
			s.problem(t, "slot_gap", false)
			if _, there := s.bus.Records("residents")["100"]; there {
				t.Error("something was read")
			}
			s.with["on_gap"] = "snapshot"
			s.load(t)
			if e := s.problem(t, "slot_gap", false); !strings.Contains(e.Message, "shire reconcile hall --repair") {
				t.Error(e.Message)
			}
			exec(t, s.conn, "UPDATE residents SET name = 'after' WHERE id = 3")
			s.load(t)
			records := s.bus.Records("residents")
			if records["100"]["name"] != "in the gap" || records["3"]["name"] != "after" {
				t.Error(records)
			}
			// The deletion in the gap is what reconcile finds and repairs; then the problem is gone.
			connector, stop := s.follow(t)
			s.problem(t, "slot_gap", false)
			keys := map[string]bool{}
			err := connector.(connectors.Surveyor).Survey(t.Context(), "residents", nil, func(_ []string, ch change.Change) error {
				keys[strings.Clone(ch.Key)] = true
				return nil
			})
			if err != nil || keys["2"] || !keys["100"] {
				t.Fatal(err, keys)
			}
			if err := connector.(connectors.Resender).Resend(t.Context(), "residents", []string{"2"}); err != nil {
				t.Fatal(err)
			}
			s.settled(t)
			s.problem(t, "slot_gap", true)
			stop()
			before := len(s.bus.Said("residents"))
			s.load(t)
			if after := len(s.bus.Said("residents")); after != before {
				t.Error("a run with nothing new published", after-before)
			}
			s.equal(t)
		})
	}
}

func TestATableIsTakenOutOfThePublicationWhileItIsFollowed(t *testing.T) {
	t.Parallel()
	s := newSource(t, start(t), one, residents, "CREATE TABLE other (id int PRIMARY KEY)")
	s.look = 10 * time.Millisecond
	exec(t, s.conn, "INSERT INTO residents VALUES (1)")
	s.load(t)
	ended := make(chan error, 1)
	go func() { ended <- s.connector(t).Run(t.Context(), s.bus, true) }()
	exec(t, s.conn, "INSERT INTO residents VALUES (2)")
	s.until(t, func() string { return lacks(s.bus.Records("residents")["2"], "id", "2") })
	exec(t, s.conn, fmt.Sprintf("ALTER PUBLICATION %[1]s ADD TABLE other; ALTER PUBLICATION %[1]s DROP TABLE residents", s.name))
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "publication") {
			t.Fatal(err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("nothing is said")
	}
	exec(t, s.conn, fmt.Sprintf("ALTER PUBLICATION %s ADD TABLE residents", s.name))
	if err := s.run(t); err == nil || !strings.Contains(err.Error(), "on_gap") {
		t.Error(err)
	}
}

func TestSlotLag(t *testing.T) {
	t.Parallel()
	s := newSource(t, start(t), one, residents)
	s.look = 10 * time.Millisecond
	s.with["max_slot_lag"] = "2MiB"
	exec(t, s.conn, "INSERT INTO residents VALUES (1)")
	s.load(t)
	var stalled = make(chan struct{})
	s.bus.AtAppend = func() { <-stalled }
	_, stop := s.follow(t)
	exec(t, s.conn, "INSERT INTO residents SELECT i, 'name', repeat('x', 1000) FROM generate_series(2, 5000) i")
	s.problem(t, "slot_lag", false)
	close(stalled)
	s.until(t, func() string { return lacks(s.bus.Records("residents")["5000"], "name", "name") })
	for range 3 { // the server lets go of its log at the next record of what runs
		exec(t, s.conn, "CHECKPOINT")
		time.Sleep(100 * time.Millisecond)
		exec(t, s.conn, "INSERT INTO residents VALUES ($1)", 10000+time.Now().UnixNano()%100000000)
	}
	s.problem(t, "slot_lag", true)
	stop()
}

func TestTwoCopies(t *testing.T) {
	t.Parallel()
	s := newSource(t, start(t), one, residents, "INSERT INTO residents VALUES (1)")
	_, stop := s.follow(t)
	s.settled(t)
	if err := s.run(t); err == nil || !strings.Contains(err.Error(), "another session reads the slot") {
		t.Error(err)
	}
	s.problem(t, "slot_active", false)
	stop()
	s.load(t)
}

func TestRefusalsNameTheSQL(t *testing.T) {
	t.Parallel()
	s := newSource(t, start(t), one, residents, "INSERT INTO residents VALUES (1, 'a')")
	role := "reader_" + s.name
	exec(t, s.conn, "CREATE ROLE "+role+" LOGIN")
	t.Cleanup(func() {
		conn, err := pgx.Connect(context.Background(), s.server.URL("postgres"))
		if err == nil {
			conn.Exec(context.Background(), "DROP ROLE "+role) // after its database
			conn.Close(context.Background())
		}
	})
	s.with["user"] = role
	exec(t, s.conn, "CREATE SCHEMA hall; ALTER TABLE residents SET SCHEMA hall")
	s.with["tables"] = []any{map[string]any{"table": "hall.residents", "dataset": "residents"}}
	seen := []string{}
	connector := s.connector(t)
	for range 10 {
		err := connector.Run(t.Context(), s.bus, false)
		if err == nil {
			break
		}
		e := s.told()[len(s.told())-1]
		seen = append(seen, e.Problem)
		exec(t, s.conn, sqlIn(t, e.Message))
	}
	if got := strings.Join(seen, " "); got != "no_replication_right no_select_right not_published" {
		t.Error(got)
	}
	exec(t, s.conn, "SET search_path = hall")
	s.equal(t)
	for _, e := range s.told() {
		if strings.Contains(e.Message, "'a'") {
			t.Error(e.Message)
		}
	}
	for _, problem := range []string{"no_replication_right", "no_select_right", "not_published"} {
		s.problem(t, problem, true)
	}
	// Row-level security hides nothing in silence.
	exec(t, s.conn, "ALTER TABLE hall.residents ENABLE ROW LEVEL SECURITY")
	s.labels["residents"] = "again"
	s.with["tables"] = []any{map[string]any{"table": "hall.residents", "dataset": "residents", "snapshot": "again"}}
	if err := s.run(t); err == nil || !strings.Contains(err.Error(), "BYPASSRLS") {
		t.Error(err)
	}
	exec(t, s.conn, sqlIn(t, s.problem(t, "no_select_right", false).Message))
	s.load(t)
}

func TestPublicationsThatHideSomething(t *testing.T) {
	t.Parallel()
	s := newSource(t, start(t), one, residents, "INSERT INTO residents VALUES (1, 'a', 'b')")
	exec(t, s.conn, fmt.Sprintf("CREATE PUBLICATION %s FOR TABLE residents WHERE (id > 5) WITH (publish = 'insert')", s.name))
	for range 2 {
		if err := s.run(t); err == nil {
			t.Fatal("nothing is said")
		}
		exec(t, s.conn, sqlIn(t, s.problem(t, "publication_partial", false).Message))
	}
	exec(t, s.conn, fmt.Sprintf("ALTER PUBLICATION %[1]s DROP TABLE residents; ALTER PUBLICATION %[1]s ADD TABLE residents (id, name)", s.name))
	s.load(t)
	exec(t, s.conn, "UPDATE residents SET large = 'c', name = 'x'; INSERT INTO residents VALUES (2, 'd', 'e')")
	s.load(t)
	for _, said := range s.bus.Said("residents") {
		if said.Columns != "id|name" {
			t.Error(said)
		}
	}
}

// TestTheServerDies: kill -9 in the middle of things, and commits that are in the log and not seen yet.
func TestTheServerDies(t *testing.T) {
	t.Parallel()
	server := conformance.StartPostgres(t, "wal_writer_delay=10ms")
	s := newSource(t, server, one, residents)
	exec(t, s.conn, "INSERT INTO residents SELECT i, 'name' FROM generate_series(1, 100) i")
	for round := range 4 {
		ended := make(chan error, 1)
		reached := make(chan struct{}, 1)
		n := 0
		s.bus.AtAppend = func() {
			if n++; n == 20*(round+1) {
				reached <- struct{}{}
			}
		}
		go func() { ended <- s.connector(t).Run(t.Context(), s.bus, true) }()
		writing := make(chan struct{})
		go func() {
			defer close(writing)
			for i := 0; ; i++ {
				if _, err := s.conn.Exec(t.Context(), "UPDATE residents SET name = $2 WHERE id = $1", i%100, fmt.Sprint(round, i)); err != nil {
					return
				}
			}
		}()
		select {
		case <-reached:
		case err := <-ended:
			t.Fatal(err)
		case <-time.After(30 * time.Second):
			t.Fatal("nothing comes")
		}
		server.Kill()
		<-writing
		select {
		case err := <-ended:
			if err == nil {
				t.Fatal("the run ended well without a server")
			}
		case <-time.After(30 * time.Second):
			t.Fatal("the run does not end with the server")
		}
		s.bus.AtAppend = nil
		s.bus.Forget()
		server.Restart(t)
		s.conn = connect(t, server, s.name)
		s.load(t)
		s.equal(t)
	}

	// A commit waits for a standby that is not there: it is in the log and in the stream, and nobody sees it. A snapshot
	// that was read now would say the old value after the new one.
	exec(t, s.conn, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
	exec(t, s.conn, "SELECT pg_reload_conf()")
	writer, reader := connect(t, server, s.name), connect(t, server, s.name)
	connector, stop := s.follow(t)
	written := make(chan error, 1)
	go func() {
		_, err := writer.Exec(context.Background(), "SET synchronous_commit = on; UPDATE residents SET name = 'not seen yet' WHERE id = 5")
		written <- err
	}()
	s.until(t, func() string { return lacks(s.bus.Records("residents")["5"], "name", "not seen yet") })
	var name string
	if err := reader.QueryRow(t.Context(), "SELECT name FROM residents WHERE id = 5").Scan(&name); err != nil || name == "not seen yet" {
		t.Fatalf("the commit is seen (%q, %v), so this test proves nothing", name, err)
	}
	resent := make(chan error, 1)
	go func() {
		resent <- connector.(connectors.Resender).Resend(t.Context(), "residents", []string{"5", "6"})
	}()
	select {
	case err := <-resent:
		t.Error("records were read before what was handed on is seen:", err)
	case <-time.After(300 * time.Millisecond):
	}
	stop()
	// The next run is told of the commit by the stream alone, and has to wait too.
	s.labels["residents"] = "again"
	_, stop = s.follow(t)
	time.Sleep(300 * time.Millisecond)
	if d := lacks(s.bus.Records("residents")["5"], "name", "not seen yet"); d != "" {
		t.Error("after a restart:", d)
	}
	exec(t, reader, "SET synchronous_commit = local")
	exec(t, reader, "ALTER SYSTEM RESET synchronous_standby_names")
	exec(t, reader, "SELECT pg_reload_conf()")
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	if err := <-resent; err == nil {
		t.Error("a run that ended did not say so to who waited for it")
	}
	s.until(t, func() string {
		for _, said := range s.bus.Said("residents") {
			if said.Op == change.Snapshot && said.Key == "5" && strings.Contains(said.Values, "not seen yet") {
				return ""
			}
		}
		return "the snapshot does not come"
	})
	s.settled(t)
	stop()
}

func TestASlowServerDoesNotHoldUpTheEnd(t *testing.T) {
	t.Parallel()
	s := newSource(t, start(t), one, residents)
	exec(t, s.conn, "BEGIN; INSERT INTO residents VALUES (1)") // the slot waits for it
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := s.connector(t).Run(ctx, s.bus, false); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Error("it took", took)
	}
	exec(t, s.conn, "COMMIT")
	s.load(t)
	s.equal(t)
}

// TestTheNetworkFallsSilent: a connection that is dead without anybody saying so ends the run.
func TestTheNetworkFallsSilent(t *testing.T) {
	t.Parallel()
	s := newSource(t, start(t), one, residents, "INSERT INTO residents VALUES (1)")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var frozen atomic.Bool
	pass := func(to, from net.Conn) {
		buffer := make([]byte, 4096)
		for {
			n, err := from.Read(buffer)
			if err != nil {
				to.Close()
				return
			}
			if !frozen.Load() {
				to.Write(buffer[:n])
			}
		}
	}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", s.server.Address)
			if err != nil {
				client.Close()
				return
			}
			go pass(client, to)
			go pass(to, client)
		}
	}()
	s.with["address"] = listener.Addr().String()
	s.confirm = time.Hour
	ended := make(chan error, 1)
	go func() { ended <- s.connector(t).Run(t.Context(), s.bus, true) }()
	s.settled(t)
	frozen.Store(true)
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "has not answered") {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Error("the run does not notice that the server is gone")
	}
}
