package jobs

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/shirecounty/shire/schemas/county"
)

// Status is a job as it stands.
type Status struct {
	Name       string            `json:"name"`
	Kind       string            `json:"kind"` // of work; [KindUnknown] when runs of it wait and county.yaml does not have it
	Source     string            `json:"source,omitempty"`
	Owner      string            `json:"owner,omitempty"`
	Schedule   string            `json:"schedule,omitempty"` // five fields
	Every      string            `json:"every,omitempty"`
	After      []string          `json:"after,omitempty"`
	TimeZone   string            `json:"time_zone"`
	Days       string            `json:"days"`
	Missed     string            `json:"missed"`
	Overlap    string            `json:"overlap"`
	Next       *time.Time        `json:"next,omitempty"` // when it is due next by itself
	Paused     *Pause            `json:"paused,omitempty"`
	Active     []Run             `json:"active"` // runs that wait or go on
	Last       *Run              `json:"last,omitempty"`
	LastOK     *time.Time        `json:"last_ok,omitempty"`
	Silent     *time.Time        `json:"silent_since,omitempty"`
	Backfills  []Backfill        `json:"backfills,omitempty"`
	Parameters map[string]string `json:"parameters,omitempty"`
}

// KindUnknown is the kind of a job that is not in county.yaml, as the process that lists it knows it.
const KindUnknown = "unknown"

// List tells how every job stands, by name: those of county.yaml, and others of which runs wait or go on. A run of a job
// that one process knows and another does not must not be waiting unseen.
func (d *Desk) List(ctx context.Context) ([]Status, error) {
	states, err := d.states(ctx, "")
	if err != nil {
		return nil, err
	}
	list := []Status{}
	for _, name := range slices.Sorted(maps.Keys(states)) {
		switch j, s := d.Jobs[name], states[name]; {
		case j != nil:
			list = append(list, *d.status(j, s))
		case len(s.Active) > 0:
			list = append(list, Status{Name: name, Kind: KindUnknown, Days: county.DaysAny, Paused: s.Paused, Active: s.Active, Last: s.Last})
		}
	}
	return list, nil
}

// states are how all jobs stand, in one reading, or how one does.
func (d *Desk) states(ctx context.Context, name string) (map[string]*State, error) {
	states := map[string]*State{}
	if name != "" {
		s, _, err := read(ctx, d.Ledger, name)
		states[name] = s
		return states, err
	}
	for name := range d.Jobs {
		states[name] = &State{}
	}
	var damaged error
	err := each(ctx, d.Ledger, func(e Entry) {
		name, job := strings.CutPrefix(e.Key, jobPrefix)
		if !job {
			return
		}
		s, err := decode(e)
		if err != nil {
			if d.Jobs[name] != nil {
				damaged = err
			}
			return
		}
		states[name] = s
	})
	if err == nil {
		err = damaged
	}
	if err != nil {
		return nil, fmt.Errorf("the ledger of jobs cannot be read: %w", err)
	}
	return states, nil
}

// Show tells how a job stands.
func (d *Desk) Show(ctx context.Context, name string) (*Status, error) {
	j, err := d.Job(name)
	if err != nil {
		return nil, err
	}
	s, _, err := read(ctx, d.Ledger, name)
	if err != nil {
		return nil, err
	}
	return d.status(j, s), nil
}

func (d *Desk) status(j *Job, s *State) *Status {
	st := &Status{Name: j.Name, Kind: j.Do.Kind, Source: j.Source, Owner: j.Owner, Schedule: j.Schedule, After: j.After, TimeZone: j.TimeZone, Days: j.Days,
		Missed: j.Missed, Overlap: j.Overlap, Paused: s.Paused, Active: s.Active, Last: s.Last, Backfills: s.Backfills, Parameters: j.Parameters}
	if j.Every > 0 {
		st.Every = time.Duration(j.Every).String()
	}
	if st.Active == nil {
		st.Active = []Run{}
	}
	if !s.LastOK.IsZero() {
		st.LastOK = &s.LastOK
	}
	if !s.Silent.IsZero() {
		st.Silent = &s.Silent
	}
	if s.Paused == nil && j.times != nil {
		if due, ok := j.times.Next(later(s.Cursor, d.Clock.Now())); ok {
			st.Next = &due.At
		}
	}
	return st
}

// Coming is a due time of a job.
type Coming struct {
	Job     string    `json:"job"`
	Due     time.Time `json:"due"`
	Problem string    `json:"problem,omitempty"` // why it will fail, as far as is known now
	Paused  bool      `json:"paused,omitempty"`
}

// Next are the next n due times, of one job, or of all when name is empty. Jobs that come after others are due with them.
func (d *Desk) Next(ctx context.Context, name string, n int) ([]Coming, error) {
	if n < 1 || n > 10_000 {
		return nil, requestf("ask for 1 to 10000 due times, not %d", n)
	}
	chosen := d.Jobs
	if name != "" {
		j, err := d.Job(name)
		if err != nil {
			return nil, err
		}
		chosen = Set{name: j}
	}
	states, err := d.states(ctx, name)
	if err != nil {
		return nil, err
	}
	return firstComing(chosen, states, d.Clock.Now(), n), nil
}
