package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/nats-io/nats.go"

	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/schemas/change"
)

// explained are how many of the rows that differ are followed through the stages.
const explained = 20

// whereLost tells of rows that differ which stage had them last: the bus, the ledger of loads, the load log, the table of every
// version, or the table itself. Shire must not run.
func whereLost(t *testing.T, want, got map[string]string, data, address string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var keys []string
	for key, value := range want {
		if got[key] != value {
			keys = append(keys, key)
		}
	}
	for key := range got {
		if _, there := want[key]; !there {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	keys = keys[:min(explained, len(keys))]
	var out strings.Builder
	said, err := saidOf(ctx, keys, address)
	if err != nil {
		fmt.Fprintf(&out, "the bus cannot be asked: %v\n", err)
	}
	asLoader(t, data, func(conn driver.Conn) {
		for _, key := range keys {
			fmt.Fprintf(&out, "%s: the source says %q, the warehouse %q\n", key, want[key], got[key])
			changes := said.changes[key]
			if len(changes) == 0 {
				out.WriteString("  the bus holds no change of it: it was lost before the bus\n")
			}
			for _, c := range changes[max(0, len(changes)-3):] {
				fmt.Fprintf(&out, "  message %d: %s of %q; %s; %s\n", change.SequenceOf(c.version), c.op, c.value, said.load(change.SequenceOf(c.version)), inWarehouse(ctx, conn, key, c.version))
			}
		}
	})
	return out.String()
}

// saying is a change as the bus holds it.
type saying struct {
	version   uint64
	op, value string
}

// onBus is what the bus knows of some rows, and of all loads.
type onBus struct {
	changes map[string][]saying
	ranges  []bus.Range
	through uint64 // every message up to here is loaded, the ledger says
}

func saidOf(ctx context.Context, keys []string, address string) (onBus, error) {
	said := onBus{changes: map[string][]saying{}}
	nc, err := nats.Connect(address, nats.UserInfo("county", "nats-password"))
	if err != nil {
		return said, err
	}
	defer nc.Close()
	b, err := bus.Open(ctx, nc, bus.Options{County: "331099", Replicas: 1})
	if err != nil {
		return said, err
	}
	loads, through, pending, err := b.OpenLoads(ctx)
	if err != nil {
		return said, err
	}
	said.through = through
	err = loads.Each(ctx, 0, through, func(r *bus.Range) error {
		said.ranges = append(said.ranges, bus.Range{First: r.First, Last: r.Last, Messages: r.Messages, Rows: r.Rows})
		return nil
	})
	said.ranges = append(said.ranges, pending...)
	if err != nil {
		return said, err
	}
	last, err := b.LastSequence(ctx)
	if err != nil {
		return said, err
	}
	r, err := b.Read(ctx, 0)
	if err != nil {
		return said, err
	}
	defer r.Close()
	for at := uint64(0); at < last; {
		msg, err := r.Next(ctx, 10*time.Second)
		if err != nil {
			return said, err
		}
		at = msg.Sequence
		batch, err := change.Decode(msg.Data)
		if err != nil {
			return said, err
		}
		ids, names := slices.Index(batch.Columns(), "id"), slices.Index(batch.Columns(), "name")
		for i := range batch.Len() {
			if ids < 0 {
				break
			}
			key := strings.Clone(batch.Dataset + "/" + batch.Values(ids).Value(i))
			if !slices.Contains(keys, key) {
				continue
			}
			value := ""
			if names >= 0 {
				value = strings.Clone(batch.Values(names).Value(i))
			}
			said.changes[key] = append(said.changes[key], saying{batch.Version(msg.Sequence, i), fmt.Sprint(batch.Op(i)), value})
		}
		batch.Record.Release()
	}
	return said, nil
}

// load says what the ledger knows of the load that a message belongs to.
func (s onBus) load(sequence uint64) string {
	for _, r := range s.ranges {
		if r.First <= sequence && sequence <= r.Last {
			state := "is loaded"
			if r.Last > s.through {
				state = "is recorded and not finished"
			}
			return fmt.Sprintf("in the ledger the load of %d to %d with %d messages and %d changes %s", r.First, r.Last, r.Messages, r.Rows, state)
		}
	}
	return fmt.Sprintf("the ledger has no load of it, though all up to %d is loaded", s.through)
}

// inWarehouse says what the warehouse knows of a version of a row, and of the load that its message belongs to.
func inWarehouse(ctx context.Context, conn driver.Conn, key string, version uint64) string {
	dataset, number, _ := strings.Cut(key, "/")
	sequence := change.SequenceOf(version)
	var logged, rows, cases, versions uint64
	err := conn.QueryRow(ctx, "SELECT count(), sum(rows) FROM store.load_log FINAL WHERE table_name = 'store.cases' AND first_sequence <= ? AND last_sequence >= ?", sequence, sequence).Scan(&logged, &rows)
	if err == nil {
		err = conn.QueryRow(ctx, "SELECT count() FROM store.cases WHERE dataset = ? AND case_number = ? AND version = ?", dataset, number, version).Scan(&cases)
	}
	if err == nil {
		err = conn.QueryRow(ctx, "SELECT count() FROM store.cases_versions WHERE dataset = ? AND case_number = ? AND version = ?", dataset, number, version).Scan(&versions)
	}
	if err != nil {
		return fmt.Sprint("the warehouse cannot be asked: ", err)
	}
	return fmt.Sprintf("the load log has %d lines of it with %d rows, store.cases the version %d times, store.cases_versions %d times", logged, rows, cases, versions)
}

var (
	warning   = regexp.MustCompile(`level=(WARN|ERROR)`)
	saidWords = regexp.MustCompile(`msg=("[^"]*"|\S+)`)
)

// warnings are what the processes of a run warned of: at most so many lines of each, the last ones, and how often each sentence
// was said in all.
func warnings(processes []*process, most int) string {
	var out strings.Builder
	said := map[string]int{}
	for i, p := range processes {
		var lines []string
		for line := range strings.Lines(p.stderr.String()) {
			if !warning.MatchString(line) {
				continue
			}
			said[saidWords.FindString(line)]++
			if line = strings.TrimSpace(line); len(line) > 400 {
				line = line[:400] + "..."
			}
			lines = append(lines, line)
		}
		if len(lines) > 0 && most > 0 {
			fmt.Fprintf(&out, "process %d of %d gave %d warnings, the last:\n%s\n", i+1, len(processes), len(lines), strings.Join(lines[max(0, len(lines)-most):], "\n"))
		}
	}
	for _, sentence := range slices.SortedFunc(maps.Keys(said), func(a, b string) int { return cmp.Compare(said[b], said[a]) }) {
		fmt.Fprintf(&out, "%d times %s\n", said[sentence], sentence)
	}
	return out.String()
}
