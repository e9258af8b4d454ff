package main

import (
	"context"
	"database/sql"
	"encoding/csv"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	_ "github.com/go-sql-driver/mysql"
	"github.com/goccy/go-yaml"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/nats-io/nats.go"

	"github.com/shirecounty/shire/connectors/conformance"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/schemas/change"
)

// torture says how long and how hard. The seed is printed, and SHIRE_TEST_SEED repeats its schedule.
type torture struct {
	tables int // half of them on PostgreSQL, half on MariaDB
	last   time.Duration
	kills  int
}

// Departments write to 50 tables on two real servers, with transactions that roll back and keys that change, while a
// seeded schedule kills -9 the whole of Shire and its ClickHouse child, and terminates the servers' backends and the
// connection to NATS. Then the tables and ClickHouse are compared row by row: nothing is lost, doubled or stale.
func TestTorture(t *testing.T) {
	t.Parallel()
	needEngine(t)
	plan := torture{tables: 50, last: 60 * time.Second, kills: 30}
	if minutes, err := strconv.Atoi(os.Getenv("SHIRE_TORTURE_MINUTES")); err == nil && minutes > 0 {
		plan.last, plan.kills = time.Duration(minutes)*time.Minute, 30*minutes
	} else if testing.Short() {
		t.Skip("a minute of kills")
	}
	random := newRandom(t)
	departments := []*department{
		newDepartment(t, "p", "pgx", conformance.StartPostgres(t), plan.tables/2, random.Uint64()),
		newDepartment(t, "m", "mysql", conformance.StartMariaDB(t), plan.tables/2, random.Uint64()),
	}
	busAddress := externalNATS(t, nil)
	wire := newWire(t, strings.TrimPrefix(busAddress, "nats://"))
	data := filepath.Join(t.TempDir(), "node")
	file := tortureCounty(t, departments, wire.address())
	var processes []*process
	begin := func() *process {
		processes = append(processes, start(t, "up", "-c", file, "--data", data))
		return processes[len(processes)-1]
	}

	p := begin()
	p.WaitFor("Shire serves")
	if plan.last < 5*time.Minute { // in a longer run there would be too many parts
		p.Stop()
		withoutMerges(t, data) // which would hide what was loaded twice
		p = begin()
		p.WaitFor("Shire serves")
	}
	ctx, rest := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for _, d := range departments {
		for range 2 {
			seed := rand.New(rand.NewPCG(random.Uint64(), 1))
			writers.Go(func() { d.work(ctx, seed) })
		}
	}
	done := map[string]int{}
	for n := range plan.kills {
		time.Sleep(time.Duration(random.Float64() * 2 * float64(plan.last) / float64(plan.kills)))
		switch kind := random.IntN(10); {
		case n%10 == 9: // the bus is out of reach for so long that connectors come to tell their servers what is safe
			wire.hold(true)
			time.Sleep(6 * time.Second)
			p.Kill()
			wire.hold(false)
			done["NATS held, shire killed"]++
			p = begin()
		case n%10 == 4: // the warehouse goes first, so that loads are under way when shire does
			if child := clickHouseChild(p.cmd.Process.Pid); child != 0 && syscall.Kill(child, syscall.SIGKILL) == nil {
				time.Sleep(300 * time.Millisecond)
				done["ClickHouse killed, then shire"]++
			}
			p.Kill()
			p = begin()
		case kind < 3:
			p.Kill()
			done["shire killed"]++
			p = begin()
		case kind < 6:
			if child := clickHouseChild(p.cmd.Process.Pid); child != 0 {
				if syscall.Kill(child, syscall.SIGKILL) == nil {
					done["ClickHouse killed"]++
				}
			}
		case kind < 8:
			done["backends terminated"] += departments[random.IntN(2)].disconnect()
		default:
			done["NATS connections cut"] += wire.cut()
		}
		if p.Ended() { // an engine that could not be had ends shire with a sentence; a service manager starts it again
			done["shire ended: "+lastLine(p.result.Stderr)]++
			p = begin()
		}
	}
	rest()
	writers.Wait()
	t.Logf("%v", done)
	for _, d := range departments {
		t.Logf("%s: %d operations committed, %d rolled back", d.kind, d.committed, d.undone)
		if d.committed < 500 {
			t.Errorf("%s: only %d operations were committed: this proved nothing", d.kind, d.committed)
		}
	}
	p.WaitFor("Shire serves")
	want := map[string]string{}
	for _, d := range departments {
		d.rows(t, want)
	}
	var got map[string]string
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Second) {
		if p.Ended() {
			p = begin()
			p.WaitFor("Shire serves")
		}
		if got = caseRows(t, data); len(differences(want, got)) == 0 {
			break
		}
		if time.Now().After(deadline) {
			lines := differences(want, got)
			p.Stop()
			t.Fatalf("%d of %d rows differ:\n%s\n%s\n%s", len(lines), len(want), strings.Join(lines[:min(20, len(lines))], "\n"),
				whereLost(t, want, got, data, busAddress), warnings(processes, 12))
		}
	}
	p.Stop()
	noRowTwice(t, data)
	t.Logf("the warnings:\n%s", warnings(processes, 0))
	t.Logf("%d rows in %d tables are equal; %d changes on the bus, each once", len(want), plan.tables, saidOnce(t, busAddress))
}

// withoutMerges has the table of cases keep every row that was ever loaded. Nothing else may run on the data directory.
func withoutMerges(t *testing.T, data string) {
	t.Helper()
	asLoader(t, data, func(conn driver.Conn) {
		if err := conn.Exec(t.Context(), "ALTER TABLE store.cases MODIFY SETTING max_bytes_to_merge_at_max_space_in_pool = 1, parts_to_delay_insert = 100000, parts_to_throw_insert = 100000"); err != nil {
			t.Fatal(err)
		}
	})
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// department is a database server with tables of records that people work on.
type department struct {
	kind, prefix string
	source       map[string]any // of county.yaml
	db           *sql.DB
	tables       int

	mu                sync.Mutex
	next              int
	committed, undone int
}

// databaseServer is either of the two.
type databaseServer interface{ Restart(testing.TB) }

func newDepartment(t *testing.T, prefix, kind string, s databaseServer, tables int, seed uint64) *department {
	t.Helper()
	d := &department{kind: kind, prefix: prefix, tables: tables, next: int(seed % 1000)}
	with := map[string]any{}
	var dsn, database string
	switch s := s.(type) {
	case *conformance.Postgres:
		dsn, database = s.URL("postgres"), "public"
		with["address"], with["database"], with["user"] = s.Address, "postgres", "postgres"
		d.source = map[string]any{"name": "registry", "kind": "postgres"}
	case *conformance.MariaDB:
		dsn, database = s.DSN("hall"), "hall"
		root, err := sql.Open(kind, s.DSN(""))
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		if _, err := root.Exec("CREATE DATABASE hall"); err != nil {
			t.Fatal(err)
		}
		with["address"], with["user"] = s.Address, "root"
		d.source = map[string]any{"name": "hall", "kind": "mysql"}
	}
	var err error
	if d.db, err = sql.Open(kind, dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.db.Close() })
	var datasets, mapped []any
	for i := range tables {
		table := fmt.Sprintf("%s%02d", prefix, i)
		if _, err := d.db.Exec("CREATE TABLE " + table + " (id varchar(20) PRIMARY KEY, name varchar(200) NOT NULL)"); err != nil {
			t.Fatal(err)
		}
		datasets = append(datasets, table)
		mapped = append(mapped, map[string]any{"table": database + "." + table, "dataset": table})
	}
	with["tables"] = mapped
	d.source["datasets"], d.source["with"] = datasets, with
	return d
}

// work writes transactions of a few operations, of which one in five is taken back, until ctx ends.
func (d *department) work(ctx context.Context, random *rand.Rand) {
	for ctx.Err() == nil {
		time.Sleep(time.Duration(random.IntN(8)) * time.Millisecond)
		tx, err := d.db.Begin() // a terminated backend is a new connection
		if err != nil {
			continue
		}
		n := 1 + random.IntN(5)
		for range n {
			if err = d.operate(tx, random); err != nil {
				break
			}
		}
		if err != nil || random.IntN(5) == 0 {
			tx.Rollback()
			d.count(0, n)
		} else if tx.Commit() == nil {
			d.count(n, 0)
		}
	}
}

func (d *department) count(committed, undone int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.committed, d.undone = d.committed+committed, d.undone+undone
}

// unique is a value that was never written before.
func (d *department) unique() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.next++
	return fmt.Sprintf("值 %s %d", d.prefix, d.next)
}

// operate changes a record of a table: half of the time one of few, so that keys come and go and come again; else one that
// will hardly be written again, so that nothing hides what was lost.
func (d *department) operate(tx *sql.Tx, random *rand.Rand) error {
	table, id, value := fmt.Sprintf("%s%02d", d.prefix, random.IntN(d.tables)), fmt.Sprint(random.IntN(40)), d.unique()
	if random.IntN(2) == 0 {
		id = fmt.Sprint("c", random.IntN(20_000))
	}
	var query string
	switch random.IntN(8) {
	case 0:
		query = fmt.Sprintf("DELETE FROM %s WHERE id = '%s'", table, id)
	case 1: // a key that changes, when the new one is free
		to := fmt.Sprint(random.IntN(40))
		query = fmt.Sprintf("UPDATE %[1]s SET id = '%[3]s', name = '%[4]s' WHERE id = '%[2]s' AND '%[3]s' NOT IN (SELECT id FROM (SELECT id FROM %[1]s) AS taken)", table, id, to, value)
	case 2, 3:
		query = fmt.Sprintf("UPDATE %s SET name = '%s' WHERE id = '%s'", table, value, id)
	default:
		query = fmt.Sprintf("INSERT INTO %s (id, name) VALUES ('%s', '%s') ON CONFLICT (id) DO UPDATE SET name = excluded.name", table, id, value)
		if d.kind == "mysql" {
			query = fmt.Sprintf("INSERT INTO %s (id, name) VALUES ('%s', '%s') ON DUPLICATE KEY UPDATE name = VALUES(name)", table, id, value)
		}
	}
	_, err := tx.Exec(query)
	return err
}

// disconnect ends every connection to the server but its own: those that write, and those that Shire reads by. It returns
// how many.
func (d *department) disconnect() (n int) {
	const pgOthers = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid != pg_backend_pid() AND backend_type IN ('client backend', 'walsender')"
	const myOthers = "SELECT id FROM information_schema.processlist WHERE id != connection_id() AND user = 'root'"
	ctx := context.Background()
	for range 5 { // the pool may hand out a connection that an earlier round has ended
		conn, err := d.db.Conn(ctx)
		if err != nil {
			continue
		}
		defer conn.Close()
		if d.kind == "pgx" {
			if conn.QueryRowContext(ctx, pgOthers).Scan(&n) == nil {
				return n
			}
			continue
		}
		rows, err := conn.QueryContext(ctx, myOthers)
		if err != nil {
			continue
		}
		var ids []int
		for rows.Next() {
			var id int
			if rows.Scan(&id) == nil {
				ids = append(ids, id)
			}
		}
		rows.Close()
		for _, id := range ids {
			if _, err := conn.ExecContext(ctx, fmt.Sprint("KILL CONNECTION ", id)); err == nil {
				n++
			}
		}
		return n
	}
	return 0
}

// rows adds what the tables hold, by table and id.
func (d *department) rows(t *testing.T, into map[string]string) {
	t.Helper()
	for i := range d.tables {
		table := fmt.Sprintf("%s%02d", d.prefix, i)
		rows, err := d.db.Query("SELECT id, name FROM " + table)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var id, name string
			if err := rows.Scan(&id, &name); err != nil {
				t.Fatal(err)
			}
			into[table+"/"+id] = name
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// caseRows is what ClickHouse holds, by dataset and case number. A record that stood twice would be seen by its number.
func caseRows(t *testing.T, data string) map[string]string {
	t.Helper()
	r := shire(t, "sql", "--csv", "--data", data, "SELECT dataset, case_number, item_name FROM mart.cases")
	if r.Code != exitOK {
		return nil // ClickHouse is on its way up
	}
	lines, err := csv.NewReader(strings.NewReader(r.Stdout)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, l := range lines[min(1, len(lines)):] {
		key := l[0] + "/" + l[1]
		if had, twice := out[key]; twice {
			l[2] = had + " and " + l[2]
		}
		out[key] = l[2]
	}
	return out
}

// saidOnce proves that no change was said twice: every value was written once, so only a snapshot may repeat one. It returns
// how many changes are on the bus.
func saidOnce(t *testing.T, address string) (changes int) {
	t.Helper()
	nc, err := nats.Connect(address, nats.UserInfo("county", "nats-password"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	b, err := bus.Open(t.Context(), nc, bus.Options{County: "331099", Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	last, err := b.LastSequence(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, err := b.Read(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	first := map[string]uint64{}
	for at := uint64(0); at < last; {
		msg, err := r.Next(t.Context(), 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		at = msg.Sequence
		batch, err := change.Decode(msg.Data)
		if err != nil {
			t.Fatal(err)
		}
		names := slices.Index(batch.Columns(), "name")
		for i := range batch.Len() {
			changes++
			if op := batch.Op(i); names < 0 || op != change.Create && op != change.Update {
				continue
			}
			value := strings.Clone(batch.Values(names).Value(i))
			if before, twice := first[value]; twice {
				t.Errorf("%s of %s was said in message %d and in message %d", value, batch.Dataset, before, at)
			}
			first[value] = at
		}
		batch.Record.Release()
	}
	return changes
}

func differences(want, got map[string]string) (lines []string) {
	for key, value := range want {
		switch have, there := got[key]; {
		case !there:
			lines = append(lines, key+" is lost: "+value)
		case have != value:
			lines = append(lines, key+" is "+have+", and not "+value)
		}
	}
	for key, have := range got {
		if _, there := want[key]; !there {
			lines = append(lines, key+" should not be there: "+have)
		}
	}
	return lines
}

const tortureContract = `
dataset: %s
department: bureau
owner: {zh: 局, en: Bureau}
title: {zh: 表, en: Table}
version: 1
key: [id]
sharing: {type: unconditional}
fields:
  - {name: id, type: text, sensitivity: internal}
  - {name: name, type: text, sensitivity: internal}
emits:
  - table: cases
    columns: {case_number: id, department: {value: bureau}, item_code: {value: item}, item_name: name}
`

// tortureCounty writes county.yaml and the contracts of the departments' tables.
func tortureCounty(t *testing.T, departments []*department, bus string) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "contracts"), 0o755); err != nil {
		t.Fatal(err)
	}
	var sources []any
	for _, d := range departments {
		sources = append(sources, d.source)
		for i := range d.tables {
			name := fmt.Sprintf("%s%02d", d.prefix, i)
			write("contracts/"+name+".yaml", fmt.Sprintf(tortureContract, name))
		}
	}
	text, err := yaml.Marshal(map[string]any{
		"county": map[string]any{"division": "331099", "name_zh": "试验县", "name_en": "Test County"}, "contracts": "contracts",
		"portal":  map[string]any{"listen": "127.0.0.1:0"},
		"engines": map[string]any{"nats": map[string]any{"address": "nats://" + bus, "user": "county", "password": "${TEST_NATS_PASSWORD}"}},
		"flow":    map[string]any{"pack_rows": 50, "load_rows": 2000, "load_age": "10ms", "lease": "500ms"},
		"sources": sources,
	})
	if err != nil {
		t.Fatal(err)
	}
	write("county.yaml", string(text))
	return filepath.Join(dir, "county.yaml")
}

// wire carries connections to a server; it can be cut, and held: then nothing comes through.
type wire struct {
	listener net.Listener
	mu       sync.Mutex
	free     *sync.Cond
	held     bool
	conns    map[net.Conn]bool
}

func newWire(t *testing.T, to string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{listener: l, conns: map[net.Conn]bool{}}
	w.free = sync.NewCond(&w.mu)
	t.Cleanup(func() { l.Close(); w.hold(false); w.cut() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				near.Close()
				continue
			}
			w.mu.Lock()
			w.conns[near] = true
			w.mu.Unlock()
			go w.carry(near, far, near)
			go w.carry(far, near, near)
		}
	}()
	return w
}

// carry copies what comes from one end to the other, until one of them is closed.
func (w *wire) carry(to, from, near net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		w.mu.Lock()
		for w.held {
			w.free.Wait()
		}
		if err != nil {
			delete(w.conns, near)
		}
		w.mu.Unlock()
		if _, failed := to.Write(buf[:n]); failed != nil || err != nil {
			return
		}
	}
}

func (w *wire) hold(held bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = held
	w.free.Broadcast()
}

func (w *wire) address() string { return w.listener.Addr().String() }

// cut ends all connections that are there; it returns how many.
func (w *wire) cut() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(w.conns)
	for c := range w.conns {
		c.Close()
	}
	return n
}
