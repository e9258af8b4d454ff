// Package partition is the living answer to who is who: which records are about one party, by what durable id the
// party goes, and what changes of it with every change of a record.
//
// # The rule
//
// Which records are together is a function of the records, the model and the verdicts alone (I6): records that share a
// blocking key are compared, unless the block is over-full; records joined by linking pairs are a component; a component
// is divided by package cluster. A change touches only what it can move: the pairs of its record, the pairs of blocks
// that it makes over-full or opens again, and the components of these.
//
// Ids are not a function of the records: they are kept. A party that is new gets an id of its own. When parties meet, the
// oldest keeps its id for the cluster that holds most of its records, then the next; one that comes too late is retired
// and points to its successor. So a person keeps the id of the older part after a merge, the larger part of a split
// keeps the id, and no id ever names two people. Changes are taken one by one in the order of the stream, however many
// are handed over at a time, so that ids do not depend on how the stream was cut into ranges.
//
// # How it fails
//
// What Apply decided is in memory until Keep: a process that is killed in between finds the state as it was, and decides
// the same again. A state that is lost is made again from the stream.
package partition

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/shirecounty/shire/pipeline/identity/match"
	"github.com/shirecounty/shire/pipeline/identity/store"
	"github.com/shirecounty/shire/schemas/document"
	"github.com/shirecounty/shire/schemas/identity"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// Change is one thing that the stream says: of a record, or a verdict, or the choice of a model.
type Change struct {
	At   uint64 // place in the stream; changes come in its order
	Time time.Time

	Record  pseudonym.ID
	Version uint64 // of the record, or of the verdict: what has a lower one than is known already is superseded
	Gone    bool   // the record, or the verdict, is no more
	Dataset string
	Role    string
	Values  []string // by the partition's columns

	Verdict *Verdict        // a verdict, whose own record id is Record; never nil for one, even when it is Gone
	Model   *identity.Model // from here on

	number uint32 // of a record that is taken over from another state; 0 for the next
	ahead  *prepared
}

// Verdict is what a person decided about two records. Of one that is Gone nothing else need be known.
type Verdict struct {
	A, B     pseudonym.ID
	Decision string // review.Same, review.Different or review.Unsure
	Reviewer string
	Reason   string
	At       time.Time
}

// Decision is whom a record is about, as of its change.
type Decision struct {
	Party pseudonym.ID // zero when the record is not known
	Rule  string
}

// Rules: why a record is where it is.
const (
	ExactNumber = "exact_number" // a valid number
	Matched     = "matched"      // the weight of the evidence
	ByVerdict   = "verdict"      // a person decided
	Alone       = "alone"        // nothing to go by
)

type rule uint8

const (
	alone rule = iota
	exactNumber
	matched
	byVerdict
)

func (r rule) String() string { return [...]string{Alone, ExactNumber, Matched, ByVerdict}[r] }

// Link tells that a record belongs to another party since a change, and why.
type Link struct {
	Record   pseudonym.ID
	Kind     string // Merge or Split
	Previous pseudonym.ID
	Party    pseudonym.ID
	Rule     string
	Weighed  bool // Weight, A and B say which pair of records decided
	Weight   match.Weight
	A, B     pseudonym.ID
	Model    string
	At       uint64
	Time     time.Time
}

// Kinds of links.
const (
	Merge = "merge" // two parties turned out to be one
	Split = "split" // one party turned out to be two
)

// Partition is the partition of one kind of party. Apply and Keep belong to one goroutine; everything else may be called
// by any.
type Partition struct {
	dir    string
	hasher *pseudonym.Hasher
	log    *slog.Logger
	opt    Options

	mu       sync.RWMutex // guards what readers use: model and state change together
	model    *match.Model // nil until the first is chosen
	state    *state
	verdicts *ledger

	work  *working     // what is decided and not kept; nil when there is nothing
	spare *store.Batch // an empty one whose memory can be used again
	arena arena        // the same
	stale bool         // the state was prepared by another version of the program
}

// Options of a partition.
type Options struct {
	About    string   // "person" or "organisation"
	Columns  []string // what records say; a model's fields are read from some of them
	Dir      string   // a folder of its own
	Hasher   *pseudonym.Hasher
	NoSync   bool // tests, and trials in shadow
	ReadOnly bool // to look at the state of a running node
	Log      *slog.Logger
}

// ErrNoModel says that changes came before a model was chosen.
var ErrNoModel = errors.New("no model has been chosen yet")

// Position is the place in the stream up to which everything is kept.
func (p *Partition) Position() uint64 {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.state.Position()
}

// Model is the model in use; nil before the first.
func (p *Partition) Model() *match.Model {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.model
}

// Apply decides what changes come to, in their order. Nothing is kept until Keep; a second Apply builds on the first. It
// gives a decision for each change; those of verdicts and models are empty.
func (p *Partition) Apply(ctx context.Context, changes []Change) ([]Decision, []Link, error) {
	decisions := make([]Decision, 0, len(changes))
	if p.work == nil {
		p.work = p.begin(p.state, p.empty())
	}
	for len(changes) > 0 {
		n := 0
		for n < len(changes) && changes[n].Model == nil {
			n++
		}
		if n > 0 {
			if p.stale {
				// The very first change meets a state that is made anew from its records' words.
				if err := p.rebuild(ctx, p.model, &changes[0]); err != nil {
					return nil, nil, err
				}
			}
			said, err := p.work.apply(ctx, changes[:n])
			if err != nil {
				return nil, nil, err
			}
			decisions = append(decisions, said...)
		}
		if n < len(changes) {
			if err := p.choose(ctx, &changes[n]); err != nil {
				return nil, nil, err
			}
			decisions = append(decisions, Decision{})
			n++
		}
		changes = changes[n:]
	}
	links := p.work.links
	p.work.links = nil
	return decisions, coalesce(links), nil
}

// choose takes a model into use.
func (p *Partition) choose(ctx context.Context, c *Change) error {
	if p.work.known(c.Record).version >= c.Version || c.Gone {
		return nil
	}
	m, err := p.Compile(c.Model)
	if err != nil {
		return fmt.Errorf("the model that was chosen cannot be used: %w", err)
	}
	switch {
	case p.work.next == 1: // there is no record yet
		p.work.use(m)
	case p.work.model.Version() != m.Version() || p.stale:
		if err := p.rebuild(ctx, m, c); err != nil {
			return err
		}
	}
	p.work.remember(c.Record, known{version: c.Version})
	return nil
}

// Compile makes a model ready, and proves that it can be used here: it has parameters, and reads columns that there are.
func (p *Partition) Compile(spec *identity.Model) (*match.Model, error) {
	m, err := match.Compile(spec)
	if err != nil {
		return nil, err
	}
	ps := p.unreadable(spec)
	if spec.Parameters == nil {
		ps = append(ps, spec.At("$.model", "the model has no parameters", "train it first: shire identity train"))
	}
	if len(ps) > 0 {
		return nil, ps
	}
	return m, nil
}

// unreadable lists what keeps records of this partition from being read by a model.
func (p *Partition) unreadable(spec *identity.Model) (ps document.Problems) {
	for i := range spec.Fields {
		if f := &spec.Fields[i]; !slices.Contains(p.opt.Columns, f.Source()) {
			ps = append(ps, spec.At(fmt.Sprintf("$.fields[%d]", i), fmt.Sprintf("records about a %s have no %s", p.opt.About, f.Source()), document.DidYouMean(f.Source(), p.opt.Columns)))
		}
	}
	if spec.About != p.opt.About {
		ps = append(ps, spec.At("$.about", fmt.Sprintf("the model is about %q", spec.About), "choose a model about "+p.opt.About))
	}
	return ps
}

// Keep makes everything that Apply decided durable, as of a place in the stream.
func (p *Partition) Keep(position uint64) error {
	w := p.work
	if w == nil {
		w = p.begin(p.state, p.empty())
	}
	p.work = nil
	w.flush()
	m := meta{Next: w.next, Evidence: EvidenceVersion}
	if w.model != nil {
		name, err := p.keepModel(w.model)
		if err != nil {
			return err
		}
		m.Model = name
	}
	if err := w.state.Commit(w.batch, position, m.encode()); err != nil {
		return err
	}
	w.end()
	if w.state == p.state {
		p.mu.Lock()
		p.model, p.verdicts = w.model, w.verdicts
		p.mu.Unlock()
		return nil
	}
	// The state was made anew: from here on it is the one that counts.
	if err := point(p.dir, w.state.name); err != nil {
		return err
	}
	p.mu.Lock()
	old := p.state
	p.state, p.model, p.verdicts = w.state, w.model, w.verdicts
	p.stale = false
	p.mu.Unlock()
	return old.discard()
}

// Drop forgets what was decided and not kept.
func (p *Partition) Drop() {
	if p.work == nil {
		return
	}
	p.work.view.Release()
	if p.work.state != p.state {
		if err := p.work.state.discard(); err != nil {
			p.log.Warn("a state of identities that was not finished could not be removed", "error", err)
		}
	}
	p.work = nil
}

// coalesce makes one link of those that a record has at one place in the stream: a row of a source may name two
// parties, and so be two changes.
func coalesce(links []Link) []Link {
	type moment struct {
		record pseudonym.ID
		at     uint64
	}
	last := make(map[moment]int, len(links))
	out := links[:0]
	for _, l := range links {
		k := moment{l.Record, l.At}
		if i, twice := last[k]; twice {
			l.Previous = out[i].Previous
			out[i] = l
			continue
		}
		last[k] = len(out)
		out = append(out, l)
	}
	return slices.DeleteFunc(out, func(l Link) bool { return l.Previous == l.Party })
}
