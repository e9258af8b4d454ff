// Package upkeep is the jobs that keep a county in order: comparing and repairing, reading a table anew, sending refused
// rows again, training a model, and looking at the calendar. Each worker does through the node what the command of the same
// name does, says what it found in a sentence, and may be repeated without harm.
package upkeep

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/pipeline/reconcile"
)

// ErrDiffers says that the source and the warehouse differ.
var ErrDiffers = errors.New("the source and the warehouse differ")

// Reconcile compares the datasets of a source with the warehouse. A run that leaves differences behind fails.
type Reconcile struct {
	Source   string
	Datasets []string
	Repair   bool
	// Compare compares one dataset, and repairs it when asked.
	Compare func(ctx context.Context, dataset string, repair bool) (*reconcile.Report, error)
}

var _ jobs.Worker = (*Reconcile)(nil)

// Do compares one dataset after the other. What was repaired is compared again, from the beginning: that a repair was
// told to be done is no proof.
func (r *Reconcile) Do(ctx context.Context, _ jobs.Task, output io.Writer) (jobs.Result, error) {
	var found tally
	for _, dataset := range r.Datasets {
		report, err := r.Compare(ctx, dataset, r.Repair)
		if err == nil && report.Repaired > 0 {
			fmt.Fprintf(output, "%s: %d records were repaired; it is compared once more\n", dataset, report.Repaired)
			found.repaired += report.Repaired
			report, err = r.Compare(ctx, dataset, false)
		}
		if err != nil {
			return found.result(), fmt.Errorf("dataset %s: %w", dataset, err)
		}
		fmt.Fprintln(output, report)
		if report.Unknown > 0 {
			fmt.Fprintf(output, "%s: of %d records nobody knows the key any more; delete them by hand, or ask the department\n", dataset, report.Unknown)
		}
		found.add(report)
	}
	result := found.result()
	if found.datasets == 0 {
		result.Message = fmt.Sprintf("source %s and the warehouse are equal: %d records of %d datasets", r.Source, found.records, len(r.Datasets))
		if found.repaired > 0 {
			result.Message += fmt.Sprintf(", %d of them repaired", found.repaired)
		}
		return result, nil
	}
	err := fmt.Errorf("%w: %s", ErrDiffers, found.differences())
	if r.Repair {
		return result, fmt.Errorf("%w are left after the repair; look at shire reconcile %s", err, r.Source)
	}
	// Comparing again would find the same: differences count only when they stay.
	return result, fmt.Errorf("%w; have the source say it again: shire reconcile %s --repair: %w", err, r.Source, jobs.ErrPermanent)
}

// tally is what all reports come to.
type tally struct {
	records                                                     uint64
	missing, extra, stale, lost, unexamined, repaired, datasets int // datasets: those that differ
}

func (t *tally) add(r *reconcile.Report) {
	t.records += r.Records
	t.missing += r.Missing
	t.extra += r.Extra
	t.stale += r.Stale
	t.lost += r.Lost
	t.unexamined += r.Unexamined
	if !r.Equal {
		t.datasets++
	}
}

func (t *tally) differences() string {
	text := fmt.Sprintf("%d records missing, %d extra, %d stale, %d refused and not in quarantine", t.missing, t.extra, t.stale, t.lost)
	if t.unexamined > 0 {
		text += fmt.Sprintf(", and %d key ranges not looked into", t.unexamined)
	}
	return text
}

func (t *tally) result() jobs.Result {
	return jobs.Result{Counts: map[string]uint64{"records": t.records, "missing": uint64(t.missing), "extra": uint64(t.extra), "stale": uint64(t.stale),
		"lost": uint64(t.lost), "unexamined": uint64(t.unexamined), "repaired": uint64(t.repaired)}}
}
