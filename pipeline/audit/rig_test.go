package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/nats-io/nats.go"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/clickhouse"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// engines are shared by the package's tests, which each have a county and the tables to themselves.
var engines struct {
	once    sync.Once
	own     *embedded.Engines
	dir     string
	house   *warehouse.Warehouse
	err     error
	counter int
}

func TestMain(m *testing.M) {
	embedded.RunChildIfAsked()
	appendIfAsked()
	code := m.Run()
	if engines.own != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		engines.house.Close()
		if err := engines.own.Stop(ctx); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.RemoveAll(engines.dir)
	}
	os.Exit(code)
}

func startEngines() {
	e := &engines
	if e.dir, e.err = os.MkdirTemp("", "audit-"); e.err != nil {
		return
	}
	var users []embedded.User
	for _, u := range clickhouse.Access() {
		users = append(users, embedded.User{Name: u.Name, Password: "of-" + u.Name, Settings: u.Settings, Readonly: u.Readonly, Grants: u.Grants})
	}
	e.own, e.err = embedded.Start(context.Background(), embedded.Options{Dir: e.dir, Version: "1.0.0",
		ClickHouse: embedded.ClickHouseOptions{Users: users}, Log: slog.New(slog.DiscardHandler)})
	if e.err != nil {
		return
	}
	loader := warehouse.Address{Native: e.own.ClickHouse().Native, User: clickhouse.Loader, Password: "of-" + clickhouse.Loader}
	e.house, e.err = warehouse.Connect(context.Background(), loader, "the bus of the test", slog.New(slog.DiscardHandler))
}

// rig is a county's log, its projection, and what is needed to change both by hand.
type rig struct {
	*testing.T
	dir    string
	county string
	key    *Key
	keys   Keys
	conn   driver.Conn
	log    *Log
	p      *Projection
}

const clerk = "李梅"

func newRig(t *testing.T) *rig {
	t.Helper()
	engines.once.Do(startEngines)
	if errors.Is(engines.err, embedded.ErrNoLibrary) && os.Getenv("CI") != "true" {
		t.Skip(engines.err)
	}
	if engines.err != nil {
		t.Fatal(engines.err)
	}
	engines.counter++
	r := &rig{T: t, dir: t.TempDir(), county: fmt.Sprint(330000 + engines.counter), conn: engines.house.Conn()}
	r.sql("TRUNCATE TABLE audit.accesses")
	r.sql("TRUNCATE TABLE audit.cuts")
	var err error
	r.key, err = LoadOrCreateKey(r.dir, Ed25519)
	r.must(err)
	r.keys, err = OwnKeys(r.dir)
	r.must(err)
	r.log = r.open(Options{})
	r.p = NewProjection(r.log, r.conn, slog.New(slog.DiscardHandler))
	return r
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *rig) sql(statement string) {
	r.Helper()
	if err := r.conn.Exec(r.Context(), statement); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) connect() *nats.Conn {
	r.Helper()
	nc, err := nats.Connect(engines.own.NATS().URL, engines.own.NATS().InProcess()...)
	r.must(err)
	r.Cleanup(nc.Close)
	return nc
}

func testHasher() *pseudonym.Hasher {
	h, err := pseudonym.New([]byte(strings.Repeat("k", 32)))
	if err != nil {
		panic(err)
	}
	return h
}

// open opens the log once more, with a connection of its own, as another process would.
func (r *rig) open(o Options) *Log {
	r.Helper()
	o.County, o.Key, o.Hasher, o.Log = r.county, r.key, testHasher(), slog.New(slog.DiscardHandler)
	if o.Old == nil {
		o.Old = OldChain(r.conn)
	}
	l, err := Open(r.Context(), r.connect(), o)
	r.must(err)
	return l
}

func testAccess(number string) Access {
	return Access{At: time.Date(2026, 11, 23, 3, 0, 0, 123_456_789, time.UTC), Caller: "portal/review", Clerk: clerk, Purpose: "identity review",
		CaseNumber: number, Persons: []pseudonym.ID{{15: 1}, {15: 2}}, Fields: []string{"name", "id_number"}, Decision: "granted"}
}

func (r *rig) record(l *Log, numbers ...string) {
	r.Helper()
	for _, n := range numbers {
		r.must(l.Record(r.Context(), testAccess(n)))
	}
}

// old writes rows as they were written before there was a stream.
func (r *rig) old(n int) (rows []row) {
	r.Helper()
	after := Place{}
	for range n {
		e := someEntry
		_, after = e.seal(nil, after, SHA256)
		rows = append(rows, rowOf(e))
	}
	r.must(table{r.conn}.insert(r.Context(), rows))
	return rows
}

// cases counts the entries of the stream by their case numbers.
func (r *rig) cases() map[string]int {
	r.Helper()
	out := map[string]int{}
	r.must(r.log.eachBlock(r.Context(), func(block []byte) error {
		return records(block, func(rec record) error {
			e, err := rec.entry()
			out[e.CaseNumber]++
			return err
		})
	}))
	return out
}

func (r *rig) verify() *Report {
	r.Helper()
	report, err := r.p.Verify(r.Context(), r.keys, nil)
	r.must(err)
	return report
}

// proven fails the test unless the log is whole.
func (r *rig) proven(entries uint64) {
	r.Helper()
	if report := r.verify(); !report.OK() || report.Entries != entries || report.Behind != 0 {
		r.Errorf("%+v, want %d entries", report, entries)
	}
}

// forge makes the stream anew, as somebody may who rules the server: change sees the county's messages one by one, and what it
// returns is there instead.
func (r *rig) forge(change func(subject string, data []byte) [][]byte) {
	r.Helper()
	js := r.log.js
	type message struct {
		subject string
		data    []byte
	}
	var all []message
	for _, subject := range []string{signedSubject(r.county), entriesSubject(r.county)} {
		last, err := r.log.newest(r.Context(), subject)
		r.must(err)
		r.must(r.log.each(r.Context(), subject, 1, last, func(_ uint64, data []byte) error {
			for _, d := range change(subject, data) {
				all = append(all, message{subject, d})
			}
			return nil
		}))
	}
	r.must(js.DeleteStream(r.Context(), Stream))
	var err error
	// The server may still be at removing the old stream's folder.
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if r.log.stream, err = stream(r.Context(), js, 1); err == nil || time.Now().After(end) {
			break
		}
	}
	r.must(err)
	for _, m := range all {
		_, err := js.Publish(r.Context(), m.subject, m.data)
		r.must(err)
	}
	r.log.known = false
}

// entriesOf changes the records of all blocks, as if they were one list.
func (r *rig) forgeEntries(change func([]record) []record) {
	r.Helper()
	var all []record
	r.must(r.log.eachBlock(r.Context(), func(block []byte) error {
		return records(block, func(rec record) error { all = append(all, rec); return nil })
	}))
	done := false
	r.forge(func(subject string, data []byte) [][]byte {
		if subject == signedSubject(r.county) {
			return [][]byte{data}
		}
		if done {
			return nil
		}
		done = true
		var out [][]byte
		for _, rec := range change(all) {
			out = append(out, rec.append(newBlock()))
		}
		return out
	})
}
