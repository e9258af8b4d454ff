package disclosure

import (
	"context"

	"github.com/shirecounty/shire/pipeline/audit"
	"github.com/shirecounty/shire/schemas/pseudonym"
	"github.com/shirecounty/shire/schemas/sharing"
)

// Looks reads what the audit log says of persons: audit.Projection.
type Looks interface {
	// Written is the last entry that is in the log now.
	Written(ctx context.Context) (sequence uint64, err error)
	// On are the entries on any of the persons up to one that is in the log, the newest first, at most so many.
	On(ctx context.Context, persons []pseudonym.ID, through uint64, most int) ([]audit.Entry, error)
}

// MostAccesses bounds one answer of Accesses (I10).
const MostAccesses = 1000

// Accesses tells who looked at a person's records before this look, the newest first, at most MostAccesses. It takes a live case of
// the person and no grant: what is shown is about the readers.
func (d *Desk) Accesses(ctx context.Context, r Reader, id pseudonym.ID) ([]Access, error) {
	h, err := d.hear(ctx, r)
	if err != nil {
		return nil, err
	}
	if today, ok := h.persons.Resolve(id); ok {
		id = today
	}
	fields := []string{"audit.accesses"}
	if code := h.call("", nil, id).Standing(h.standing); code != sharing.Allowed {
		return nil, h.refuse(ctx, id, fields, code, code)
	}
	through, err := d.o.Looks.Written(ctx)
	if err != nil {
		return nil, &Unavailable{What: "the log of accesses", Err: err}
	}
	if err := h.record(ctx, id, fields, Granted, sharing.Allowed); err != nil {
		return nil, err
	}
	entries, err := d.o.Looks.On(ctx, append(h.persons.Became(id), id), through, MostAccesses)
	if err != nil {
		return nil, &Unavailable{What: "the log of accesses", Err: err}
	}
	out := make([]Access, 0, len(entries))
	for _, e := range entries {
		out = append(out, Access{At: e.At, Caller: e.Caller, Clerk: e.Clerk, Purpose: e.Purpose, Item: e.ItemCode, Case: e.CaseNumber,
			Fields: e.Fields, Decision: e.Decision, Reason: e.Reason})
	}
	return out, nil
}
