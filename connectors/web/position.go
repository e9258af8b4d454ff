package web

import (
	"encoding/json"
	"time"

	"github.com/shirecounty/shire/schemas/change"
)

// position is a place in a pass over a service's list. It is JSON, so that a person can read it on the bus:
//
//	{"of":"1f00c2a9b3d4","since":"2026-11-25T08:00:00Z","at":"17","row":230}
//
// A run that starts reads the page At again, from its beginning: what of it is safe is known by the ledger, key by key,
// so nothing is said twice whatever has moved within the page meanwhile, and nothing is left out.
type position struct {
	Of    string    `json:"of"`             // fingerprint of the settings that it belongs to
	Since time.Time `json:"since,omitzero"` // the time from which changes are asked for in this pass, without the overlap
	At    string    `json:"at,omitempty"`   // the page: its number, cursor, time or address; "" for the first
	Row   int64     `json:"row"`            // ordinal of the record in the page, from 1; 0 for a record missing from a pass
}

func parsePosition(p change.Position) (position, bool) {
	var at position
	if p == "" || json.Unmarshal([]byte(p), &at) != nil || at.Of == "" {
		return position{}, false
	}
	return at, true
}

func (p position) String() string {
	text, err := json.Marshal(p)
	if err != nil {
		panic(err) // a time beyond year 9999, which timeFormat.parse refuses
	}
	return string(text)
}
