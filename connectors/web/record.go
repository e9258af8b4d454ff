package web

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/zeebo/xxh3"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/change"
)

// record is one element of a service's list.
//
// Its members are its columns. The members of an object that is a member are columns too, named applicant.name; what is
// deeper, and every list, is its JSON text without blanks. Numbers stand as they were written, true and false as words,
// null is NULL. A member that is absent and one that is null say the same.
type record struct {
	members []member
	size    int
	problem string // why it cannot be used
	raw     string // its text, where there is a problem
	row     int64

	key     string
	time    time.Time // of its last change, where the service says it
	deleted bool
	values  []string
	null    []bool
}

type member struct {
	name, value string
	null        bool
}

const (
	rawLimit = 64 << 10 // of a record's text that is kept with its problem
	// largest is a little less than what fits in a message: a change that is too large there would become a malformed one
	// behind the ledger's back, and be said again with every pass.
	largest = 4<<20 - 16<<10
)

// parse takes a record apart.
func (e *endpoint) parse(raw []byte) *record {
	r := &record{}
	if problem := r.object(e, raw, ""); problem != "" {
		r.spoil(problem, raw)
		return r
	}
	seen := make(map[string]struct{}, len(r.members))
	for _, m := range r.members {
		if _, twice := seen[m.name]; twice {
			r.spoil("the member "+shown(m.name)+" stands twice", raw)
			return r
		}
		seen[m.name] = struct{}{}
		if r.size += len(m.value); r.size > largest/2 { // twice: the key repeats values
			r.spoil("the record is larger than a message can hold; only its beginning is kept", raw)
			return r
		}
		if e.Since != nil && m.name == e.Since.Field {
			r.time, _ = e.Since.times.parse(m.value)
		}
		if e.Deleted != nil && m.name == e.Deleted.Field {
			r.deleted = e.Deleted.holds(m.value, m.null)
		}
	}
	if len(e.Omit) > 0 { // what is left out of the records may well say something about them
		r.members = slices.DeleteFunc(r.members, func(m member) bool { return slices.Contains(e.Omit, m.name) })
	}
	return r
}

// shown is a member's name in a message: names are the service's, and no value (I7), but they may be of any length.
func shown(name string) string {
	if len(name) > 60 {
		return strings.ToValidUTF8(name[:60], "") + "…"
	}
	return name
}

func (r *record) spoil(problem string, raw []byte) {
	raw = raw[:min(len(raw), rawLimit)]
	r.problem, r.raw = problem, strings.ToValidUTF8(string(raw), "")
	r.values, r.null = nil, nil
}

// object adds the members of an object.
func (r *record) object(e *endpoint, raw []byte, prefix string) (problem string) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return "it is not a JSON object"
	}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return "it is damaged"
		}
		name, _ := tok.(string)
		name = prefix + name
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return "it is damaged"
		}
		if value[0] == '{' && slices.Contains(e.Omit, name) {
			continue
		}
		if value[0] == '{' && prefix == "" && !emptyObject(value) {
			if problem := r.object(e, value, name+"."); problem != "" {
				return problem
			}
			continue
		}
		m := member{name: name}
		if m.value, m.null, problem = text(value); problem != "" {
			return problem
		}
		r.members = append(r.members, m)
	}
	return ""
}

func emptyObject(raw []byte) bool { return len(bytes.TrimSpace(raw[1:len(raw)-1])) == 0 }

// text is a value as a column holds it.
func text(raw json.RawMessage) (value string, null bool, problem string) {
	switch raw[0] {
	case 'n':
		return "", true, ""
	case '"':
		if err := json.Unmarshal(raw, &value); err != nil {
			return "", false, "it is damaged"
		}
		return value, false, ""
	case '{', '[':
		var compact bytes.Buffer
		if err := json.Compact(&compact, raw); err != nil {
			return "", false, "it is damaged"
		}
		return strings.ToValidUTF8(compact.String(), string(utf8.RuneError)), false, ""
	}
	return string(raw), false, "" // a number as it was written, true, false
}

// shaper gives records that come together the same columns. A JSON list has no header: its columns are those of the records
// that stand next to each other.
type shaper struct {
	endpoint *endpoint
	known    []string            // columns that stay although no record has them, where the service leaves out what has no value
	seen     map[string]struct{} // columns that a record of this pass has
	order    map[string]int
	columns  []string
	keys     *connectors.Keyer // nil when the columns of the key are missing
	missing  error             // then this says which
	hash     *hasher
}

func newShaper(e *endpoint, known []string) *shaper {
	s := &shaper{endpoint: e, order: map[string]int{}, seen: map[string]struct{}{}}
	if e.Sparse {
		s.known = known
	}
	for _, name := range known {
		s.place(name)
	}
	return s
}

// place is where a column stands: columns keep the order in which they were first seen, so that a service that writes its
// members in another order each time does not make other columns of them.
func (s *shaper) place(name string) int {
	at, known := s.order[name]
	if !known {
		at = len(s.order)
		s.order[name] = at
	}
	return at
}

// lose drops the columns that no record of a pass over everything had.
func (s *shaper) lose() {
	if len(s.seen) == 0 {
		return
	}
	var kept []string
	for _, name := range s.known {
		if _, there := s.seen[name]; there {
			kept = append(kept, name)
		}
	}
	s.known = kept
}

// mostColumns bounds what a list whose member names are data (an object by id) takes of memory and of tables (I10).
const mostColumns = 2000

// shape gives the records their columns, values and keys.
func (s *shaper) shape(records []*record) error {
	union := make(map[string]struct{}, len(s.columns))
	for _, name := range s.known {
		union[name] = struct{}{}
	}
	var before *record
	for _, r := range records {
		if r.problem != "" || before != nil && sameNames(r.members, before.members) {
			continue
		}
		before = r
		for _, m := range r.members {
			union[m.name], s.seen[m.name] = struct{}{}, struct{}{}
			s.place(m.name)
		}
	}
	if before == nil {
		return nil
	}
	if len(union) > mostColumns || len(s.order) > 4*mostColumns {
		return refuse("too_many_columns", "the records have more than %d different members; if their names are data, have the department make a list of them", mostColumns)
	}
	s.choose(union)
	at := make(map[string]int, len(s.columns))
	for i, name := range s.columns {
		at[name] = i
	}
	for _, r := range records {
		if r.problem == "" {
			s.fill(r, at)
		}
	}
	return nil
}

func sameNames(a, b []member) bool {
	return slices.EqualFunc(a, b, func(a, b member) bool { return a.name == b.name })
}

func (s *shaper) choose(union map[string]struct{}) {
	if len(union) == len(s.columns) && !slices.ContainsFunc(s.columns, func(name string) bool { _, there := union[name]; return !there }) {
		return
	}
	columns := make([]string, 0, len(union))
	for name := range union {
		columns = append(columns, name)
	}
	slices.SortFunc(columns, func(a, b string) int { return s.place(a) - s.place(b) })
	s.columns = columns
	s.keys, s.missing = connectors.NewKeyer(s.endpoint.Dataset, columns)
	s.hash = newHasher(columns)
	if s.endpoint.Sparse {
		s.known = columns
	}
}

func (s *shaper) fill(r *record, at map[string]int) {
	r.values, r.null = make([]string, len(s.columns)), make([]bool, len(s.columns))
	for i := range r.null {
		r.null[i] = true
	}
	for _, m := range r.members {
		i := at[m.name]
		r.values[i], r.null[i] = m.value, m.null
	}
	if s.keys == nil {
		r.spoil("no key: the member for it is missing", r.again())
		return
	}
	var problem string
	if r.key, problem = s.keys.Key(r.values); problem != "" {
		r.spoil(problem, r.again())
	}
}

// again writes the record's members as JSON: its own text was not kept.
func (r *record) again() []byte {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range r.members {
		if i > 0 {
			b.WriteByte(',')
		}
		name, _ := json.Marshal(m.name) // a string always has a text
		value, _ := json.Marshal(m.value)
		if m.null {
			value = []byte("null")
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
		if b.Len() > rawLimit {
			break
		}
	}
	b.WriteByte('}')
	return b.Bytes()
}

// hasher hashes a record so that the order of the columns does not matter, nor columns that are NULL.
type hasher struct {
	order   []int
	names   []uint64
	scratch []byte
}

func newHasher(columns []string) *hasher {
	h := &hasher{order: make([]int, len(columns)), names: make([]uint64, len(columns))}
	for i, c := range columns {
		h.order[i], h.names[i] = i, xxh3.HashString(c)
	}
	slices.SortFunc(h.order, func(a, b int) int { return strings.Compare(columns[a], columns[b]) })
	return h
}

func (h *hasher) add(column int, value string) {
	h.scratch = binary.BigEndian.AppendUint64(h.scratch, h.names[column])
	h.scratch = binary.AppendUvarint(h.scratch, uint64(len(value)))
	h.scratch = append(h.scratch, value...)
}

func (h *hasher) sum(r *record) uint64 {
	h.scratch = h.scratch[:0]
	for _, i := range h.order {
		if !r.null[i] {
			h.add(i, r.values[i])
		}
	}
	return xxh3.Hash(h.scratch)
}

// sumBatch is the same for a record that was published.
func (h *hasher) sumBatch(b *change.Batch, row int) uint64 {
	h.scratch = h.scratch[:0]
	for _, i := range h.order {
		if v := b.Values(i); v.IsValid(row) {
			h.add(i, v.Value(row))
		}
	}
	return xxh3.Hash(h.scratch)
}
