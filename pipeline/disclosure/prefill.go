package disclosure

import (
	"context"
	"time"

	"github.com/shirecounty/shire/schemas/pseudonym"
)

// Prefill is what a case's applicant need not hand in, and what has to be asked for.
type Prefill struct {
	ID        string // of this case and applicant; Use and Decline name it
	Person    pseudonym.ID
	Materials []Material // in the order of the item's list, or of the question
}

// Material is one required material (材料).
type Material struct {
	Code   string
	Met    bool
	Proof  *Proof // of a material that is met
	Reason string // why it has to be asked for: not_granted, not_held, not_valid or own_register (the department's own dataset says it)
}

// Proof is what a material is met with. Nothing of it is shown that no live grant covers.
type Proof struct {
	Department string
	Dataset    string
	Record     pseudonym.ID
	Issued     *time.Time
	ValidFrom  string // 2006-01-02; "" when there is none or it is not covered
	ValidUntil string // the last day, included; "" when there is none or it is not covered
	Hash       string // keyed hash of the record in this version: the owner's record gives the same while it is unchanged
}

// Why a material has to be asked for.
const (
	NotGranted  = "not_granted"
	NotHeld     = "not_held"
	NotValid    = "not_valid"
	OwnRegister = "own_register"
)

// Prefill tells for a case's applicant which materials shared data meets. person may be the zero id when the case has one applicant.
// materials are codes; all that the item requires when there are none.
func (d *Desk) Prefill(ctx context.Context, r Reader, person pseudonym.ID, materials []string) (*Prefill, error)

// Use takes a material of a prefill from shared data: it is looked at again, and from then on it stands among the case's materials
// with the method shared. A second Use of the same changes nothing. When it is not met any more, the error is a *Denied.
func (d *Desk) Use(ctx context.Context, r Reader, prefill, material string) error

// Decline says that a material is asked for in spite of the prefill, and why.
func (d *Desk) Decline(ctx context.Context, r Reader, prefill, material, reason string) error
