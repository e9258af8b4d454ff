package warehouse

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/shirecounty/shire/schemas/metrics"
)

// show has the views of metrics, which dashboards and analysts ask, tell what the last preparation tells, or what the views of mart tell when there is none. It
// follows the row in prepared.state: a process that is killed between the two leaves the views on the former preparation, whose tables are there until
// the next begins, and that one shows first.
func (p *Preparer) show(ctx context.Context) error {
	var last metrics.Prepared
	var began time.Time
	err := p.Conn.QueryRow(ctx, "SELECT number, metrics, began_at FROM prepared.state ORDER BY number DESC LIMIT 1").Scan(&last.Number, &last.Metrics, &began)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("ask what is prepared: %w", err)
	}
	if p.shown != nil && *p.shown == last.Number {
		return nil
	}
	for _, d := range p.Set.All() {
		view, ok := metrics.CompilePrepared(d, last, began.In(p.Zone), p.Definer)
		if !ok {
			view = metrics.Compile(d, p.Zone.String(), p.Definer)
		}
		if err := p.Conn.Exec(ctx, view); err != nil {
			return fmt.Errorf("have the view of the metric %s tell what is prepared: %w", d.Name, err)
		}
	}
	p.shown = &last.Number
	return nil
}

// months computes what the view of a survival metric tells.
func (b *build) months(ctx context.Context, d *metrics.Definition) error {
	if err := b.run(ctx, d.MonthsTable(b.Prepared)); err != nil {
		return err
	}
	months, err := list(ctx, b.Conn, d.MonthsQuery(b.Prepared), nil, func(m *month) []any { return []any{&m.number, &m.units} })
	if err != nil {
		return err
	}
	for _, some := range chunks(months, d.MonthsAtOnce()) {
		if err := b.run(ctx, d.MonthsStatement(b.Prepared, some.first, some.last)); err != nil {
			return err
		}
	}
	return nil
}

// month is one that something is prepared of, such as 202607, and of how many units.
type month struct {
	number uint32
	units  uint64
}

type period struct{ first, last uint32 }

// chunks cuts months, the last one first, into periods of at most so many units, or of one month (I10).
func chunks(months []month, most uint64) (periods []period) {
	sum := uint64(0)
	for _, m := range months {
		sum += m.units
		if len(periods) == 0 || sum > most {
			periods, sum = append(periods, period{m.number, m.number}), m.units
		}
		periods[len(periods)-1].first = m.number
	}
	return periods
}
