package serving

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/shirecounty/shire/schemas/pseudonym"
)

// Record is one department's record as its contract reads it, with whom it is about.
type Record struct {
	ID         pseudonym.ID // keyed hash of dataset and key
	Version    uint64       // orders the versions: stream sequence and row
	Dataset    string
	Source     string
	SourceTime time.Time // when the source says it was written; zero when it does not say
	Received   time.Time // when it reached the county
	Contract   string    // hash of the contract that it was read with
	Division   string    // of the person's address, GB/T 2260; "" when the record has none
	Fields     []Field   // those that are present, in the contract's order
	Mentions   []Mention
	Case       *Case     // when the record is one of the county's cases
	Holdings   []Holding // documents and facts that it stands for
}

// Field is one field's value as text: dates as 2024-01-05, times in UTC as RFC 3339, money in yuan.
type Field struct{ Name, Value string }

// Value is a field's value; "" when it is absent.
func (r *Record) Value(name string) string {
	for _, f := range r.Fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// Mention is a person or an organisation that the record is about. The identity stage knows who the mention is today.
type Mention struct {
	Person bool // else an organisation
	Role   string
	Record pseudonym.ID // the mention, as identity knows it
	Number pseudonym.ID // keyed hash of the citizen number or the organisation's code; zero when it has none
}

// Case is what a read is checked against: it is for an open case, of the caller, about its applicants (I8).
type Case struct {
	Number, Department, Item string
	Opened, Closed           time.Time // zero when not known, or not yet
}

// Holding is a document or fact that can stand for a material.
type Holding struct {
	Material, Issuer, Status string
	IssuedAt                 time.Time // zero when not known
	From, Until              int32     // days since 1970-01-01, both included; 0 when there is no bound
	Role                     string    // of the mention whose it is
}

const format = 1

var errCutOff = errors.New("a stored record is not as it was written")

type writer struct{ b []byte }

func (w *writer) number(n uint64) { w.b = binary.AppendUvarint(w.b, n) }
func (w *writer) text(s string)   { w.number(uint64(len(s))); w.b = append(w.b, s...) }
func (w *writer) id(id pseudonym.ID) {
	w.b = append(w.b, id[:]...)
}
func (w *writer) moment(t time.Time) {
	if t.IsZero() {
		w.number(0)
		return
	}
	w.number(1)
	w.b = binary.AppendVarint(w.b, t.UnixMicro())
}

// encode writes a record but for its ID, which is where it stands.
func (r *Record) encode(dst []byte) []byte {
	w := &writer{append(dst, format)}
	w.number(r.Version)
	w.text(r.Dataset)
	w.text(r.Source)
	w.moment(r.SourceTime)
	w.moment(r.Received)
	w.text(r.Contract)
	w.text(r.Division)
	w.number(uint64(len(r.Fields)))
	for _, f := range r.Fields {
		w.text(f.Name)
		w.text(f.Value)
	}
	w.number(uint64(len(r.Mentions)))
	for _, m := range r.Mentions {
		w.b = append(w.b, flag(m.Person))
		w.text(m.Role)
		w.id(m.Record)
		w.id(m.Number)
	}
	w.b = append(w.b, flag(r.Case != nil))
	if c := r.Case; c != nil {
		w.text(c.Number)
		w.text(c.Department)
		w.text(c.Item)
		w.moment(c.Opened)
		w.moment(c.Closed)
	}
	w.number(uint64(len(r.Holdings)))
	for _, h := range r.Holdings {
		w.text(h.Material)
		w.text(h.Issuer)
		w.text(h.Status)
		w.moment(h.IssuedAt)
		w.b = binary.AppendVarint(w.b, int64(h.From))
		w.b = binary.AppendVarint(w.b, int64(h.Until))
		w.text(h.Role)
	}
	return w.b
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

type reader struct {
	b   []byte
	bad bool
}

func (r *reader) number() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *reader) signed() int64 {
	n, size := binary.Varint(r.b)
	if size <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) text() string { return string(r.take(r.number())) }

func (r *reader) id() (id pseudonym.ID) { copy(id[:], r.take(uint64(len(id)))); return id }

func (r *reader) flag() bool { b := r.take(1); return len(b) == 1 && b[0] == 1 }

func (r *reader) moment() time.Time {
	if r.number() == 0 {
		return time.Time{}
	}
	return time.UnixMicro(r.signed()).UTC()
}

// count is a number of things of at least so many bytes each: what claims to hold more than there is, is cut off.
func (r *reader) count(least int) int {
	n := r.number()
	if n > uint64(len(r.b)/least) {
		r.bad, r.b = true, nil
		return 0
	}
	return int(n)
}

func decode(id pseudonym.ID, plain []byte) (*Record, error) {
	r := &reader{b: plain}
	if f := r.take(1); len(f) == 0 || f[0] != format {
		return nil, errCutOff
	}
	out := &Record{ID: id, Version: r.number(), Dataset: r.text(), Source: r.text(), SourceTime: r.moment(), Received: r.moment(), Contract: r.text(), Division: r.text()}
	for range r.count(2) {
		out.Fields = append(out.Fields, Field{r.text(), r.text()})
	}
	for range r.count(34) {
		out.Mentions = append(out.Mentions, Mention{r.flag(), r.text(), r.id(), r.id()})
	}
	if r.flag() {
		out.Case = &Case{r.text(), r.text(), r.text(), r.moment(), r.moment()}
	}
	for range r.count(7) {
		out.Holdings = append(out.Holdings, Holding{r.text(), r.text(), r.text(), r.moment(), int32(r.signed()), int32(r.signed()), r.text()})
	}
	if r.bad || len(r.b) > 0 {
		return nil, errCutOff
	}
	return out, nil
}
