package partition

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/shirecounty/shire/schemas/identity"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// Effect is what a model would change. Nothing in it is personal (I7).
type Effect struct {
	About  string `json:"about"`
	Model  string `json:"model"`  // that was tried
	Before string `json:"before"` // the model in use

	Records       int `json:"records"`
	PartiesBefore int `json:"parties_before"`
	PartiesAfter  int `json:"parties_after"`
	Merges        int `json:"merges"`      // parties that would hold records of several
	Splits        int `json:"splits"`      // parties whose records would be in several
	Renamed       int `json:"renamed"`     // records whose party would have another id
	OpenBefore    int `json:"open_before"` // pairs that wait for a person
	OpenAfter     int `json:"open_after"`

	Examples []Moved `json:"examples"` // some of what would merge, then some of what would split
}

// Moved is a record that would belong to another party.
type Moved struct {
	Kind     string       `json:"kind"` // Merge or Split
	Record   pseudonym.ID `json:"record"`
	Previous pseudonym.ID `json:"previous"`
	Party    pseudonym.ID `json:"party"` // a new one has an id of this trial alone
	A        pseudonym.ID `json:"a,omitzero"`
	B        pseudonym.ID `json:"b,omitzero"` // with A, the pair that would decide
}

// mostExamples is how many examples of each kind an Effect has.
const mostExamples = 10

// Trial tells what a model would change, by working everything out anew under it, in a temporary folder below dir. The
// state, and whoever goes on with it, are not touched. The error is document.Problems when the model cannot be used here.
func (p *Partition) Trial(ctx context.Context, spec *identity.Model, dir string) (e *Effect, err error) {
	m, err := p.Compile(spec)
	if err != nil {
		return nil, err
	}
	old := p.reader()
	defer func() { old.view.Release() }()
	if old.model == nil {
		return nil, ErrNoModel
	}
	scratch, err := os.MkdirTemp(dir, "trial-")
	if err != nil {
		return nil, fmt.Errorf("there is no room for the trial of a model: %w", err)
	}
	defer os.RemoveAll(scratch)
	o := p.opt
	o.Dir, o.ReadOnly, o.NoSync, o.Hasher = scratch, false, true, p.opt.Hasher.Clone()
	q, err := Open(o)
	if err != nil {
		return nil, err
	}
	defer q.Close()
	e = &Effect{About: p.opt.About, Model: m.Version(), Before: old.model.Version(), Examples: []Moved{}}
	e.Records, e.PartiesBefore = old.count()
	old.waiting(func(_, _ *node) { e.OpenBefore++ })
	clear(old.nodes)

	w := q.begin(q.state, q.empty())
	defer func() { w.view.Release() }() // of the last commit
	w.use(m)
	w.verdicts = old.verdicts
	if err := w.take(ctx, old.working); err != nil {
		return nil, err
	}
	if err := w.settleAll(ctx, &Change{At: trialMoment}); err != nil {
		return nil, err
	}
	after := reader{w}
	_, e.PartiesAfter = after.count()
	after.waiting(func(_, _ *node) { e.OpenAfter++ })
	e.moved(coalesce(w.links), func(party pseudonym.ID) bool { return old.size(party) > 0 })
	return e, nil
}

// trialMoment is a place that no stream comes to: the ids of the parties that are born in a trial are nobody's.
const trialMoment = ^uint64(0)

// moved draws up what links tell. was tells whether a party is one of today.
func (e *Effect) moved(links []Link, was func(party pseudonym.ID) bool) {
	e.Renamed = len(links)
	sources := map[pseudonym.ID][]pseudonym.ID{} // by party: those that its records come from
	goals := map[pseudonym.ID][]pseudonym.ID{}   // by party: those that its records go to
	add := func(to map[pseudonym.ID][]pseudonym.ID, key, id pseudonym.ID) {
		if !slices.Contains(to[key], id) {
			to[key] = append(to[key], id)
		}
	}
	ended := map[pseudonym.ID]bool{}
	for _, l := range links {
		if l.Kind == Merge {
			ended[l.Previous] = true
		}
	}
	for _, l := range links {
		add(sources, l.Party, l.Previous)
		add(goals, l.Previous, l.Party)
		if !ended[l.Previous] {
			add(goals, l.Previous, l.Previous) // it goes on with the rest of its records
		}
		if was(l.Party) {
			add(sources, l.Party, l.Party)
		}
	}
	for _, s := range sources {
		if len(s) > 1 {
			e.Merges++
		}
	}
	for _, g := range goals {
		if len(g) > 1 {
			e.Splits++
		}
	}
	for _, kind := range []string{Merge, Split} {
		n := 0
		for _, l := range links {
			if l.Kind == kind && n < mostExamples {
				n++
				e.Examples = append(e.Examples, Moved{l.Kind, l.Record, l.Previous, l.Party, l.A, l.B})
			}
		}
	}
}
