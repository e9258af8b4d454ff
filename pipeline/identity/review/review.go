// Package review is what people see and say of identity: pairs of records that the evidence does not settle, why two
// records are or are not together, and the verdicts that decide.
//
// What it shows is personal data (I7): whoever hands it on answers for who sees it, and writes down who did (I8).
package review

import (
	"context"
	"errors"
	"time"

	"github.com/shirecounty/shire/pipeline/identity/match"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// Decisions on two records.
const (
	Same      = "same"      // one party
	Different = "different" // two parties
	Unsure    = "unsure"    // somebody looked, and could not tell: the pair leaves the queue, nothing else changes
)

// Item is one pair in the queue, without personal data.
type Item struct {
	About       string       `json:"about"` // person or organisation
	A           pseudonym.ID `json:"a"`     // record; less than B
	B           pseudonym.ID `json:"b"`
	Weight      match.Weight `json:"weight"` // of the evidence, thousandths of a bit
	Probability float64      `json:"probability"`
	Settles     int          `json:"settles"`          // pairs of records that a verdict would decide
	Doubts      []string     `json:"doubts,omitempty"` // of the model that hold
}

// Case is one pair as a person has to see it.
type Case struct {
	Item
	Fields      []Field            `json:"fields"`                // of the model, in its order
	Left        Side               `json:"left"`                  // record A
	Right       Side               `json:"right"`                 // record B
	Explanation *match.Explanation `json:"explanation,omitempty"` // nil when one of the records is gone
	Together    bool               `json:"together"`
	Verdict     *Verdict           `json:"verdict,omitempty"` // in force
}

// Field names a field of the model for people.
type Field struct {
	Name string `json:"name"`
	ZH   string `json:"zh"`
	EN   string `json:"en"`
}

// Side is one record, and the party that it belongs to.
type Side struct {
	Record     Record       `json:"record"`
	Party      pseudonym.ID `json:"party"`
	Neighbours []Record     `json:"neighbours,omitempty"` // others of the party, at most MostNeighbours
	Members    int          `json:"members"`              // records of the party, this one included
}

// MostNeighbours is how many records of a party are shown beside the one in question.
const MostNeighbours = 8

// Record is what one department says.
type Record struct {
	ID      pseudonym.ID `json:"id"`
	Dataset string       `json:"dataset"`
	Role    string       `json:"role"`
	Values  []string     `json:"values"` // by field; "" where it says nothing
}

// Verdict is what somebody decided about two records.
type Verdict struct {
	About    string       `json:"about"`
	A        pseudonym.ID `json:"a"`
	B        pseudonym.ID `json:"b"`
	Decision string       `json:"decision"`
	Reviewer string       `json:"reviewer"`
	Reason   string       `json:"reason"`
	At       time.Time    `json:"at"`
}

// Desk is where people decide.
type Desk interface {
	// Queue lists what waits for a person, what would settle most first. total is how many wait in all.
	Queue(ctx context.Context, about string, limit int) (items []Item, total int, err error)
	// Case shows one pair; ErrUnknown when a record is not known.
	Case(ctx context.Context, about string, a, b pseudonym.ID) (*Case, error)
	// Decide makes a verdict, which holds once it has come back through the stream; it returns when it does. A
	// *Contradiction says that earlier verdicts rule it out, a *Mistake that it is none.
	Decide(ctx context.Context, v Verdict) error
	// Withdraw takes the verdict on a pair back; ErrUnknown when there is none.
	Withdraw(ctx context.Context, about string, a, b pseudonym.ID, by string) error
}

// ErrUnknown says that there is no such record, or no such verdict.
var ErrUnknown = errors.New("unknown")

// Mistake says that what was handed in is no verdict.
type Mistake struct{ Message string }

func (m *Mistake) Error() string { return m.Message }

// Contradiction says that a verdict cannot hold together with earlier ones.
type Contradiction struct {
	Message string
	ZH      string // the same in Chinese; may be empty
}

func (c *Contradiction) Error() string { return c.Message }
