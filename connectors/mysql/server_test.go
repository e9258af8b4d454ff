package mysql

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestWhatTheServerHasToBe(t *testing.T) {
	b := pair(t, sharedServer(t))
	for variable, c := range map[string]struct{ bad, good, want string }{
		"binlog_format":    {"MIXED", "ROW", "SET GLOBAL binlog_format=ROW"},
		"binlog_row_image": {"MINIMAL", "FULL", "SET GLOBAL binlog_row_image=FULL"},
	} {
		b.system.exec(t, "set global "+variable+" = "+c.bad)
		err := b.run(t)
		b.system.exec(t, "set global "+variable+" = "+c.good)
		if err == nil || !strings.Contains(err.Error(), c.want) || b.problems()[0] != "server_not_ready" {
			t.Errorf("%s: %v, told %v", variable, err, b.problems())
		}
	}
	b.system.exec(t, "set global expire_logs_days = 0.5")
	b.load(t)
	b.system.exec(t, "set global expire_logs_days = 0")
	if got := fmt.Sprint(b.problems()); got != "[binlog_expiring]" {
		t.Errorf("told %v", got)
	}
	b.load(t)
	if got := b.problems(); len(got) > 0 {
		t.Errorf("told %v", got)
	}
	// A session that writes only a part of the row.
	b.system.exec(t, "set session binlog_row_image=minimal; update busy set name = 'part' where id = 1")
	if err := b.run(t); err == nil || !strings.Contains(err.Error(), "SET GLOBAL binlog_row_image=FULL") {
		t.Errorf("got %v", err)
	}
}

func TestTableThatIsNone(t *testing.T) {
	b := newBench(t, sharedServer(t))
	b.system.exec(t, "create view seen as select id, name from records")
	b.dataset(t, "seen", "seen", 1, "id", "name")
	if err := b.run(t); err == nil || !strings.Contains(err.Error(), "view") {
		t.Errorf("a view: %v", err)
	}
	b.system.exec(t, "create table dated (id int primary key, name varchar(9)) with system versioning")
	b.tables[0].(map[string]any)["table"] = b.system.name + ".dated"
	if err := b.run(t); err == nil || !strings.Contains(err.Error(), "system versioned") {
		t.Errorf("a table with a history: %v", err)
	}
	b.tables[0].(map[string]any)["table"] = b.system.name + ".missing"
	if err := b.run(t); err == nil || !strings.Contains(err.Error(), "GRANT SELECT ON") {
		t.Errorf("no table: %v", err)
	}
	b.system.exec(t, "create table missing (other int)")
	if err := b.run(t); err == nil || !strings.Contains(err.Error(), "key field id") {
		t.Errorf("no key: %v", err)
	}
}

// The user has exactly what the documentation says, and each thing that is missing is named.
func TestGrants(t *testing.T) {
	b := pair(t, sharedServer(t))
	user := "'u_" + b.system.name + "'@'127.0.0.1'"
	b.system.exec(t, "create user "+user+" identified by 'hunter2'")
	b.with["user"], b.with["password"] = "u_"+b.system.name, "hunter2"
	grants := []struct{ privilege, on string }{{"BINLOG MONITOR", "*.*"}, {"SELECT", "`" + b.system.name + "`.`busy`"}, {"SELECT", "`" + b.system.name + "`.`quiet`"}, {"REPLICATION SLAVE", "*.*"}}
	for _, g := range grants {
		want := "GRANT " + g.privilege + " ON " + g.on + " TO " + user
		err := b.run(t)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
		if strings.Contains(fmt.Sprint(err), "hunter2") {
			t.Error("the password is told")
		}
		b.system.exec(t, want)
	}
	b.load(t)
	b.system.exec(t, "update busy set name = 'granted' where id = 1")
	b.load(t)
	b.with["user"], b.with["password"] = "root", "" // who looks from outside
	delete(b.with, "password")
	b.settled(t)
	b.with["user"], b.with["password"] = "u_"+b.system.name, "wrong"
	if err := b.run(t); err == nil || !strings.Contains(err.Error(), "cannot be reached as user") {
		t.Errorf("got %v", err)
	}
}

func TestCascadeIsTold(t *testing.T) {
	b := newBench(t, sharedServer(t))
	b.system.exec(t, "create table parents (id int primary key); create table children (id int primary key, parent int, foreign key (parent) references parents (id) on delete cascade)")
	b.dataset(t, "children", "children", 1, "id", "parent")
	b.load(t)
	if got := fmt.Sprint(b.problems()); got != "[cascade_not_logged]" {
		t.Errorf("told %v", got)
	}
}

// A run ends with its context, whatever the server does.
func TestRunEndsPromptly(t *testing.T) {
	b := pair(t, sharedServer(t))
	for _, wait := range []time.Duration{0, 5 * time.Millisecond, 50 * time.Millisecond, 300 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		began := time.Now()
		err := b.connector(t).Run(ctx, b, true)
		cancel()
		if err != nil || time.Since(began) > wait+5*time.Second {
			t.Errorf("after %s: %v, in %s", wait, err, time.Since(began))
		}
	}
}
