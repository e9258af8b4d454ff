package partition

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/shirecounty/shire/pipeline/identity/match"
	"github.com/shirecounty/shire/pipeline/identity/review"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// Party tells what is known of a party, or of the one that a record belongs to.
type Party struct {
	About      string         `json:"about"`
	Asked      pseudonym.ID   `json:"asked"`
	Of         string         `json:"of"`             // what was asked for: "record" or "party"
	Gone       bool           `json:"gone,omitempty"` // the record was deleted, or none of the party's records is left
	Party      pseudonym.ID   `json:"party,omitzero"` // as of today
	Successors []pseudonym.ID `json:"successors"`     // of a retired party, to the one of today
	Retired    []pseudonym.ID `json:"retired"`        // parties that became this one
	Born       uint64         `json:"born,omitempty,string"`
	Sequence   uint64         `json:"born_sequence,omitempty"` // of the message by which it came to be
	Model      string         `json:"model"`
	Fields     []review.Field `json:"fields"`

	Size     int              `json:"size"`    // records
	Members  []Told           `json:"members"` // at most MostTold
	Ties     []Tie            `json:"ties"`    // strongest first, at most MostTold
	Open     []Beside         `json:"open"`    // pairs with records of other parties that are alike; at most MostTold
	Verdicts []review.Verdict `json:"verdicts"`
}

// Beside is a pair of a record of the party and one of another.
type Beside struct {
	A      pseudonym.ID `json:"a"` // of the party
	B      pseudonym.ID `json:"b"`
	Party  pseudonym.ID `json:"party"` // of B
	Weight match.Weight `json:"weight"`
}

// MostTold is how many records, and how many pairs, an explanation of a party lists.
const MostTold = 200

// ExplainParty tells of a party, or of a record and its party; nil when there never was one of this id, or nothing is left
// that knows of it. values is as for Explain.
func (p *Partition) ExplainParty(id pseudonym.ID, values bool) (told *Party) {
	p.read(func(r reader) {
		if r.model == nil {
			return
		}
		told = &Party{
			About: r.p.opt.About, Asked: id, Of: "party", Party: id, Model: r.model.Version(), Fields: r.fields(),
			Successors: []pseudonym.ID{}, Retired: []pseudonym.ID{}, Members: []Told{}, Ties: []Tie{}, Open: []Beside{}, Verdicts: []review.Verdict{},
		}
		if k := r.known(id); k.version > 0 {
			told.Of, told.Party = "record", pseudonym.ID{}
			if told.Gone = k.number == 0; told.Gone {
				return
			}
			told.Party = r.node(k.number).party
		} else {
			for next := r.successor(id); !next.IsZero(); next = r.successor(next) {
				told.Successors, told.Party = append(told.Successors, next), next
			}
		}
		members := r.members(told.Party)
		if told.Gone = len(members) == 0; told.Gone {
			if len(told.Successors) == 0 {
				told = nil
			}
			return
		}
		r.tellParty(told, members, values)
	})
	return told
}

func (r reader) tellParty(told *Party, members []*node, values bool) {
	told.Born, told.Sequence = members[0].born, change.SequenceOf(members[0].born)
	told.Size, told.Retired = len(members), r.retiredInto(told.Party)
	ids := map[pseudonym.ID]bool{}
	for _, n := range members {
		ids[n.id] = true
		if len(told.Members) < MostTold {
			told.Members = append(told.Members, r.told(n, values))
		}
		for _, e := range r.tie(n).edges {
			if e.open && len(told.Open) < MostTold {
				m := r.node(e.to)
				told.Open = append(told.Open, Beside{n.id, m.id, m.party, e.weight})
			}
		}
	}
	told.Ties = r.ties(members)
	told.Ties = told.Ties[:min(len(told.Ties), MostTold)]
	told.Verdicts = r.rulingsOn(ids)
}

// retiredInto lists the parties whose successors lead to one, by id.
func (r reader) retiredInto(party pseudonym.ID) []pseudonym.ID {
	before := map[pseudonym.ID][]pseudonym.ID{}
	r.view.Scan(retired, nil, func(key, value, _ []byte) bool {
		before[idOf(value)] = append(before[idOf(value)], idOf(key))
		return true
	})
	all := []pseudonym.ID{}
	for queue := before[party]; len(queue) > 0; queue = queue[1:] {
		all = append(all, queue[0])
		queue = append(queue, before[queue[0]]...)
	}
	slices.SortFunc(all, func(a, b pseudonym.ID) int { return bytes.Compare(a[:], b[:]) })
	return all
}

// rulingsOn lists the verdicts in force on two records of which at least one is among some, by id.
func (r reader) rulingsOn(ids map[pseudonym.ID]bool) []review.Verdict {
	out := []review.Verdict{}
	r.view.Scan(verdicts, nil, func(_, value, said []byte) bool {
		if v := rulingOf(value); v.decision != withdrawn && (ids[v.a] || ids[v.b]) {
			out = append(out, r.verdict(v, said))
		}
		return true
	})
	slices.SortFunc(out, func(x, y review.Verdict) int {
		if c := bytes.Compare(x.A[:], y.A[:]); c != 0 {
			return c
		}
		return bytes.Compare(x.B[:], y.B[:])
	})
	return out
}

func (r reader) verdict(v ruling, said []byte) review.Verdict {
	var o opinion
	if err := json.Unmarshal(said, &o); err != nil {
		panic(err) // we wrote it
	}
	return review.Verdict{About: r.p.opt.About, A: v.a, B: v.b, Decision: decisions[v.decision], Reviewer: o.Reviewer, Reason: o.Reason, At: o.At}
}

// Verdict is the verdict in force on two records, whether or not they are still there; nil when there is none.
func (p *Partition) Verdict(a, b pseudonym.ID) (v *review.Verdict) {
	p.read(func(r reader) {
		if r.verdicts.between(a, b) != withdrawn {
			said := r.ruled(a, b)
			v = &said
		}
	})
	return v
}

// Against lists the verdicts in force that rule a verdict out, in the order of the chain that they make: when two records
// shall be different, those that make them one; when they shall be the same, those that make each one with another, and
// these different. It is empty when nothing stands against the verdict.
func (p *Partition) Against(a, b pseudonym.ID, what string) (chain []review.Verdict) {
	p.read(func(r reader) {
		l := r.verdicts.clone()
		l.set(a, b, withdrawn) // it would take the place of an earlier one on the same pair
		from := l.reach(a)
		switch decisionOf(what) {
		case different:
			if _, met := from[b]; met {
				chain = r.chain(from, a, b)
			}
		case same:
			to := l.reach(b)
			for _, other := range sortedIDs(to) {
				for _, s := range l.of[other] {
					if _, met := from[s.other]; s.decision == different && met {
						chain = append(r.chain(from, a, s.other), r.ruled(s.other, other))
						back := r.chain(to, b, other)
						slices.Reverse(back)
						chain = append(chain, back...)
						return
					}
				}
			}
		}
	})
	return chain
}

// reach tells from which record each one was come to that verdicts make one with the first.
func (l *ledger) reach(id pseudonym.ID) map[pseudonym.ID]pseudonym.ID {
	came := map[pseudonym.ID]pseudonym.ID{id: id}
	for queue := []pseudonym.ID{id}; len(queue) > 0; queue = queue[1:] {
		for _, s := range l.of[queue[0]] {
			if _, met := came[s.other]; s.decision == same && !met {
				came[s.other] = queue[0]
				queue = append(queue, s.other)
			}
		}
	}
	return came
}

func (r reader) chain(came map[pseudonym.ID]pseudonym.ID, from, to pseudonym.ID) (out []review.Verdict) {
	for at := to; at != from; at = came[at] {
		out = append(out, r.ruled(at, came[at]))
	}
	slices.Reverse(out)
	return out
}

// ruled is the verdict in force on two records, in whichever order it names them.
func (r reader) ruled(a, b pseudonym.ID) review.Verdict {
	for _, pair := range [2][2]pseudonym.ID{{a, b}, {b, a}} {
		if v := r.standing(pair[0], pair[1]); v != nil {
			return *v
		}
	}
	return review.Verdict{About: r.p.opt.About, A: a, B: b, Decision: decisions[r.verdicts.between(a, b)]} // it is being taken back
}

func sortedIDs[V any](of map[pseudonym.ID]V) []pseudonym.ID {
	ids := make([]pseudonym.ID, 0, len(of))
	for id := range of {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b pseudonym.ID) int { return bytes.Compare(a[:], b[:]) })
	return ids
}
