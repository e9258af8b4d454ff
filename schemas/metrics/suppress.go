package metrics

import "slices"

// Suppress hides what would give a suppressed row away: the total minus the rows that are shown. Of a breakdown it suppresses the
// smallest shown rows until what is suppressed is at least two rows and together at least the minimum cell. Medians cannot be
// subtracted, so of a survival metric it hides the numbers of open units alone.
//
// It protects one answer. Who may ask for any period and any filter can subtract one answer from another; and an analyst reads
// the rows behind both.
func (d *Definition) Suppress(by string, rows []Row) []Row {
	if by == "" {
		return rows
	}
	hidden, units := 0, int64(0)
	var shown []int
	for i, row := range rows {
		switch {
		case row.State == StateSuppressed:
			hidden++
			units += row.Count
		case row.Count > 0:
			shown = append(shown, i)
		}
	}
	if hidden == 0 {
		return rows
	}
	slices.SortStableFunc(shown, func(a, b int) int { return int(rows[a].Count - rows[b].Count) })
	rows = slices.Clone(rows)
	for _, i := range shown {
		if hidden >= 2 && units >= int64(d.MinimumCell) {
			break
		}
		hidden++
		units += rows[i].Count
		if d.Kind == Survival {
			rows[i].Open = 0
			continue
		}
		rows[i] = Row{Key: rows[i].Key, Count: rows[i].Count, State: StateSuppressed}
	}
	return rows
}
