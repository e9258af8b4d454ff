package file

import (
	"context"
	"fmt"
	"io"

	"github.com/shirecounty/shire/schemas/change"
)

// deliverSnapshot compares a full file with what the bus says of the dataset and publishes the difference. It reads
// the file twice: once to plan, so that nothing is published of a file that is held and the last of several rows
// with one key wins, and once to publish.
//
// The plan is made against the state as folded from the bus and the state changes by folding alone, so an
// interrupted file is simply planned again: what was published is by then unchanged. Malformed rows are not in the
// state; those up to the interrupted row are left out.
func (r *run) deliverSnapshot(ctx context.Context, f *drop, open func() (*rows, error), resume position) (int64, error) {
	plan, err := r.plan(f, open, resume)
	if err != nil {
		return 0, err
	}
	r.tellPlan(f, plan)
	if share := r.settings.MaxDeletions; float64(plan.missing) > share*float64(plan.before) {
		return 0, refuse("too_many_deletions", "the full file lacks %d of the %d records of the dataset, more than max_deletions (%.0f%%) allows, so nothing was read from it; drop a whole file, or raise max_deletions if the records are really gone", plan.missing, plan.before, 100*share)
	}
	if plan.changes == 0 {
		return plan.rows, nil
	}
	rs, err := open()
	if err != nil {
		return 0, err
	}
	defer rs.close()
	p := &publisher{run: r, f: f, at: newPositions(f), left: plan.changes}
	if err := p.rows(ctx, rs); err != nil {
		return 0, err
	}
	if plan.deletions == 0 {
		return plan.rows, nil
	}
	return plan.rows, p.deletions(ctx, rs)
}

// snapshotPlan is what a full file will do.
type snapshotPlan struct {
	rows       int64 // data rows in the file
	keys       int64 // different keys among its good rows
	malformed  int64
	unknownKey int64 // malformed rows whose key cannot be made out
	before     int64 // records of the dataset on the bus
	missing    int64 // of those, not in the file
	deletions  int64 // missing, unless they are held
	changes    int64 // to publish, deletions and malformed rows included
}

// plan stages the file's rows and joins them with the state, both in the order of the keys. Neither is held in
// memory (I10).
func (r *run) plan(f *drop, open func() (*rows, error), resume position) (*snapshotPlan, error) {
	rs, err := open()
	if err != nil {
		return nil, err
	}
	defer rs.close()
	st, err := r.ledger.stage(f.dataset.Name)
	if err != nil {
		return nil, err
	}
	defer st.close()
	plan := &snapshotPlan{}
	hash := newRowHasher(rs.columns)
	var c change.Change
	for last := false; !last; {
		last, err = rs.next(&c)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if c.Op != change.Malformed {
			if err := st.row(c.Key, rs.ordinal, hash.sum(&c)); err != nil {
				return nil, err
			}
			continue
		}
		plan.malformed++
		if key := rs.likelyKey(); key == "" {
			plan.unknownKey++
		} else if err := st.keep(key); err != nil {
			return nil, err
		}
		if rs.ordinal > resume.Row {
			plan.changes++
			if err := st.plan(rs.ordinal, change.Malformed, hash.sum(&c)); err != nil {
				return nil, err
			}
		}
	}
	plan.rows = rs.ordinal
	if err := rs.unchanged(); err != nil {
		return nil, err
	}
	err = st.join(func(ordinal int64, op change.Op, hash uint64) error {
		switch op {
		case change.Delete:
			plan.missing++
			return nil
		case change.Create, change.Update:
			plan.changes++
			return st.plan(ordinal, op, hash)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	plan.keys, plan.before = st.keys, st.before
	if plan.unknownKey == 0 {
		plan.deletions = plan.missing
		plan.changes += plan.missing
	}
	return plan, st.commit()
}

func (r *run) tellPlan(f *drop, plan *snapshotPlan) {
	if twice := plan.rows - plan.malformed - plan.keys; twice > 0 {
		r.tell(f.dataset.Name, f.name, "duplicate_keys", fmt.Sprintf("%d rows have the key of a later row; the last row of each key was taken", twice))
	}
	if plan.unknownKey > 0 && plan.missing > 0 {
		r.tell(f.dataset.Name, f.name, "deletions_held", fmt.Sprintf("%d records are missing from the full file and were not deleted, because %d of its rows cannot be read and may be theirs; mend those rows and drop the file again", plan.missing, plan.unknownKey))
	}
}

// publisher publishes a plan.
type publisher struct {
	*run
	f    *drop
	at   *positions
	left int64 // changes that are still to come
}

func (p *publisher) append(ctx context.Context, rs *rows, c change.Change, deleted int64) error {
	p.left--
	c.Position = p.at.at(rs.ordinal, deleted, p.left == 0)
	return p.out.Append(ctx, p.f.dataset.Name, p.f.name, rs.columns, c)
}

// rows publishes the planned rows in the order of the file.
func (p *publisher) rows(ctx context.Context, rs *rows) error {
	next, err := p.ledger.planned(p.f.dataset.Name)
	if err != nil {
		return err
	}
	defer next.close()
	var c change.Change
	hash := newRowHasher(rs.columns)
	for next.valid() {
		_, err := rs.next(&c)
		if err == io.EOF {
			return errChanged // it was longer when it was planned
		}
		if err != nil {
			return err
		}
		if next.ordinal != rs.ordinal {
			continue
		}
		// The plan was made from the whole file, so a row that is the planned one needs no other proof.
		if hash.sum(&c) != next.hash {
			return errChanged
		}
		c.Op = next.op
		if err := p.append(ctx, rs, c, 0); err != nil {
			return err
		}
		next.advance()
	}
	return next.err()
}

// deletions publishes the records that are missing, in the order of their keys.
func (p *publisher) deletions(ctx context.Context, rs *rows) error {
	st := p.ledger.staged(p.f.dataset.Name)
	defer st.close()
	var n int64
	return st.missing(func(key string) error {
		n++
		return p.append(ctx, rs, change.Change{Op: change.Delete, Key: key}, n)
	})
}
