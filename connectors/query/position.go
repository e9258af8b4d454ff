package query

import (
	"encoding/json"

	"github.com/shirecounty/shire/schemas/change"
)

// position is a place in a table, as JSON that a person can read on the bus:
//
//	{"next":"2026-11-25 07:55:00","mark":"2026-11-25 08:00:00","phase":"first"}
//
// The key of the row at the watermark is not in it: the position travels in headers, and a key may be an ID number (I7).
// The row itself says it.
type position struct {
	Next  string `json:"next,omitempty"`  // where the poll after this one begins; "" at the beginning
	Mark  string `json:"mark,omitempty"`  // the watermark of the row; "" between two polls
	Phase string `json:"phase,omitempty"` // first: the table is read for the first time; again: wholly, since its columns changed
	Aside bool   `json:"aside,omitempty"` // the change is not the row where the poll stands, which goes on at Mark
	ID    string `json:"id,omitempty"`    // of an outbox
}

const (
	first = "first"
	again = "again"
)

func (p position) text() change.Position {
	data, _ := json.Marshal(p)
	return change.Position(data)
}

// parsePosition tells whether it is one of ours: the dataset may have been delivered by another kind of source before.
func parsePosition(p change.Position) (position, bool) {
	var at position
	if p == "" || json.Unmarshal([]byte(p), &at) != nil || at == (position{}) {
		return position{}, false
	}
	return at, true
}
