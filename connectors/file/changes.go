package file

import (
	"context"
	"io"

	"github.com/shirecounty/shire/schemas/change"
)

// deliverChanges publishes every row of the file as it stands, beginning behind the row where an earlier run was
// interrupted. It returns the number of rows.
func (r *run) deliverChanges(ctx context.Context, f *drop, open func() (*rows, error), resume position) (int64, error) {
	rs, err := open()
	if err != nil {
		return 0, err
	}
	defer rs.close()
	at := newPositions(f)
	var c change.Change
	for {
		last, err := rs.next(&c)
		if err == io.EOF {
			return rs.ordinal, rs.unchanged() // without any row there is nothing on the bus to say so
		}
		if err != nil {
			return 0, err
		}
		if last {
			if err := rs.unchanged(); err != nil {
				return 0, err
			}
		}
		if rs.ordinal > resume.Row { // I2
			if c.Op == 0 {
				c.Op = change.Snapshot
			}
			c.Position = at.at(rs.ordinal, 0, last)
			if err := r.out.Append(ctx, f.dataset.Name, f.name, rs.columns, c); err != nil {
				return 0, err
			}
		}
		if last {
			return rs.ordinal, nil
		}
	}
}
