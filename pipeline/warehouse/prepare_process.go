package warehouse

import (
	"cmp"
	"context"

	"github.com/shirecounty/shire/schemas/metrics"
)

// casesAtOnce is of about how many cases one statement makes the cells (I10): more than that only where one month has more.
const casesAtOnce = 400_000

// process prepares how cases went.
func (b *build) process(ctx context.Context) error {
	if err := b.run(ctx, b.ProcessCases(b.Zone.String())); err != nil {
		return err
	}
	months, err := list(ctx, b.Conn, b.ProcessMonths(), nil, func(m *month) []any { return []any{&m.number, &m.units} })
	if err != nil {
		return err
	}
	b.ProcessFrom = metrics.AllMonths
	if len(months) > mostMonths {
		months = months[:mostMonths]
		b.ProcessFrom = months[mostMonths-1].number
	}
	var cases uint64
	for _, m := range months {
		cases += m.units
	}
	bounds := cmp.Or(b.Bounds, metrics.BoundsOfTimes)
	statements := b.ProcessTables(cases, bounds)
	for _, some := range chunks(months, casesAtOnce) {
		statements = append(statements, b.ProcessStatements(some.first, some.last, bounds)...)
	}
	statements = append(statements, b.ProcessMerges()...)
	statements = append(statements, "DROP TABLE "+b.Table("process", "cases")+" SYNC")
	for _, sql := range statements {
		if err := b.run(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}
