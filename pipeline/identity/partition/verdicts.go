package partition

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/shirecounty/shire/pipeline/identity/review"
	"github.com/shirecounty/shire/pipeline/identity/store"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// ledger is the verdicts in force, by record. It is in memory as a whole: its size is what people decided.
type ledger struct {
	of map[pseudonym.ID][]stand
}

// stand is how a record stands to another by a verdict.
type stand struct {
	other    pseudonym.ID
	decision decision
}

type decision uint8

const (
	withdrawn decision = iota
	same
	different
	unsure
)

var decisions = [...]string{withdrawn: "", same: review.Same, different: review.Different, unsure: review.Unsure}

func decisionOf(s string) decision { return decision(max(0, slices.Index(decisions[:], s))) }

// opinion is the part of a verdict that only people read.
type opinion struct {
	Reviewer string    `json:"reviewer"`
	Reason   string    `json:"reason"`
	At       time.Time `json:"at"`
}

// ruling is a verdict as the state keeps it.
type ruling struct {
	a, b     pseudonym.ID
	version  uint64
	decision decision
	said     []byte // an opinion
}

func (r *ruling) value() []byte {
	v := append(make([]byte, 0, 41), r.a[:]...)
	v = append(v, r.b[:]...)
	return append(order.AppendUint64(v, r.version), byte(r.decision))
}

func rulingOf(value []byte) ruling {
	return ruling{a: idOf(value), b: idOf(value[16:]), version: order.Uint64(value[32:]), decision: decision(value[40])}
}

func readLedger(v *store.View) *ledger {
	l := &ledger{of: map[pseudonym.ID][]stand{}}
	v.Scan(verdicts, nil, func(_, value, _ []byte) bool {
		r := rulingOf(value)
		l.set(r.a, r.b, r.decision)
		return true
	})
	return l
}

func (l *ledger) set(a, b pseudonym.ID, d decision) {
	for _, p := range [2][2]pseudonym.ID{{a, b}, {b, a}} {
		s := slices.DeleteFunc(slices.Clone(l.of[p[0]]), func(s stand) bool { return s.other == p[1] })
		if d != withdrawn {
			s = append(s, stand{p[1], d})
		}
		if len(s) == 0 {
			delete(l.of, p[0])
		} else {
			l.of[p[0]] = s
		}
	}
}

// between is what was decided about two records.
func (l *ledger) between(a, b pseudonym.ID) decision {
	if len(l.of) == 0 {
		return withdrawn
	}
	for _, s := range l.of[a] {
		if s.other == b {
			return s.decision
		}
	}
	return withdrawn
}

func (l *ledger) clone() *ledger { return &ledger{of: maps.Clone(l.of)} }

// verdict takes one in, or back. What it joins or parts is settled at once.
func (w *working) verdict(c *Change) {
	before := w.ruling(c.Record)
	if before.version >= c.Version {
		return
	}
	now := before
	now.version, now.decision = c.Version, withdrawn
	now.said = nil
	if !c.Gone {
		now.a, now.b, now.decision = c.Verdict.A, c.Verdict.B, decisionOf(c.Verdict.Decision)
		var err error
		if now.said, err = json.Marshal(opinion{c.Verdict.Reviewer, c.Verdict.Reason, c.Verdict.At}); err != nil {
			panic(err) // of two texts and a time
		}
	}
	w.keepRuling(c.Record, now)
	if !w.ownVerdicts {
		w.verdicts, w.ownVerdicts = w.verdicts.clone(), true
	}
	w.verdicts.set(now.a, now.b, now.decision)
	if before.decision == unsure && now.decision == unsure {
		return
	}
	var touched []*node
	for _, id := range []pseudonym.ID{now.a, now.b} {
		if k := w.known(id); k.number != 0 {
			touched = append(touched, w.node(k.number))
		}
	}
	w.settle(touched, c)
}

func (w *working) ruling(id pseudonym.ID) ruling {
	if r, ok := w.rulings[id]; ok {
		return r
	}
	if value, _, ok := w.view.Get(verdicts, id[:]); ok {
		return rulingOf(value)
	}
	return ruling{}
}

func (w *working) keepRuling(id pseudonym.ID, r ruling) {
	w.rulings[id] = r
	w.batch.Put(verdicts, id[:], r.value(), r.said)
}
