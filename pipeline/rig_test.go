package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/columnar"
	"github.com/shirecounty/shire/pipeline/identity"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/calendar"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/clickhouse"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/metrics"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// The engines are started once; each test has a county and a dataset that no other has.
var engines struct {
	*embedded.Engines
	loader warehouse.Address
	failed error
}

func TestMain(m *testing.M) {
	embedded.RunChildIfAsked()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "shire-pipeline-")
	if err != nil {
		slog.Error("no directory for the engines", "error", err)
		return 1
	}
	defer os.RemoveAll(dir)
	var users []embedded.User
	for _, u := range append(clickhouse.Access(), clickhouse.DepartmentUsers([]string{"tax"})...) {
		if u.Name == clickhouse.Loader {
			// A merge would hide that a row was loaded twice.
			u.Grants = append(u.Grants, "SYSTEM MERGES ON *.*")
		}
		users = append(users, embedded.User{Name: u.Name, Password: "of-" + u.Name, Settings: u.Settings, Readonly: u.Readonly, Grants: u.Grants})
	}
	engines.Engines, engines.failed = embedded.Start(context.Background(), embedded.Options{Dir: dir, Version: "1.0.0",
		ClickHouse: embedded.ClickHouseOptions{Users: users}, Log: slog.New(slog.DiscardHandler)})
	if engines.failed != nil {
		return m.Run()
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := engines.Stop(ctx); err != nil {
			slog.Error("the engines did not stop", "error", err)
		}
	}()
	engines.loader = warehouse.Address{Native: engines.ClickHouse().Native, User: clickhouse.Loader, Password: "of-" + clickhouse.Loader}
	return m.Run()
}

var counties atomic.Int64

// rig is a county's bus, its warehouse, and one dataset.
type rig struct {
	identities  *identity.Matching // of the flow that was made last
	identityDir string
	t           *testing.T
	dataset     string
	nc          *nats.Conn
	bus         *bus.Bus
	loads       *warehouse.Warehouse
	calendar    *calendar.Calendar
	hasher      *pseudonym.Hasher
	writer      *bus.Writer
}

func newRig(t *testing.T) *rig {
	t.Helper()
	if engines.failed != nil {
		if os.Getenv("CI") == "true" || !errors.Is(engines.failed, embedded.ErrNoLibrary) {
			t.Fatal(engines.failed)
		}
		t.Skip(engines.failed)
	}
	n := counties.Add(1)
	r := &rig{t: t, dataset: fmt.Sprintf("cases_%d", n)}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	r.nc, err = nats.Connect(engines.NATS().URL, engines.NATS().InProcess()...)
	must(err)
	t.Cleanup(r.nc.Close)
	r.bus, err = bus.Open(t.Context(), r.nc, bus.Options{County: fmt.Sprintf("%06d", n), Replicas: 1})
	must(err)
	r.loads, err = warehouse.Connect(t.Context(), engines.loader, r.bus.ID(), slog.New(slog.DiscardHandler))
	must(err)
	t.Cleanup(func() { r.loads.Close() })
	for _, table := range []string{"store.cases", "restricted.person_records", "store.quarantine_log", "store.load_log"} {
		must(r.loads.Conn().Exec(t.Context(), "SYSTEM STOP MERGES "+table))
	}
	set, err := metrics.Load()
	must(err)
	must(clickhouse.ApplyViews(t.Context(), r.loads.Conn(), "Asia/Shanghai", clickhouse.Loader, set))
	r.calendar, err = calendar.Load(calendar.National())
	must(err)
	r.hasher, err = pseudonym.New([]byte(strings.Repeat("k", 32)))
	must(err)
	r.writer, err = r.bus.ChangesWriter(t.Context(), r.bus.ChangesSubject("hall", r.dataset))
	must(err)
	return r
}

const contractText = `dataset: %s
department: hall
owner: {zh: 甲, en: A}
title: {zh: 甲, en: A}
version: %d
key: [number]
sharing: {type: conditional}
fields:
  - {name: number, type: identifier, required: true, sensitivity: internal}
  - {name: card, type: citizen_number, lenient: true, sensitivity: sensitive}
  - {name: item, type: text, required: true, sensitivity: open}
  - {name: closed, type: date, sensitivity: internal}
  - {name: visits, type: integer, %ssensitivity: open}
checks:
  - {name: published, working_calendar: [closed]}
emits:
  - {table: person_records, role: applicant, columns: {id_number: card}}
  - table: cases
    person: applicant
    columns: {case_number: number, department: {value: "%s"}, item_code: item, closed_at: closed, visits: visits}
`

// contract is the dataset's contract in a version; from version 2 on a number of visits that is none is let pass, and
// the department is another, so that it shows which version a row was read with.
func (r *rig) contract(version int) contract.Set {
	r.t.Helper()
	lenient := ""
	if version > 1 {
		lenient = "lenient: true, "
	}
	d, err := contract.Parse("c.yaml", fmt.Appendf(nil, contractText, r.dataset, version, lenient, fmt.Sprint("v", version)), "Asia/Shanghai")
	if err != nil {
		r.t.Fatal(err)
	}
	return contract.Set{d.Name: d}
}

// row is a change as the source wrote it; a row whose visits are no number is refused by version 1.
func row(op change.Op, key, item, visits string) change.Change {
	return change.Change{Op: op, Key: key, Row: 1, Values: []string{key, "11010519491231002X", item, "2026-03-02", visits}, Position: change.Position(item)}
}

func (r *rig) batch(rows ...change.Change) *change.Batch {
	b := change.NewBuilder("source", "hall", r.dataset, "u.csv", []string{"number", "card", "item", "closed", "visits"})
	defer b.Release()
	for _, c := range rows {
		b.Append(c)
	}
	return b.Build()
}

// publish sends rows as one message.
func (r *rig) publish(rows ...change.Change) uint64 {
	r.t.Helper()
	data, err := r.batch(rows...).Encode()
	if err != nil {
		r.t.Fatal(err)
	}
	sequence, err := r.writer.Publish(r.t.Context(), nats.Header{bus.HeaderRows: {fmt.Sprint(len(rows))}}, data)
	if err != nil {
		r.t.Fatal(err)
	}
	return sequence
}

// raw sends bytes to a subject below changes, past every writer.
func (r *rig) raw(subject string, data []byte) {
	r.t.Helper()
	if _, err := r.nc.Request(subject, data, 10*time.Second); err != nil {
		r.t.Fatal(err)
	}
}

// expire removes a message, as retention does.
func (r *rig) expire(sequence uint64) {
	r.t.Helper()
	js, err := jetstream.New(r.nc)
	if err != nil {
		r.t.Fatal(err)
	}
	stream, err := js.Stream(r.t.Context(), bus.Changes)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := stream.DeleteMsg(r.t.Context(), sequence); err != nil {
		r.t.Fatal(err)
	}
}

var small = columnar.Limits{Rows: 7, Bytes: 1 << 20, Age: 20 * time.Millisecond}

// flow makes a flow that goes on with the identities of the one before it.
func (r *rig) flow(set contract.Set, limits columnar.Limits) *pipeline.Flow {
	r.t.Helper()
	if r.identities != nil {
		if err := r.identities.Close(); err != nil {
			r.t.Fatal(err)
		}
	} else {
		r.identityDir = r.t.TempDir()
		r.t.Cleanup(func() { r.identities.Close() })
	}
	r.identities = r.identitiesIn(r.identityDir)
	return r.flowWith(r.identities, set, limits)
}

func (r *rig) identitiesIn(dir string) *identity.Matching {
	r.t.Helper()
	m, err := identity.Open(identity.Options{Dir: dir, Hasher: r.hasher.Clone(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		r.t.Fatal(err)
	}
	return m
}

// elsewhere makes a flow as on another machine.
func (r *rig) elsewhere(set contract.Set, limits columnar.Limits) *pipeline.Flow {
	m := r.identitiesIn(r.t.TempDir())
	r.t.Cleanup(func() { m.Close() })
	return r.flowWith(m, set, limits)
}

func (r *rig) flowWith(m identity.Resolver, set contract.Set, limits columnar.Limits) *pipeline.Flow {
	return pipeline.New(pipeline.Options{Bus: r.bus, Warehouse: r.loads, Contracts: set, Calendar: r.calendar, Hasher: r.hasher,
		Resolver: m, Limits: limits, Log: slog.New(slog.DiscardHandler)})
}

// start runs a flow; stop ends it and returns its error.
func (r *rig) start(set contract.Set, limits columnar.Limits) (f *pipeline.Flow, stop func() error) {
	f = r.flow(set, limits)
	ctx, cancel := context.WithCancel(r.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	return f, func() error {
		cancel()
		return <-ended
	}
}

// loadThrough runs a flow of its own until a message is loaded.
func (r *rig) loadThrough(set contract.Set, sequence uint64) pipeline.Status {
	r.t.Helper()
	f, stop := r.start(set, small)
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	if err := f.Drain(ctx, sequence); err != nil {
		r.t.Fatal(err)
	}
	status := f.Status()
	if err := stop(); err != nil {
		r.t.Fatal(err)
	}
	return status
}

// strings is the one text column of a query.
func (r *rig) strings(query string, args ...any) []string {
	r.t.Helper()
	var out []string
	for attempt := 0; ; attempt++ {
		out = nil
		rows, err := r.loads.Conn().Query(r.t.Context(), query, args...)
		if err == nil {
			for rows.Next() {
				var s string
				if err = rows.Scan(&s); err != nil {
					break
				}
				out = append(out, s)
			}
			err = errors.Join(err, rows.Err(), rows.Close())
		}
		if err == nil {
			return out
		}
		if attempt == 500 { // a test may have killed the server
			r.t.Fatalf("%s: %v", query, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// cases is what the county sees: number, item, department and visits of every case.
func (r *rig) cases() string {
	r.t.Helper()
	return strings.Join(r.strings(`SELECT concat(case_number, '=', item_code, '/', department, '/', ifNull(toString(visits), 'NULL')) AS c
		FROM store.cases FINAL WHERE dataset = ? ORDER BY c`, r.dataset), " ")
}

// twice counts rows that stand in a table more than once.
func (r *rig) twice(table string) string {
	r.t.Helper()
	return r.strings("SELECT toString(count() - uniqExact(record_id, version)) FROM "+table+" WHERE dataset = ?", r.dataset)[0]
}

// held is the rows in quarantine, in all states: item of bytes unknown, so by version.
func (r *rig) held() string {
	r.t.Helper()
	return strings.Join(r.strings(`SELECT concat(toString(state), ':', code, ':', field, if(state_reason = '', '', concat(':', state_reason))) FROM store.quarantine_log FINAL
		WHERE dataset = ? ORDER BY version`, r.dataset), " ")
}

func (r *rig) waiting() []warehouse.Waiting {
	r.t.Helper()
	rows, err := warehouse.ListQuarantine(r.t.Context(), r.loads.Conn(), warehouse.Filter{Dataset: r.dataset})
	if err != nil {
		r.t.Fatal(err)
	}
	return rows
}

// refused is how often each version stands on the quarantine's own stream.
func (r *rig) refused() map[uint64]int {
	r.t.Helper()
	subject := r.bus.QuarantineSubject("hall", r.dataset)
	w, err := r.bus.QuarantineWriter(r.t.Context(), subject)
	if err != nil {
		r.t.Fatal(err)
	}
	found := map[uint64]int{}
	end, _ := w.Last()
	if end == 0 {
		return found
	}
	reader, err := r.bus.ReadQuarantine(r.t.Context(), subject, 1)
	if err != nil {
		r.t.Fatal(err)
	}
	defer reader.Close()
	for {
		msg, err := reader.Next(r.t.Context(), 10*time.Second)
		if err != nil {
			r.t.Fatal(err)
		}
		b, err := change.Decode(msg.Data)
		if err != nil {
			r.t.Fatal(err)
		}
		for i := range b.Len() {
			found[b.Version(0, i)]++
		}
		if msg.Sequence == end {
			return found
		}
	}
}
