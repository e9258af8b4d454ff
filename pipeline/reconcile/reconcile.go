// Package reconcile proves that the warehouse holds what a source holds (I4): every record by count and hash per key range,
// and what differs record by record. It takes no lock and stops nobody: a difference counts when it stays.
package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/cespare/xxhash/v2"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/normalise"
	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// Options of Run.
type Options struct {
	Source    string
	Dataset   *contract.Dataset
	Plan      *normalise.Plan // of the dataset's contract; used by Run alone while it runs
	Surveyor  connectors.Surveyor
	Bus       *bus.Bus
	Sealed    Sealed      // nil when no row was ever sealed
	Warehouse driver.Conn // may read store, restricted and ops
	// Loaded returns when everything up to a sequence of the bus is in the warehouse.
	Loaded func(ctx context.Context, sequence uint64) error
	// Resend has the source say records again; nil when they are to be compared only.
	Resend func(ctx context.Context, keys []string) error

	Pauses  []time.Duration // between looks at what differs; Patience when nil
	Examine int             // most records that are looked into at once; 250,000 when 0
}

// Patience is how long a change may take from the department's commit to the warehouse before it counts as missing.
var Patience = []time.Duration{250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second}

const (
	examineDefault = 250_000
	mostSuspects   = 100_000 // more than these are not looked for at once
	keysAtOnce     = 1000
)

// comparison is one Run.
type comparison struct {
	opt    Options
	plan   *normalise.Plan
	source source
	house  house
	tables []*canonical.Table
	report *Report
}

// Run compares one dataset of a source with the warehouse, and repairs it when it may resend.
func Run(ctx context.Context, o Options) (*Report, error) {
	if o.Pauses == nil {
		o.Pauses = Patience
	}
	if o.Examine == 0 {
		o.Examine = examineDefault
	}
	c := &comparison{opt: o, plan: o.Plan, source: source{surveyor: o.Surveyor, plan: o.Plan, hash: hasher{sealed: o.Sealed}}, house: house{o.Warehouse, o.Dataset.Name, o.Sealed},
		report: &Report{Source: o.Source, Dataset: o.Dataset.Name}}
	for _, t := range canonical.Tables {
		if !t.Own { // also those that the contract does not fill: it may have filled them once
			c.tables = append(c.tables, t)
		}
	}
	for {
		left, unexamined, err := c.compare(ctx)
		if err != nil {
			return nil, err
		}
		found := len(left)
		if o.Resend != nil && found > 0 {
			if left, err = c.repair(ctx, left); err != nil {
				return nil, err
			}
			c.report.Repaired += found - len(left)
		}
		if unexamined > 0 && len(left) < found {
			continue // what differed is equal now: there is more
		}
		c.report.tell(left, unexamined)
		return c.report, nil
	}
}

// settle waits until everything that is on the bus by now is in the warehouse.
func (c *comparison) settle(ctx context.Context) error {
	last, err := c.opt.Bus.LastSequence(ctx)
	if err != nil {
		return err
	}
	return c.opt.Loaded(ctx, last)
}

// ranges are the key ranges of each table that are to be looked into, ascending.
type ranges map[*canonical.Table][]uint16

// compare finds the records that differ and go on differing, and how many key ranges it did not look into.
func (c *comparison) compare(ctx context.Context) ([]*suspect, int, error) {
	if err := c.settle(ctx); err != nil {
		return nil, 0, err
	}
	sums, refused, err := c.survey(ctx)
	if err != nil {
		return nil, 0, err
	}
	if err := c.settle(ctx); err != nil {
		return nil, 0, err
	}
	lost, err := c.lost(ctx, refused)
	if err != nil {
		return nil, 0, err
	}
	groups, err := c.differing(ctx, sums)
	if err != nil {
		return nil, 0, err
	}
	if len(groups) == 0 && len(lost) > 0 {
		groups = append(groups, ranges{})
	}
	var suspects []*suspect
	for i, g := range groups {
		found, err := c.narrow(ctx, g, lost)
		if err != nil {
			return nil, 0, err
		}
		lost = nil // told with the first group
		suspects = append(suspects, found...)
		if rest := groups[i+1:]; len(suspects) > mostSuspects && len(rest) > 0 {
			n := 0
			for _, g := range rest {
				for _, list := range g {
					n += len(list)
				}
			}
			suspects, err = c.persist(ctx, suspects, c.opt.Pauses)
			return suspects, n, err
		}
	}
	suspects, err = c.persist(ctx, suspects, c.opt.Pauses)
	return suspects, 0, err
}

// survey reads the whole source once: a count and a sum for each key range, and the hashes of the keys that the contract
// refuses.
func (c *comparison) survey(ctx context.Context) (map[*canonical.Table]*tallies, []uint64, error) {
	sums := map[*canonical.Table]*tallies{}
	var refused []uint64
	records, err := c.source.read(ctx, nil, visit{
		row: func(t *canonical.Table, id pseudonym.ID, hash uint64, _ string) {
			if sums[t] == nil {
				sums[t] = &tallies{}
			}
			y := &sums[t][bucketOf(id)]
			y.count++
			y.sum += hash
		},
		refused: func(key string) { refused = append(refused, xxhash.Sum64String(key)) },
	})
	if err != nil {
		return nil, nil, fmt.Errorf("what source %s holds of %s cannot be read: %w", c.opt.Source, c.opt.Dataset.Name, err)
	}
	c.report.Records, c.report.Refused = records, uint64(len(refused))
	return sums, refused, nil
}

// lost are the keys that the contract refuses and that do not wait in quarantine (I4).
func (c *comparison) lost(ctx context.Context, refused []uint64) (map[uint64]bool, error) {
	var err error
	if c.report.Waiting, err = c.house.waiting(ctx); err != nil {
		return nil, err
	}
	lost := map[uint64]bool{}
	if len(refused) == 0 {
		return lost, nil
	}
	keys, err := c.heldKeys(ctx)
	if err != nil {
		return nil, err
	}
	for _, key := range refused {
		if keys[key] == 0 {
			lost[key] = true
		}
	}
	return lost, nil
}

// differing asks the warehouse for its sums and gathers the key ranges that differ in groups that fit into memory (I10).
func (c *comparison) differing(ctx context.Context, sums map[*canonical.Table]*tallies) ([]ranges, error) {
	c.report.Tables = nil
	var groups []ranges
	room := 0
	for _, t := range c.tables {
		there := &tallies{}
		line := TableReport{Table: name(t)}
		var err error
		if line.Warehouse, err = c.house.count(ctx, t, there); err != nil {
			return nil, err
		}
		said := sums[t]
		if said == nil {
			if line.Warehouse == 0 {
				continue
			}
			said = &tallies{}
		}
		shared := c.plan.Shared(t)
		for b := range buckets {
			line.Source += said[b].count
			if said[b] == there[b] {
				continue
			}
			line.Ranges++
			n := int(max(said[b].count, there[b].count))
			if len(groups) == 0 || n > room {
				groups = append(groups, ranges{})
				room = c.opt.Examine
			}
			room -= n
			g := groups[len(groups)-1]
			g[t] = append(g[t], uint16(b))
		}
		if shared {
			line.Ranges = 0 // several rows have one record: their sums say nothing
		}
		c.report.Tables = append(c.report.Tables, line)
	}
	return groups, nil
}

// narrow compares the given key ranges record by record, and finds the records that are lost.
func (c *comparison) narrow(ctx context.Context, in ranges, lost map[uint64]bool) ([]*suspect, error) {
	type found struct {
		held
		matched bool
	}
	there := map[record]*found{}
	asked := map[*canonical.Table]*[buckets]bool{}
	for t, list := range in {
		asked[t] = &[buckets]bool{}
		for _, b := range list {
			asked[t][b] = true
		}
		if err := c.house.within(ctx, t, list, func(id pseudonym.ID, h held) { there[record{t, id}] = &found{held: h} }); err != nil {
			return nil, err
		}
	}
	suspects := map[record]*suspect{}
	_, err := c.source.read(ctx, nil, visit{
		row: func(t *canonical.Table, id pseudonym.ID, hash uint64, key string) {
			if asked[t] == nil || !asked[t][bucketOf(id)] {
				return
			}
			at := record{t, id}
			f := there[at]
			if f != nil && (f.matched || f.hash == hash) {
				f.matched = true
				return
			}
			s := suspects[at]
			if s == nil {
				s = &suspect{table: t, id: id, key: strings.Clone(key), known: true}
				if f != nil {
					s.house, s.version = state{there: true, hash: f.hash}, f.version
				}
				suspects[at] = s
			}
			s.saw(state{there: true, hash: hash})
		},
		refused: func(key string) {
			var first pseudonym.ID
			c.plan.Records(key, func(t *canonical.Table, id pseudonym.ID) {
				if first.IsZero() {
					first = id
				}
				if f := there[record{t, id}]; f != nil {
					f.matched = true // an earlier version, which the one that waits supersedes
				}
			})
			if lost[xxhash.Sum64String(key)] {
				s := &suspect{id: first, key: strings.Clone(key), known: true}
				s.saw(state{refused: true})
				suspects[record{nil, first}] = s
			}
		},
	})
	if err != nil {
		return nil, err
	}
	for at, f := range there {
		switch {
		case f.matched:
			delete(suspects, at)
		case suspects[at] == nil:
			s := &suspect{table: at.table, id: at.id, house: state{there: true, hash: f.hash}, version: f.version}
			s.saw(state{})
			suspects[at] = s
		}
	}
	out := make([]*suspect, 0, len(suspects))
	for _, s := range suspects {
		out = append(out, s)
	}
	return c.withoutShared(ctx, out)
}

// withoutShared leaves out records that several source rows share and that none of them makes any more: one row going does
// not end such a record, so the warehouse may have it.
func (c *comparison) withoutShared(ctx context.Context, suspects []*suspect) ([]*suspect, error) {
	if err := c.findKeys(ctx, suspects); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(suspects, func(s *suspect) bool {
		if s.table == nil || s.kind() != Extra || !c.plan.Shared(s.table) {
			return false
		}
		own := false
		c.plan.Records(s.key, func(t *canonical.Table, id pseudonym.ID) { own = own || t == s.table && id == s.id })
		return !own
	}), nil
}

// persist looks at suspects again after each pause and keeps those that go on differing: what was on its way has arrived.
func (c *comparison) persist(ctx context.Context, suspects []*suspect, pauses []time.Duration) ([]*suspect, error) {
	for _, pause := range pauses {
		if len(suspects) == 0 {
			return nil, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
		}
		if err := c.look(ctx, suspects); err != nil {
			return nil, err
		}
		suspects = slices.DeleteFunc(suspects, (*suspect).settled)
	}
	return c.withoutDrifted(ctx, suspects)
}

// look asks the source and then the warehouse for suspects alone.
func (c *comparison) look(ctx context.Context, suspects []*suspect) error {
	if err := c.askSource(ctx, suspects); err != nil {
		return err
	}
	if err := c.settle(ctx); err != nil {
		return err
	}
	return c.askHouse(ctx, suspects)
}

func (c *comparison) askSource(ctx context.Context, suspects []*suspect) error {
	byKey := map[string][]*suspect{}
	for _, s := range suspects {
		if s.known {
			byKey[s.key] = append(byKey[s.key], s)
		}
	}
	seen := map[*suspect]bool{}
	for keys := range slices.Chunk(keysIn(suspects), keysAtOnce) {
		_, err := c.source.read(ctx, keys, visit{
			row: func(t *canonical.Table, id pseudonym.ID, hash uint64, key string) {
				for _, s := range byKey[key] {
					if s.table == t && s.id == id {
						s.saw(state{there: true, hash: hash})
						seen[s] = true
					}
				}
			},
			refused: func(key string) {
				for _, s := range byKey[key] {
					s.saw(state{refused: true})
					seen[s] = true
				}
			},
		})
		if err != nil {
			return fmt.Errorf("what source %s holds of %s cannot be read again: %w", c.opt.Source, c.opt.Dataset.Name, err)
		}
	}
	for _, s := range suspects {
		if !seen[s] {
			s.saw(state{})
		}
	}
	return nil
}

func (c *comparison) askHouse(ctx context.Context, suspects []*suspect) error {
	byTable := map[*canonical.Table]map[pseudonym.ID]*suspect{}
	for _, s := range suspects {
		if byTable[s.table] == nil {
			byTable[s.table] = map[pseudonym.ID]*suspect{}
		}
		byTable[s.table][s.id] = s
	}
	for t, byID := range byTable {
		if t == nil {
			keys, err := c.heldKeys(ctx)
			if err != nil {
				return err
			}
			for _, s := range byID {
				s.house.there = keys[xxhash.Sum64String(s.key)] > 0
			}
			continue
		}
		ids := make([]pseudonym.ID, 0, len(byID))
		for id, s := range byID {
			ids = append(ids, id)
			s.house = state{}
		}
		err := c.house.these(ctx, t, ids, func(id pseudonym.ID, h held) {
			byID[id].house, byID[id].version = state{there: true, hash: h.hash}, h.version
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// keysIn are the known keys of suspects, each once.
func keysIn(suspects []*suspect) []string {
	var keys []string
	for _, s := range suspects {
		if s.known {
			keys = append(keys, s.key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// repair has the source say the records again, and returns those that differ still.
func (c *comparison) repair(ctx context.Context, suspects []*suspect) ([]*suspect, error) {
	all := keysIn(suspects)
	if len(all) == 0 {
		return suspects, nil
	}
	for keys := range slices.Chunk(all, keysAtOnce) {
		if err := c.opt.Resend(ctx, keys); err != nil {
			return nil, errors.Join(fmt.Errorf("source %s could not say %d records of %s again: %w", c.opt.Source, len(keys), c.opt.Dataset.Name, err), ctx.Err())
		}
	}
	return c.persist(ctx, suspects, append([]time.Duration{0}, c.opt.Pauses...))
}
