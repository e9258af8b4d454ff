package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/shirecounty/shire/schemas/pseudonym"
)

// Written is the last entry that is in the log now.
func (p *Projection) Written(ctx context.Context) (uint64, error) {
	end, err := p.log.End(ctx)
	return end.Sequence, err
}

// lookWait bounds how long On waits for the projection.
const lookWait = 10 * time.Second

// On are the entries on any of the persons, up to one that is in the log: the newest first, at most so many. Run has to be running.
func (p *Projection) On(ctx context.Context, persons []pseudonym.ID, through uint64, most int) ([]Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, lookWait)
	defer cancel()
	for {
		at, _, err := p.table.end(ctx)
		if err != nil {
			return nil, err
		}
		if at.Sequence >= through {
			break
		}
		if !sleep(ctx, insertLinger) {
			return nil, fmt.Errorf("audit.accesses is at entry %d of %d and does not come on", at.Sequence, through)
		}
	}
	ids := make([]uuid.UUID, len(persons))
	for i, id := range persons {
		ids[i] = uuid.UUID(id)
	}
	var rows []row
	err := p.table.conn.Select(ctx, &rows, "SELECT "+columns+" FROM audit.accesses WHERE person_id IN (?) AND sequence <= ? ORDER BY sequence DESC LIMIT ?", ids, through, most)
	if err != nil {
		return nil, p.table.unreadable(err)
	}
	out := make([]Entry, len(rows))
	for i := range rows {
		out[i] = rows[i].entry()
	}
	return out, nil
}
