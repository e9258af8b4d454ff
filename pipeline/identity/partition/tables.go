package partition

import (
	"encoding/binary"

	"github.com/shirecounty/shire/pipeline/identity/match"
	"github.com/shirecounty/shire/pipeline/identity/store"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// The tables of the state. Records go by number, in the order in which they first came: four bytes instead of sixteen
// in the two tables that are much the largest.
const (
	records    = iota // number -> record id; its words
	ids               // record id -> number (0 when the record is gone), version
	places            // number -> party, when that was born, damped fields, rule
	membership        // party, number
	postings          // blocking key, number
	edges             // number, number -> weight, whether it is open; each edge in both directions
	opens             // number, number, the smaller first: edges between records of two parties
	retired           // party -> its successor
	verdicts          // verdict's record id -> records a and b, version, decision; who, when and why
)

var tables = []store.Spec{
	records:    {Name: "records", Key: 4, Value: 16, Blob: true},
	ids:        {Name: "ids", Key: 16, Value: 12},
	places:     {Name: "places", Key: 4, Value: 26},
	membership: {Name: "members", Key: 20},
	postings:   {Name: "postings", Key: 12},
	edges:      {Name: "edges", Key: 8, Value: 5},
	opens:      {Name: "opens", Key: 8},
	retired:    {Name: "retired", Key: 16, Value: 16},
	verdicts:   {Name: "verdicts", Key: 16, Value: 41, Blob: true},
}

var order = binary.BigEndian // so that keys sort by their numbers

// row is room for the key and the value of one row: a batch copies what it is given.
type row struct{ key, value [48]byte }

func (r *row) number(n uint32) []byte { return order.AppendUint32(r.key[:0], n) }

func (r *row) hash(h uint64) []byte { return order.AppendUint64(r.key[:0], h) }

func (r *row) member(party pseudonym.ID, number uint32) []byte {
	return order.AppendUint32(append(r.key[:0], party[:]...), number)
}

func (r *row) posting(hash uint64, number uint32) []byte {
	return order.AppendUint32(order.AppendUint64(r.key[:0], hash), number)
}

func (r *row) edge(a, b uint32) []byte {
	return order.AppendUint32(order.AppendUint32(r.key[:0], a), b)
}

func (r *row) known(k known) []byte {
	return order.AppendUint64(order.AppendUint32(r.value[:0], k.number), k.version)
}

func (r *row) place(n *node) []byte {
	v := append(r.value[:0], n.party[:]...)
	return append(order.AppendUint64(v, n.born), n.damped, byte(n.rule))
}

func (r *row) weight(e edge) []byte {
	v := order.AppendUint32(r.value[:0], uint32(e.weight))
	if e.open {
		return append(v, 1)
	}
	return append(v, 0)
}

func edgeOf(to uint32, value []byte) edge {
	return edge{to, match.Weight(order.Uint32(value)), value[4] != 0}
}

func idOf(b []byte) (id pseudonym.ID) {
	copy(id[:], b)
	return id
}
