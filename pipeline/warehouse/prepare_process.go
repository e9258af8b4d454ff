package warehouse

import (
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
	type month struct {
		number uint32
		cases  uint64
	}
	months, err := list(ctx, b.Conn, b.ProcessMonths(), nil, func(m *month) []any { return []any{&m.number, &m.cases} })
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
		cases += m.cases
	}
	statements := b.ProcessTables(cases)
	for i := 0; i < len(months); {
		last, some := months[i].number, uint64(0)
		first := last
		for ; i < len(months) && (some == 0 || some+months[i].cases <= casesAtOnce); i++ {
			some, first = some+months[i].cases, months[i].number
		}
		statements = append(statements, b.ProcessStatements(first, last)...)
	}
	statements = append(statements, "DROP TABLE "+b.Table("process", "cases")+" SYNC")
	for _, sql := range statements {
		if err := b.run(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}
