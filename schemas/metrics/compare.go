package metrics

import (
	"fmt"

	"github.com/shirecounty/shire/schemas/document"
)

// With what a period is compared.
const (
	ComparePrevious = "previous" // as many months right before it
	CompareYear     = "year"     // the same months of the year before, of two years before when it is longer than a year ...
)

// Comparisons lists them.
var Comparisons = []string{ComparePrevious, CompareYear, CompareKnown}

// MostMonths is how long a period may be: ten years.
const MostMonths = 120

// Complete fills in the months that were not given: the last complete month that the data covers, and two months before the last one. The
// error is an [InputError].
func (q Query) Complete(extent func() (Extent, error)) (Query, error) {
	none := Month{}
	if q.To == none {
		e, err := extent()
		if err != nil {
			return q, err
		}
		if e.Empty {
			return q, &InputError{Message: "Nothing is loaded yet, so there is no last month", Do: "give from and to, or load the sources with shire load"}
		}
		q.To = e.Last
	}
	if q.From == none {
		q.From = q.To.Add(-2)
	}
	switch months := q.To.since(q.From) + 1; {
	case months < 1:
		return q, &InputError{Message: "The period ends before it starts: from is later than to"}
	case months > MostMonths:
		return q, &InputError{Message: fmt.Sprintf("The period has %d months; at most %d can be asked for at once", months, MostMonths)}
	}
	return q, nil
}

// since counts the months from other to m.
func (m Month) since(other Month) int { return (m.Year-other.Year)*12 + m.Month - other.Month }

// Earlier is the query for the period to compare with; ok is false when there is none to compare. The error is an [InputError].
func (q Query) Earlier() (earlier Query, ok bool, err error) {
	months := q.To.since(q.From) + 1
	switch q.Compare {
	case "":
		return Query{}, false, nil
	case ComparePrevious:
	case CompareYear:
		months = (months + 11) / 12 * 12
	case CompareKnown:
		if q.Known.IsZero() {
			return Query{}, false, &InputError{Message: "it is not said with what was known when the figures of now are compared", Do: "give known, such as 2026-11-01"}
		}
		q.Compare = ""
		return q, true, nil
	default:
		return Query{}, false, &InputError{Message: fmt.Sprintf("there is no comparison %q", q.Compare),
			Do: document.DidYouMean(q.Compare, Comparisons)}
	}
	q.From, q.To, q.Compare = q.From.Add(-months), q.To.Add(-months), ""
	return q, true, nil
}

// Beside puts the rows of the earlier period, which Earlier asked for, beside those of the result: groups are matched by their keys, months by
// their place in the period. A group that is gone stays, without a figure of its own.
func (r *Result) Beside(q Query, earlier Result) {
	r.Compared = &Period{From: earlier.From, To: earlier.To, Known: earlier.Known, Coverage: earlier.Coverage}
	months := 0
	if from, err := ParseMonth(earlier.From); err == nil {
		months = q.From.since(from)
	}
	at := map[string]int{}
	for i, row := range r.Rows {
		at[row.Key] = i
	}
	for _, before := range earlier.Rows {
		key := before.Key
		if m, err := ParseMonth(key); q.By == "month" && err == nil {
			key = m.Add(months).String()
		}
		i, there := at[key]
		if !there {
			i = len(r.Rows)
			r.Rows = append(r.Rows, Row{Key: key, State: StateEmpty})
		}
		row := &r.Rows[i]
		if row.Before = &before; row.Value != nil && before.Value != nil {
			difference := *row.Value - *before.Value
			row.Difference = &difference
		}
	}
}
