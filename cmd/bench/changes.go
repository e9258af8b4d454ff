package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/shirecounty/shire/connectors/simulate"
	"github.com/shirecounty/shire/pipeline/identity/partition"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/identity"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

const (
	loadRange   = 40_000 // records at a time while the state is filled
	loadMessage = 4096   // of them in one message of the stream
	offeredRate = 5_000  // single changes a second
	atMost      = 512    // single changes that are kept together
	window      = 5      // seconds: the p99 of each is told
	settling    = 10     // seconds of single changes before they are measured: files of the load are merged meanwhile

	nodeMemory    = 768 << 20 // the collector of the node works by these (cmd/shire/main.go)
	nodeGCPercent = 400
)

// changesTask is what the process that measures single changes is told.
type changesTask struct {
	Dir             string // of the state, and of nothing else
	People, Changes string // files
	Loaded          int    // records of People that come first
	Seconds         int
}

// changesFigures is what it finds out.
type changesFigures struct {
	Loaded     int       `json:"loaded"`
	LoadRate   float64   `json:"load_rate"` // records a second, until they are kept
	LoadMemory memory    `json:"load_memory"`
	Disk       latency   `json:"disk"`    // an append of 4 KiB made durable
	Offered    int       `json:"offered"` // changes, at offeredRate
	Late       latency   `json:"late"`    // from when a change was due until it was kept
	Windows    []float64 `json:"windows"` // p99 of each window
	Together   float64   `json:"together"`
	Sustained  float64   `json:"sustained"` // changes a second when the next are always waiting
	Group      latency   `json:"group"`     // what atMost of them took
	Memory     memory    `json:"memory"`    // during all single changes
	Records    int       `json:"records"`
	Parties    int       `json:"parties"`

	expected standing
}

func measureChanges(ctx context.Context, o options, dir string) (*changesFigures, error) {
	n := offeredRate * (2*o.seconds + settling) // half of them offered, and half as fast as they go
	t := changesTask{
		Dir: filepath.Join(dir, "partition"), People: filepath.Join(dir, "people.csv"), Changes: filepath.Join(dir, "changes.csv"),
		Loaded: o.rows, Seconds: o.seconds,
	}
	if err := simulatePersons(t.People, o.rows+extraPeople(n), simulate.DefaultPersonDefects()); err != nil {
		return nil, err
	}
	expected, err := writeChangesFor(t.People, t.Changes, t.Loaded, n)
	if err != nil {
		return nil, err
	}
	task, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "changes", string(task))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("single changes: %w", err)
	}
	f := &changesFigures{expected: expected}
	if err := json.NewDecoder(bytes.NewReader(out)).Decode(f); err != nil {
		return nil, fmt.Errorf("single changes: %w", err)
	}
	if f.Records != expected.Records {
		return nil, fmt.Errorf("the state holds %d records, and not the %d that the changes come to", f.Records, expected.Records)
	}
	fmt.Printf("identity, changes: load %.0f records/s (%.0f MiB); at %d/s p50 %.2f ms, p99 %.2f ms, max %.1f ms; at most %.0f/s\n",
		f.LoadRate, f.LoadMemory.Peak, offeredRate, f.Late.P50, f.Late.P99, f.Late.Max, f.Sustained)
	return f, nil
}

// runChanges is the process of its own: its memory is that of the state and of little else.
func runChanges(ctx context.Context, task string) error {
	var t changesTask
	if err := json.Unmarshal([]byte(task), &t); err != nil {
		return err
	}
	debug.SetMemoryLimit(nodeMemory)
	debug.SetGCPercent(nodeGCPercent)
	hasher, err := pseudonym.New(make([]byte, pseudonym.MinKey))
	if err != nil {
		return err
	}
	p, err := partition.Open(partition.Options{About: "person", Columns: simulate.PersonsHeader[atName:atEntity], Dir: t.Dir, Hasher: hasher.Clone()})
	if err != nil {
		return err
	}
	defer p.Close()
	d := &driver{p: p, hasher: hasher}
	f := &changesFigures{Loaded: t.Loaded}
	if err := d.load(ctx, t, f); err != nil {
		return err
	}
	if f.Disk, err = measureDisk(t.Dir); err != nil {
		return err
	}
	if err := d.singles(ctx, t, f); err != nil {
		return err
	}
	f.Records, f.Parties = p.Records()
	return json.NewEncoder(os.Stdout).Encode(f)
}

// driver hands changes to a partition as the flow does: in the order of the stream, kept when a group is through.
type driver struct {
	p        *partition.Partition
	hasher   *pseudonym.Hasher
	sequence uint64 // of the last message
}

func (d *driver) apply(ctx context.Context, changes []partition.Change) error {
	if _, _, err := d.p.Apply(ctx, changes); err != nil {
		return err
	}
	return d.p.Keep(d.sequence)
}

// of makes a change of a row of a file of persons, at a place in the stream.
func (d *driver) of(op string, row []string, at uint64) partition.Change {
	c := partition.Change{
		At: at, Version: at, Time: time.Now(), Record: d.hasher.ID("record", row[atRID]), Gone: op == drop,
		Dataset: row[atSource], Role: "self",
	}
	if !c.Gone {
		c.Values = row[atName:atEntity]
	}
	return c
}

// load fills the state, range by range. Reading the file is not counted.
func (d *driver) load(ctx context.Context, t changesTask, f *changesFigures) error {
	file, err := os.Open(t.People)
	if err != nil {
		return err
	}
	defer file.Close()
	rows := csv.NewReader(file)
	if _, err := rows.Read(); err != nil {
		return err
	}
	spec, err := identity.Shipped("person")
	if err != nil {
		return err
	}
	stop := watch(os.Getpid())
	d.sequence = 1
	took := time.Duration(0)
	batch := []partition.Change{{At: change.Version(d.sequence, 0), Version: 1, Model: spec}}
	for i := range t.Loaded {
		if i%loadMessage == 0 {
			d.sequence++
		}
		row, err := rows.Read()
		if err != nil {
			return err
		}
		batch = append(batch, d.of(put, row, change.Version(d.sequence, i%loadMessage)))
		if len(batch) < loadRange && i+1 < t.Loaded {
			continue
		}
		began := time.Now()
		if err := d.apply(ctx, batch); err != nil {
			return err
		}
		took += time.Since(began)
		batch = batch[:0]
	}
	f.LoadRate, f.LoadMemory = float64(t.Loaded)/took.Seconds(), stop()
	return nil
}

// singles measures changes that come one by one: first at a fixed rate, then as fast as they go.
func (d *driver) singles(ctx context.Context, t changesTask, f *changesFigures) error {
	file, err := os.Open(t.Changes)
	if err != nil {
		return err
	}
	defer file.Close()
	next, stop := d.read(file)
	defer stop()
	group := make([]partition.Change, 0, atMost)
	take := func(n int) error {
		group = group[:0]
		for range n {
			c, ok := <-next
			if !ok {
				return errors.New("there are fewer changes in the file than were to be made")
			}
			d.sequence++
			c.At = change.Version(d.sequence, 0)
			c.Version, c.Time = c.At, time.Now()
			group = append(group, c)
		}
		return d.apply(ctx, group)
	}
	memory := watch(os.Getpid())
	if _, _, err := offer(schedule{offeredRate, offeredRate * settling}, atMost, take); err != nil {
		return err
	}
	s := schedule{offeredRate, offeredRate * t.Seconds}
	late, groups, err := offer(s, atMost, take)
	if err != nil {
		return err
	}
	f.Offered, f.Late, f.Together = s.n, latencyOf(late), float64(s.n)/float64(groups)
	for size := offeredRate * window; len(late) > 0; late = late[min(size, len(late)):] {
		f.Windows = append(f.Windows, latencyOf(late[:min(size, len(late))]).P99)
	}
	var times []time.Duration
	began := time.Now()
	for left := s.n; left > 0; {
		n := min(left, atMost)
		from := time.Now()
		if err := take(n); err != nil {
			return err
		}
		times = append(times, time.Since(from))
		left -= n
	}
	f.Sustained, f.Group = float64(s.n)/time.Since(began).Seconds(), latencyOf(times)
	f.Memory = memory()
	return nil
}

// read reads changes a little ahead, so that the file is not waited for and never in memory as a whole.
func (d *driver) read(file io.Reader) (next <-chan partition.Change, stop func()) {
	changes, quit := make(chan partition.Change, 4096), make(chan struct{})
	hasher := d.hasher.Clone()
	go func() {
		defer close(changes)
		ahead := &driver{hasher: hasher}
		for rows := csv.NewReader(file); ; {
			row, err := rows.Read()
			if err != nil {
				return // the end; or the taker finds too few
			}
			select {
			case changes <- ahead.of(row[0], row[1:], 0):
			case <-quit:
				return
			}
		}
	}()
	return changes, func() { close(quit) }
}
