package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/shirecounty/shire/pipeline/gains"
	"github.com/shirecounty/shire/schemas/document"
	"github.com/shirecounty/shire/schemas/metrics"
)

// Register writes to the register and reads from it. It is safe for concurrent use.
type Register struct {
	chain   chain
	metrics metrics.Set
	caller  string
	clerk   string
	now     func() time.Time

	mu      sync.Mutex
	shown   map[look]bool // what the chain is known to say was asked for; nil before it was read
	pending []look        // what could not be written yet
}

// Options of a [Register]. All are required.
type Options struct {
	Conn    driver.Conn // of the loading user
	Metrics metrics.Set
	Caller  string           // what writes: shire up, shire metrics register ...
	Clerk   string           // pseudonym of the account that runs it
	Now     func() time.Time // nil: time.Now
}

// Open makes a register over a warehouse that was migrated.
func Open(o Options) *Register {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Register{chain: chain{o.Conn}, metrics: o.Metrics, caller: o.Caller, clerk: o.Clerk, now: o.Now}
}

// Register registers what is new or changed among definitions, and returns the newest version of each of them, in their order. fresh
// are the names of those that it wrote down.
func (r *Register) Register(ctx context.Context, definitions []Definition) (all []Registration, fresh []string, err error) {
	entries, err := r.chain.write(ctx, func(read []entry) (rows []entry, err error) {
		fresh = nil
		state, err := understand(read)
		if err != nil {
			return nil, err
		}
		for _, d := range definitions {
			versions := state.versions[d.Name]
			if len(versions) > 0 && same(versions[len(versions)-1].Intervention, d.Intervention) {
				continue
			}
			v := d.Intervention
			v.RegisteredAt = r.at(read)
			if metric := r.metrics[v.Metric]; v.MetricVersion == 0 && metric != nil {
				v.MetricVersion = metric.Version
			}
			rows = append(rows, r.entry(entry{At: v.RegisteredAt, Event: registered, Intervention: v.Name, Version: uint32(len(versions) + 1),
				Definition: string(v.Text()), DefinitionHash: v.Hash(), Metric: v.Metric}))
			fresh = append(fresh, v.Name)
		}
		return rows, nil
	})
	if err != nil {
		return nil, nil, err
	}
	state, err := understand(entries)
	if err != nil {
		return nil, nil, err
	}
	for _, d := range definitions {
		versions := state.versions[d.Name]
		all = append(all, versions[len(versions)-1])
	}
	return all, fresh, nil
}

// at is the time of the next entry. Times go with the chain: a clock that is set back does not make a registration an early one.
func (r *Register) at(read []entry) time.Time {
	at := r.now().UTC().Truncate(time.Microsecond)
	if len(read) > 0 {
		if after := read[len(read)-1].At.UTC().Add(time.Microsecond); at.Before(after) {
			return after
		}
	}
	return at
}

func (r *Register) entry(e entry) entry {
	e.Caller, e.Clerk = r.caller, r.clerk
	return e
}

// same tells whether a registration says what a definition says. Of a definition that names no version of its metric, the version does
// not matter: a new program is not a new claim.
func same(old, new gains.Intervention) bool {
	old.RegisteredAt, new.RegisteredAt = time.Time{}, time.Time{}
	if new.MetricVersion == 0 {
		old.MetricVersion = 0
	}
	return slices.Equal(old.Text(), new.Text())
}

// Versions are all registrations of all interventions, by name and version. The error is a [BrokenError] when the chain was changed.
func (r *Register) Versions(ctx context.Context) ([]Registration, error) {
	return Versions(ctx, r.chain.conn)
}

// Versions are all registrations of all interventions, by name and version, for who may only read. The error is a [BrokenError] when
// the chain was changed.
func Versions(ctx context.Context, conn driver.Conn) ([]Registration, error) {
	entries, err := chain{conn}.read(ctx)
	if err != nil {
		return nil, err
	}
	state, err := understand(entries)
	if err != nil {
		return nil, err
	}
	var all []Registration
	for _, name := range state.names {
		all = append(all, state.versions[name]...)
	}
	return all, nil
}

// Newest is the version of an intervention that is in force. The error is a [metrics.InputError] when there is none.
func (r *Register) Newest(ctx context.Context, name string) (Registration, error) {
	entries, err := r.chain.read(ctx)
	if err != nil {
		return Registration{}, err
	}
	state, err := understand(entries)
	if err != nil {
		return Registration{}, err
	}
	return state.newest(name)
}

// state is what a chain says.
type state struct {
	names    []string // in order
	versions map[string][]Registration
	shown    map[look]bool
}

// look is that somebody was shown a metric's figures of a month.
type look struct{ metric, month string }

func (s *state) newest(name string) (Registration, error) {
	versions := s.versions[name]
	if len(versions) == 0 {
		return Registration{}, &metrics.InputError{Unknown: true, Message: fmt.Sprintf("there is no intervention %.64q", name), Do: document.DidYouMean(name, s.names)}
	}
	return versions[len(versions)-1], nil
}

// understand reads what the entries of a chain say: the registrations, each with when its result was first seen.
func understand(entries []entry) (*state, error) {
	s := &state{versions: map[string][]Registration{}, shown: map[look]bool{}}
	judged := map[string]time.Time{} // when an intervention was first evaluated
	first := map[string]map[metrics.Month]time.Time{}
	for _, e := range entries {
		switch e.Event {
		case registered:
			v := Registration{Version: e.Version, Hash: e.DefinitionHash}
			if err := json.Unmarshal([]byte(e.Definition), &v.Intervention); err != nil {
				return nil, fmt.Errorf("the registration of %s cannot be read: %w", e.Intervention, err)
			}
			s.versions[e.Intervention] = append(s.versions[e.Intervention], v)
		case evaluated:
			if _, before := judged[e.Intervention]; !before {
				judged[e.Intervention] = e.At
			}
		case asked:
			at, err := metrics.ParseMonth(e.Month)
			if err != nil {
				return nil, fmt.Errorf("the register of interventions cannot be read: %w", err)
			}
			if first[e.Metric] == nil {
				first[e.Metric] = map[metrics.Month]time.Time{}
			}
			if _, before := first[e.Metric][at]; !before {
				first[e.Metric][at] = e.At
			}
			s.shown[look{e.Metric, e.Month}] = true
		}
	}
	for name, versions := range s.versions {
		s.names = append(s.names, name)
		for i := range versions {
			v := &versions[i]
			seen := judged[name]
			for at, when := range first[v.Metric] {
				if !at.Before(startMonth(v.Intervention)) && (seen.IsZero() || when.Before(seen)) {
					seen = when
				}
			}
			if !seen.IsZero() {
				v.SeenAt = &seen
			}
		}
	}
	slices.Sort(s.names)
	return s, nil
}

// Asked notes that somebody is shown a metric's figures of the months from and to, up to that which the data reach. Only the first
// time is written down, so that it costs nothing afterwards. When it cannot be written, it is tried again with the next.
func (r *Register) Asked(ctx context.Context, metric string, from, to metrics.Month, asOf time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := metrics.MonthOf(asOf)
	if last.Before(to) {
		to = last
	}
	const most = 240 // months: no window is longer, and the register stays short (I10)
	if early := last.Add(-most); from.Before(early) {
		from = early
	}
	for m := from; !to.Before(m); m = m.Add(1) {
		if l := (look{metric, m.String()}); !r.shown[l] && !slices.Contains(r.pending, l) {
			r.pending = append(r.pending, l)
		}
	}
	if len(r.pending) == 0 {
		return nil
	}
	entries, err := r.chain.write(ctx, func(read []entry) (rows []entry, err error) {
		state, err := understand(read)
		if err != nil {
			return nil, err
		}
		return r.looks(read, state, r.pending), nil
	})
	if err != nil {
		return err
	}
	if r.shown == nil {
		r.shown = map[look]bool{}
	}
	for _, e := range entries {
		if e.Event == asked {
			r.shown[look{e.Metric, e.Month}] = true
		}
	}
	r.pending = nil
	return nil
}

// looks are the entries of what was not shown before.
func (r *Register) looks(read []entry, s *state, looks []look) (rows []entry) {
	at := r.at(read)
	for _, l := range looks {
		if !s.shown[l] {
			rows = append(rows, r.entry(entry{At: at, Event: asked, Metric: l.metric, Month: l.month}))
		}
	}
	return rows
}
