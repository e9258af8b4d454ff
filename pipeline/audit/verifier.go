package audit

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
)

// verifier reads a log from its beginning to its end. It is told the statements first, then every record, then the end. Its
// memory does not grow with the entries (I10).
type verifier struct {
	keys   Keys
	county string // "" until the first statement says so
	report Report
	signed []Statement // that are proven, sorted when the entries begin
	next   int         // of signed: the first that no entry has been held against
	begun  bool
	whole  bool // the entries from before the stream are among those that are read
	old    bool // there is no stream yet

	after Place // the last entry that fits
	hash  []byte
	sum   []byte
	bad   *oddity
}

// oddity is the first record that does not fit, and what came behind it.
type oddity struct {
	at       Place  // what it should have followed
	sequence uint64 // the number it has; 0 when its bytes are no entry
	hash     string // what it claims
	honest   bool   // its hash is that of its bytes
	first    bool   // it is the first record of all
	genuine  bool   // later, the record came that should have stood here
	numbered bool   // later, one came with the number that should have stood here
	again    bool   // later, one came that has the same number
	followed bool   // the next record follows it, or it is signed
	behind   bool   // a record came behind it
}

func newVerifier(keys Keys, whole bool) *verifier {
	return &verifier{keys: keys, whole: whole, report: Report{Findings: []Finding{}}}
}

func (v *verifier) find(k Kind, sequence uint64, format string, args ...any) {
	v.report.Findings = append(v.report.Findings, Finding{k, sequence, fmt.Sprintf(format, args...)})
}

// statement takes something that is signed. Only what is proven counts.
func (v *verifier) statement(text []byte) {
	s, err := parseStatement(text)
	if err != nil {
		v.find(WrongSignature, 0, "a signed statement is damaged: %v", err)
		return
	}
	v.take(s)
}

func (v *verifier) take(s Statement) {
	if err := s.prove(v.keys); err != nil {
		v.find(WrongSignature, s.Sequence, "the %s at entry %d cannot be trusted: %v", s.Kind, s.Sequence, err)
		return
	}
	if v.county == "" {
		v.county = s.County
	}
	if s.County != v.county {
		v.find(WrongSignature, s.Sequence, "the %s at entry %d is about the county %s, and the log is that of %s", s.Kind, s.Sequence, s.County, v.county)
		return
	}
	v.signed = append(v.signed, s)
}

// start finds out where the entries have to begin.
func (v *verifier) start() {
	v.begun = true
	slices.SortStableFunc(v.signed, func(a, b Statement) int { return cmp.Compare(a.Sequence, b.Sequence) })
	begin := v.beginning()
	if begin != nil {
		if v.after = (Place{begin.Sequence, begin.Hash}); v.whole {
			v.after = Place{}
			if begin.Cut != nil {
				v.after = *begin.Cut
			}
		}
	}
	for _, s := range v.signed {
		if s.Kind == Cut {
			v.report.CutThrough = s.Sequence
			if s.Sequence > v.after.Sequence {
				v.after = Place{s.Sequence, s.Hash}
			}
		}
	}
	v.hash = []byte(v.after.Hash)
	v.anchor()
}

// record takes the next record.
func (v *verifier) record(r record) {
	if !v.begun {
		v.start()
	}
	sequence, previous, err := place(r.canonical)
	if err == nil && v.report.Entries == 0 && v.bad == nil && sequence > 0 && sequence <= v.report.CutThrough {
		return // it has had its time, and is on its way out
	}
	v.sum = algorithmOf(r.hash).appendSum(v.sum[:0], r.canonical)
	honest := err == nil && bytes.Equal(v.sum, r.hash)
	if v.bad != nil {
		v.bad.later(sequence, previous, honest)
		return
	}
	if honest && sequence == v.after.Sequence+1 && bytes.Equal(previous, v.hash) {
		v.after.Sequence = sequence
		v.hash = append(v.hash[:0], r.hash...)
		if v.report.Entries == 0 {
			v.report.First = sequence
		}
		v.report.Entries++
		v.anchor()
		return
	}
	v.after.Hash = string(v.hash)
	v.bad = &oddity{at: v.after, sequence: sequence, hash: string(r.hash), honest: honest, first: v.report.Entries == 0}
}

// unreadable says that the bytes behind the last record are none.
func (v *verifier) unreadable() {
	if !v.begun {
		v.start()
	}
	if v.bad == nil {
		v.after.Hash = string(v.hash)
		v.bad = &oddity{at: v.after}
	}
}

// later takes a record behind the first bad one, which may tell what happened to that.
func (o *oddity) later(sequence uint64, previous []byte, honest bool) {
	if !o.behind {
		o.behind, o.followed = true, o.honest && honest && string(previous) == o.hash
	}
	if honest && sequence == o.at.Sequence+1 {
		o.numbered = true
		o.genuine = o.genuine || string(previous) == o.at.Hash
	}
	o.again = o.again || honest && sequence == o.sequence
}

// finding names the first bad entry and what is wrong with it.
func (o *oddity) finding() Finding {
	n := o.at.Sequence + 1
	say := func(k Kind, at uint64, format string, args ...any) Finding {
		return Finding{k, at, fmt.Sprintf(format, args...)}
	}
	switch {
	case !o.honest && o.genuine:
		return say(Inserted, n, "something was put in before entry %d", n)
	case !o.honest:
		return say(Edited, n, "entry %d was changed: its bytes do not have the hash that stands beside them", n)
	case o.sequence < n && o.first:
		return say(Edited, n, "entry %d should be the first, and entry %d stands in its place", n, o.sequence)
	case o.sequence < n:
		return say(Inserted, o.sequence, "entry %d is there twice: something was put in behind entry %d", o.sequence, n-1)
	case o.sequence > n && o.again:
		return say(Inserted, n, "a copy of entry %d was put in before entry %d", o.sequence, n)
	case o.sequence > n && o.numbered:
		return say(Reordered, n, "entry %d does not stand in its place: entry %d does", n, o.sequence)
	case o.sequence > n && o.first:
		return say(TruncatedBeginning, n, "the beginning is missing: entries %d to %d are gone, and no cut of retention says why", n, o.sequence-1)
	case o.sequence > n:
		return say(Deleted, n, "entries %d to %d were taken out", n, o.sequence-1)
	case o.genuine: // a forged one in its place, with a hash that is right
		return say(Inserted, n, "something was put in before entry %d", n)
	case o.followed && !o.first:
		return say(Edited, n-1, "entry %d was changed and its hash made anew: entry %d does not follow it", n-1, n)
	default:
		return say(Edited, n, "entry %d was changed and its hash made anew: it does not follow the entry before it", n)
	}
}

// anchor holds the last entry against what was signed about it.
func (v *verifier) anchor() {
	for ; v.next < len(v.signed) && v.signed[v.next].Sequence <= v.after.Sequence; v.next++ {
		s := &v.signed[v.next]
		if s.Sequence < v.after.Sequence {
			continue // from before what is read
		}
		if s.Hash != string(v.hash) {
			v.find(Edited, v.report.Signed+1, "entries up to %d were written anew: entry %d does not have the hash that was signed on %s; the last that is signed and right is entry %d",
				s.Sequence, s.Sequence, s.Time.Format("2006-01-02 15:04:05 MST"), v.report.Signed)
			v.next = len(v.signed) // everything behind it differs too
			return
		}
		v.report.Signed = s.Sequence
		if s.Kind == Checkpoint {
			v.report.Checkpoints++
		}
	}
}

// end takes the end of the log and gives the report.
func (v *verifier) end() *Report {
	if !v.begun {
		v.start()
	}
	r := &v.report
	r.Last, r.Hash = v.after.Sequence, string(v.hash)
	if o := v.bad; o != nil {
		o.followed = o.followed || slices.ContainsFunc(v.signed, func(s Statement) bool { return s.Sequence == o.sequence && s.Hash == o.hash })
		r.Findings = append(r.Findings, o.finding())
	} else if n := len(v.signed); n > 0 && v.signed[n-1].Sequence > v.after.Sequence {
		s := v.signed[n-1]
		v.find(TruncatedEnd, v.after.Sequence+1, "the end is missing: the log ends with entry %d, and entry %d was signed on %s", v.after.Sequence, s.Sequence, s.Time.Format("2006-01-02 15:04:05 MST"))
	}
	begin := v.beginning()
	if begin == nil && !v.old {
		v.find(WrongSignature, v.after.Sequence, "no signed statement that can be trusted says where the log begins")
	}
	for _, s := range v.signed {
		if s.Kind == Checkpoint && begin != nil && s.Count != s.Sequence-begin.Sequence {
			v.find(WrongSignature, s.Sequence, "the checkpoint at entry %d counts %d entries, and there are %d since the beginning that is signed", s.Sequence, s.Count, s.Sequence-begin.Sequence)
			break
		}
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Sequence, b.Sequence))
	})
	return r
}

// beginning is what was signed about where the stream began; nil when there is nothing.
func (v *verifier) beginning() *Statement {
	for i := range v.signed {
		if v.signed[i].Kind == Begin {
			return &v.signed[i]
		}
	}
	return nil
}

// rank puts what is wrong with entries before what is wrong with signatures and copies.
func rank(f Finding) int {
	return max(slices.Index([]Kind{WrongSignature, WrongProjection}, f.Kind), -1)
}
