package identity

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/shirecounty/shire/pipeline/identity/partition"
	"github.com/shirecounty/shire/pipeline/normalise"
	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// What was decided for a range, as it is recorded with it (I3): a byte for the layout; the ids that occur, each once; for
// every mention in the order of the range, which of these and by what rule; the models that links name, each once; the
// links. Numbers are uvarints. Most mentions of a large range are of a party that the range names several times, so that
// they take two or three bytes.
const layout = 1

var rules = []string{"", partition.Alone, partition.ExactNumber, partition.Matched, partition.ByVerdict}

var kinds = []string{partition.Merge, partition.Split}

// idsOf is the column of a mention that holds its party; nil when the mention is of none.
func idsOf(r *normalise.Rows) []pseudonym.ID {
	switch r.Table.Mention {
	case canonical.PersonMention:
		return r.PersonID
	case canonical.OrganisationMention:
		return r.OrganisationID
	}
	return nil
}

// encoder writes ids by their number.
type encoder struct {
	numbers map[pseudonym.ID]uint64
	ids     []byte
	body    []byte
}

func (e *encoder) id(id pseudonym.ID) uint64 {
	n, known := e.numbers[id]
	if !known {
		n = uint64(len(e.numbers))
		e.numbers[id] = n
		e.ids = append(e.ids, id[:]...)
	}
	return n
}

func (e *encoder) number(n uint64) { e.body = binary.AppendUvarint(e.body, n) }

func (e *encoder) text(s string) {
	e.number(uint64(len(s)))
	e.body = append(e.body, s...)
}

func indexIn[T comparable](list []T, v T) uint64 {
	for i := range list {
		if list[i] == v {
			return uint64(i)
		}
	}
	return 0
}

func encode(mentions []*normalise.Rows, links []Link) []byte {
	e := &encoder{numbers: map[pseudonym.ID]uint64{}}
	for _, r := range mentions {
		ids := idsOf(r)
		if ids == nil {
			continue
		}
		for _, row := range r.Source {
			e.number(e.id(ids[row])<<3 | indexIn(rules, r.LinkRule[row]))
		}
	}
	models := modelsOf(links)
	e.number(uint64(len(models)))
	for _, m := range models {
		e.text(m)
	}
	e.number(uint64(len(links)))
	for _, l := range links {
		flags := indexIn(kinds, l.Kind) | indexIn(rules, l.Rule)<<2
		if l.About == Organisation {
			flags |= 1 << 6
		}
		if l.Weighed {
			flags |= 1 << 7
		}
		e.number(flags)
		for _, id := range []pseudonym.ID{l.Record, l.Previous, l.Party, l.A, l.B} {
			e.number(e.id(id))
		}
		e.body = binary.AppendVarint(e.body, int64(l.Weight))
		e.number(indexIn(models, l.Model))
		e.number(l.At)
		e.body = binary.AppendVarint(e.body, l.Time.UnixMicro())
	}
	out := binary.AppendUvarint([]byte{layout}, uint64(len(e.numbers)))
	return append(append(out, e.ids...), e.body...)
}

// modelsOf are the models that links name: hardly ever more than one, since a link names the model that it was decided by.
func modelsOf(links []Link) (models []string) {
	for _, l := range links {
		if !slices.Contains(models, l.Model) {
			models = append(models, l.Model)
		}
	}
	return models
}

var errDecisions = errors.New("what was decided for a range is not written as this version of the program writes it; finish the load with the version that began it")

// decoder reads what encoder wrote. It remembers that something was wrong.
type decoder struct {
	b   []byte
	bad bool
	ids []pseudonym.ID
}

func (d *decoder) number() uint64 {
	n, size := binary.Uvarint(d.b)
	if size <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[size:]
	return n
}

func (d *decoder) signed() int64 {
	n, size := binary.Varint(d.b)
	if size <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[size:]
	return n
}

func (d *decoder) bytes(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.bad, d.b = true, nil
		return nil
	}
	out := d.b[:n]
	d.b = d.b[n:]
	return out
}

func (d *decoder) id(n uint64) pseudonym.ID {
	if n >= uint64(len(d.ids)) {
		d.bad = true
		return pseudonym.ID{}
	}
	return d.ids[n]
}

func pick[T any](d *decoder, list []T, n uint64) (v T) {
	if n >= uint64(len(list)) {
		d.bad = true
		return v
	}
	return list[n]
}

// decode gives the mentions what was recorded for them, and the recorded links.
func decode(recorded []byte, mentions []*normalise.Rows) ([]Link, error) {
	if len(recorded) == 0 || recorded[0] != layout {
		return nil, errDecisions
	}
	d := &decoder{b: recorded[1:]}
	n := d.number()
	if n > uint64(len(d.b))/16 {
		return nil, errDecisions
	}
	d.ids = make([]pseudonym.ID, n)
	for i := range d.ids {
		copy(d.ids[i][:], d.bytes(16))
	}
	for _, r := range mentions {
		ids := idsOf(r)
		if ids == nil {
			continue
		}
		for _, row := range r.Source {
			n := d.number()
			ids[row], r.LinkRule[row] = d.id(n>>3), pick(d, rules, n&7)
		}
	}
	var models []string
	for count := d.number(); count > 0 && !d.bad; count-- {
		models = append(models, string(d.bytes(d.number())))
	}
	var links []Link
	for count := d.number(); count > 0 && !d.bad; count-- {
		flags := d.number()
		l := Link{About: Person}
		if flags&(1<<6) != 0 {
			l.About = Organisation
		}
		l.Kind, l.Rule, l.Weighed = pick(d, kinds, flags&3), pick(d, rules, flags>>2&15), flags&(1<<7) != 0
		for _, id := range []*pseudonym.ID{&l.Record, &l.Previous, &l.Party, &l.A, &l.B} {
			*id = d.id(d.number())
		}
		l.Weight = int32(d.signed())
		l.Model = pick(d, models, d.number())
		l.At = d.number()
		l.Time = time.UnixMicro(d.signed()).UTC()
		links = append(links, l)
	}
	if d.bad || len(d.b) > 0 {
		return nil, errDecisions
	}
	return links, nil
}
