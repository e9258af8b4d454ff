package disclosure

import (
	"context"

	"github.com/shirecounty/shire/schemas/pseudonym"
)

// Desk answers reads. It is safe for concurrent use.
type Desk struct{}

// Person is all that departments hold on a person and live grants cover. The error is a *Denied, a *Mistake or an *Unavailable.
func (d *Desk) Person(ctx context.Context, r Reader, id pseudonym.ID) (*Person, error)

// Lookup is Person for the applicant of the case whom the attributes fit: number, or name and date of birth. A person who does not
// exist, one who is not of the case, and attributes that do not fit are refused alike, with sharing.NotOfCase.
func (d *Desk) Lookup(ctx context.Context, r Reader, a Attributes) (*Person, error)

// Record is one record by its key in the source, as far as live grants cover it; parts of a composite key are joined by
// change.KeySeparator. fields are those that are wanted, all that is covered when there are none. A record that does not exist, one
// that is not about the case's applicants, and one outside the granted rows are refused alike, with sharing.NotOfCase.
func (d *Desk) Record(ctx context.Context, r Reader, department, dataset, key string, fields []string) (*Record, error)

// Accesses tells who looked at a person's records, the newest first, at most MostAccesses. It takes a live case of the person and no
// grant: what is shown is about the readers.
func (d *Desk) Accesses(ctx context.Context, r Reader, id pseudonym.ID) ([]Access, error)

// MostAccesses bounds one answer of Accesses (I10).
const MostAccesses = 1000
