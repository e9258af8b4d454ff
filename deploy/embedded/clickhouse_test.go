//go:build unix

package embedded

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

func TestUsersAndGrants(t *testing.T) {
	needLibrary(t)
	o := testOptions(t, t.TempDir())
	o.NATS.Disabled = true
	analyst := User{
		Name: "analyst", Password: "p<&>'\"", Readonly: true,
		Settings: map[string]string{"max_execution_time": "30", "max_memory_usage": "500000000"},
		Grants:   []string{"SELECT ON mart.*"},
	}
	clerk := User{
		Name: "clerk", Password: "clerk", Grants: []string{"SELECT ON mart.cases"},
		RowPolicies: []RowPolicy{{Database: "mart", Table: "cases", Filter: "department < 2"}},
	}
	nobody := User{Name: "nobody", Password: "nobody"}
	o.ClickHouse.Users = append(o.ClickHouse.Users, analyst, clerk, nobody)
	e := start(t, o)
	at := e.ClickHouse().Native

	mustExec(t, connect(t, at, admin.Name, admin.Password),
		"CREATE DATABASE mart", "CREATE DATABASE restricted",
		"CREATE TABLE mart.cases (department UInt8) ENGINE = MergeTree ORDER BY department",
		"CREATE TABLE restricted.persons (name String) ENGINE = MergeTree ORDER BY name",
		"INSERT INTO mart.cases VALUES (1), (2)",
	)
	const accessDenied, readonly, wrongPassword, constraint = 497, 164, 516, 452
	const sessionLimit = 700 // the only session of default is the child's own
	tests := []struct {
		user, password, query string
		code                  int32 // 0: allowed
	}{
		{admin.Name, admin.Password, "SELECT * FROM restricted.persons", 0},
		{admin.Name, "guess", "SELECT 1", wrongPassword},
		{admin.Name, "", "SELECT 1", wrongPassword},
		{"default", "", "SELECT 1", sessionLimit},
		{"default", "guess", "SELECT 1", wrongPassword},
		{"stranger", "guess", "SELECT 1", wrongPassword},
		{analyst.Name, analyst.Password, "SELECT * FROM mart.cases", 0},
		{analyst.Name, analyst.Password, "SELECT * FROM restricted.persons", accessDenied},
		{analyst.Name, analyst.Password, "INSERT INTO mart.cases SELECT 3", accessDenied},
		{analyst.Name, analyst.Password, "SELECT 1 SETTINGS max_execution_time = 10", 0},
		{analyst.Name, analyst.Password, "SELECT 1 SETTINGS max_execution_time = 31", constraint},
		{analyst.Name, analyst.Password, "SELECT 1 SETTINGS max_memory_usage = 0", constraint},
		{analyst.Name, analyst.Password, "SELECT 1 SETTINGS max_threads = 1", readonly},
		{analyst.Name, analyst.Password, "SELECT 1 SETTINGS readonly = 0", readonly},
		{nobody.Name, nobody.Password, "SELECT 1", 0},
		{nobody.Name, nobody.Password, "SELECT * FROM mart.cases", accessDenied},
		{nobody.Name, nobody.Password, "CREATE DATABASE x", accessDenied},
		{nobody.Name, nobody.Password, "SELECT * FROM file('/etc/passwd', LineAsString)", accessDenied},
	}
	for _, test := range tests {
		t.Run(test.user+" "+test.query, func(t *testing.T) {
			err := connect(t, at, test.user, test.password).Exec(t.Context(), test.query)
			var exception *clickhouse.Exception
			switch {
			case test.code == 0 && err != nil:
				t.Errorf("refused: %v", err)
			case test.code != 0 && (!errors.As(err, &exception) || exception.Code != test.code):
				t.Errorf("got %v, want code %d", err, test.code)
			}
		})
	}
	response, err := http.Post("http://"+e.ClickHouse().HTTP+"/", "text/plain", strings.NewReader("SELECT * FROM restricted.persons"))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if code := response.Header.Get("X-ClickHouse-Exception-Code"); response.StatusCode == http.StatusOK || code != strconv.Itoa(sessionLimit) {
		t.Errorf("a request without a user: %s, code %s", response.Status, code)
	}
	if got := queryOne[uint64](t, connect(t, at, clerk.Name, clerk.Password), "SELECT count() FROM mart.cases"); got != 1 {
		t.Errorf("a clerk sees %d rows, want the one that the row policy shows", got)
	}
	// A deadline reaches the server as max_execution_time, which a read-only user may lower.
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := connect(t, at, analyst.Name, analyst.Password).Exec(ctx, "SELECT count() FROM mart.cases"); err != nil {
		t.Errorf("a read-only user's query with a deadline: %v", err)
	}
}

func TestBadUsersAreRefused(t *testing.T) {
	tests := map[string]User{
		"no password":     {Name: "a"},
		"name":            {Name: "a b", Password: "x"},
		"default":         {Name: "default", Password: "x"},
		"probe":           {Name: probeUser, Password: "x"},
		"setting":         {Name: "a", Password: "x", Settings: map[string]string{"a><b": "1"}},
		"readonly":        {Name: "a", Password: "x", Settings: map[string]string{"readonly": "0"}},
		"row policy name": {Name: "a", Password: "x", RowPolicies: []RowPolicy{{Database: "d.", Table: "t"}}},
	}
	for name, user := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := usersConfig([]User{user}, User{Name: probeUser, Password: "p"}, nil); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func TestServerSettings(t *testing.T) {
	needLibrary(t)
	dir := t.TempDir()
	o := testOptions(t, dir)
	o.NATS.Disabled = true
	quiet := User{Name: "quiet", Password: "quiet", Grants: []string{"ALL ON *.*"}}
	o.ClickHouse.Users = append(o.ClickHouse.Users, quiet)
	e := start(t, o)
	conn := connect(t, e.ClickHouse().Native, admin.Name, admin.Password)
	if got := queryOne[string](t, conn, "SELECT serverTimezone()"); got != "UTC" {
		t.Errorf("time zone %s", got)
	}
	if got := queryOne[string](t, conn, "SELECT value FROM system.server_settings WHERE name = 'max_server_memory_usage'"); got != "1073741824" {
		t.Errorf("max_server_memory_usage %s", got)
	}

	// I7: what a user looked for is neither in a log file, also when the query fails, nor in the query log of a user who
	// has not been given one.
	const secret = "19491001secret"
	private := connect(t, e.ClickHouse().Native, quiet.Name, quiet.Password)
	if err := private.Exec(t.Context(), "SELECT toUInt64('"+secret+"')"); err == nil {
		t.Fatal("a query that should fail did not")
	}
	mustExec(t, private, "SELECT '"+secret+"'")
	mustExec(t, conn, "SELECT 'noted'", "SYSTEM FLUSH LOGS")
	count := func(text string) uint64 {
		return queryOne[uint64](t, conn, "SELECT count() FROM system.query_log WHERE query LIKE '%"+text+"%' AND query NOT LIKE '%query_log%'")
	}
	if count("noted") == 0 || count(secret) != 0 {
		t.Errorf("query log: %d of the logged user (want some), %d of the other (want none)", count("noted"), count(secret))
	}
	files, err := filepath.Glob(filepath.Join(dir, logDir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no log file: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), secret) {
			t.Errorf("%s holds what a user looked for", filepath.Base(file))
		}
	}
}

func TestChildKilled(t *testing.T) {
	needLibrary(t)
	o := testOptions(t, t.TempDir())
	o.NATS.Disabled = true
	changes := make(chan Component, 100)
	o.OnChange = func(c Component) { changes <- c }
	e := start(t, o)
	conn := connect(t, e.ClickHouse().Native, admin.Name, admin.Password)
	mustExec(t, conn,
		"CREATE DATABASE d", "CREATE TABLE d.t (a UInt64) ENGINE = MergeTree ORDER BY a")
	for round := range 3 {
		mustExec(t, conn, "INSERT INTO d.t SELECT number FROM numbers(1000)")
		old, at := childPID(e), *e.ClickHouse()
		if err := e.KillClickHouse(); err != nil {
			t.Fatal(err)
		}
		await(t, changes, Restarting)
		await(t, changes, Running)
		if childPID(e) == old || *e.ClickHouse() != at {
			t.Fatalf("child %d at %v after child %d at %v: want a new one at the same addresses", childPID(e), *e.ClickHouse(), old, at)
		}
		conn = connect(t, at.Native, admin.Name, admin.Password)
		if got, want := queryOne[uint64](t, conn, "SELECT count() FROM d.t"), uint64(1000*(round+1)); got != want {
			t.Errorf("%d rows after kill %d, want %d", got, round, want)
		}
	}
}

func await(t *testing.T, changes <-chan Component, want State) {
	t.Helper()
	for {
		select {
		case change := <-changes:
			if change.State == want {
				if (change.Err == nil) != (want == Running) {
					t.Errorf("%s with error %v", want, change.Err)
				}
				return
			}
		case <-time.After(time.Minute):
			t.Fatalf("ClickHouse never became %s", want)
		}
	}
}

func TestStopLeavesNothing(t *testing.T) {
	needLibrary(t)
	for _, name := range []string{"in order", "at once"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			e := start(t, testOptions(t, dir))
			pid, at := childPID(e), e.ClickHouse()
			if !running(pid) {
				t.Fatal("no child runs")
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if name == "at once" {
				cancel()
			}
			if err := e.Stop(ctx); err != nil && name == "in order" {
				t.Errorf("Stop: %v", err)
			}
			if running(pid) {
				t.Error("the child still runs")
			}
			for _, address := range []string{at.Native, at.HTTP} {
				if c, err := net.Dial("tcp", address); err == nil {
					c.Close()
					t.Errorf("something listens on %s", address)
				}
			}
			for _, component := range e.Health() {
				if component.State != Stopped {
					t.Errorf("%s is %s", component.Name, component.State)
				}
			}
		})
	}
}

func TestStartCancelled(t *testing.T) {
	needLibrary(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	o := testOptions(t, t.TempDir())
	why := errors.New("the operator thought better of it")
	o.OnChange = func(c Component) {
		if c.Name == ComponentClickHouse && c.State == Starting {
			cancel(why)
		}
	}
	if _, err := Start(ctx, o); !errors.Is(err, why) {
		t.Fatalf("got %v, want %v", err, why)
	}
	o.OnChange = nil
	start(t, o) // the directory is free again
}

func TestStopWhileWaitingToRestart(t *testing.T) {
	needLibrary(t)
	o := testOptions(t, t.TempDir())
	o.NATS.Disabled = true
	died := make(chan struct{}, 10)
	o.OnChange = func(c Component) {
		if c.State == Restarting {
			died <- struct{}{}
		}
	}
	e := start(t, o)
	if err := e.KillClickHouse(); err != nil {
		t.Fatal(err)
	}
	<-died
	stop(t, e)
	if pid := childPID(e); pid != 0 {
		t.Errorf("child %d runs after Stop", pid)
	}
}

// Drivers may use either protocol.
func TestBothProtocolsAnswer(t *testing.T) {
	needLibrary(t)
	o := testOptions(t, t.TempDir())
	o.NATS.Disabled = true
	e := start(t, o)
	for protocol, at := range map[clickhouse.Protocol]string{clickhouse.Native: e.ClickHouse().Native, clickhouse.HTTP: e.ClickHouse().HTTP} {
		conn, err := clickhouse.Open(&clickhouse.Options{
			Protocol: protocol, Addr: []string{at}, Auth: clickhouse.Auth{Username: admin.Name, Password: admin.Password},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if got := queryOne[string](t, conn, "SELECT currentUser()"); got != admin.Name {
			t.Errorf("%v: user %s", protocol, got)
		}
	}
}

// TestBadClients shows that no client can end the child, as each could if clickhouse-local did not take itself for
// interactive (see becomeInteractive).
func TestBadClients(t *testing.T) {
	needLibrary(t)
	o := testOptions(t, t.TempDir())
	o.NATS.Disabled = true
	e := start(t, o)
	pid, at := childPID(e), e.ClickHouse()
	conn := connect(t, at.Native, admin.Name, admin.Password)
	mustExec(t, conn, "CREATE DATABASE d", "CREATE TABLE d.t (a UInt64) ENGINE = MergeTree ORDER BY a")

	clients := map[string]func(t *testing.T){
		"wrong password": func(t *testing.T) {
			if connect(t, at.Native, admin.Name, "guess").Ping(t.Context()) == nil {
				t.Error("logged in")
			}
		},
		"garbage":               func(t *testing.T) { send(t, at.Native, strings.Repeat("\xff\x00garbage", 1000)) },
		"HTTP on native port":   func(t *testing.T) { send(t, at.Native, "GET / HTTP/1.1\r\nHost: x\r\n\r\n") },
		"garbage on HTTP port":  func(t *testing.T) { send(t, at.HTTP, strings.Repeat("\xff\x00garbage", 1000)) },
		"says nothing":          func(t *testing.T) { send(t, at.Native, "") },
		"hangs up in a query":   func(t *testing.T) { hangUp(t, at.Native, "SELECT count() FROM numbers(100000000000)", false) },
		"hangs up in an insert": func(t *testing.T) { hangUp(t, at.Native, "INSERT INTO d.t (a) VALUES", true) },
		"hangs up while reading": func(t *testing.T) {
			hangUp(t, at.Native, "SELECT number, randomPrintableASCII(1000) FROM numbers(10000000)", false)
		},
	}
	for name, client := range clients {
		t.Run(name, func(t *testing.T) {
			client(t)
			if got := queryOne[uint8](t, connect(t, at.Native, admin.Name, admin.Password), "SELECT 1"); got != 1 || childPID(e) != pid {
				t.Errorf("the child ended: %d, was %d", childPID(e), pid)
			}
		})
	}
	// What they left running ends, too, and without harm.
	eventually(t, "only this query runs", func() bool {
		return queryOne[uint64](t, conn, "SELECT count() FROM system.processes WHERE user = 'admin'") == 1
	})
	if childPID(e) != pid {
		t.Errorf("the child ended: %d, was %d", childPID(e), pid)
	}
}

func send(t *testing.T, at, text string) {
	t.Helper()
	conn, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).SetLinger(0); err != nil { // close by reset
		t.Fatal(err)
	}
}

// hangUp resets the connection while the server answers a query or waits for more rows of an insert.
func hangUp(t *testing.T, at, query string, insert bool) {
	t.Helper()
	connections := make(chan net.Conn, 10)
	conn, err := clickhouse.Open(&clickhouse.Options{
		Addr: []string{at},
		Auth: clickhouse.Auth{Username: admin.Name, Password: admin.Password},
		DialContext: func(ctx context.Context, addr string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
			if err == nil {
				connections <- c
			}
			return c, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	failed := make(chan error, 1)
	if insert {
		batch, err := conn.PrepareBatch(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		if err := batch.Append(uint64(1)); err != nil {
			t.Fatal(err)
		}
		if err := batch.Flush(); err != nil {
			t.Fatal(err)
		}
		reset(t, <-connections)
		failed <- batch.Send()
	} else {
		observer := connect(t, at, admin.Name, admin.Password)
		go func() { failed <- conn.Exec(t.Context(), query) }()
		eventually(t, "the query runs", func() bool {
			return queryOne[uint64](t, observer, "SELECT count() FROM system.processes WHERE query LIKE '%"+query[:30]+"%' AND query NOT LIKE '%processes%'") > 0
		})
		reset(t, <-connections)
	}
	if err := <-failed; err == nil {
		t.Error("the query survived its connection")
	}
}

func reset(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := conn.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	conn.Close()
}
