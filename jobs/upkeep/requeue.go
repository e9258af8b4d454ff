package upkeep

import (
	"context"
	"fmt"
	"io"

	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/pipeline/warehouse"
)

// RetryQuarantine sends what waits in quarantine through the flow again, after a contract was mended.
type RetryQuarantine struct {
	Filter warehouse.Filter // of what waits
	// List lists what waits, in the order of dataset and version.
	List func(ctx context.Context, f warehouse.Filter) ([]warehouse.Waiting, error)
	// Send sends rows through the flow again and returns the sequence behind which that is settled.
	Send func(ctx context.Context, rows []warehouse.Waiting) (sequence uint64, err error)
	// Loaded returns when everything up to a sequence is in the warehouse.
	Loaded func(ctx context.Context, sequence uint64) error
}

var _ jobs.Worker = (*RetryQuarantine)(nil)

// rowsAtOnce bounds how many rows of the quarantine are held in memory (I10).
const rowsAtOnce = 10_000

// Do sends every row once, also those that will be refused again: whether a contract accepts them is for the flow to say.
func (r *RetryQuarantine) Do(ctx context.Context, _ jobs.Task, output io.Writer) (jobs.Result, error) {
	var sent, left uint64
	result := func() jobs.Result {
		return jobs.Result{Counts: map[string]uint64{"rows": sent, "waiting": left}}
	}
	f := r.Filter
	f.State, f.Limit = "waiting", rowsAtOnce
	for {
		rows, err := r.List(ctx, f)
		if err != nil {
			return result(), err
		}
		if len(rows) == 0 {
			break
		}
		last := rows[len(rows)-1]
		f.AfterDataset, f.AfterVersion = last.Dataset, last.Version
		sequence, err := r.Send(ctx, rows)
		if err == nil {
			err = r.Loaded(ctx, sequence)
		}
		if err != nil {
			return result(), fmt.Errorf("after %d rows: %w", sent, err)
		}
		sent += uint64(len(rows))
		still, err := r.stillWaiting(ctx, rows)
		if err != nil {
			return result(), err
		}
		left += still
		fmt.Fprintf(output, "%d rows were sent again, %d of them are refused still\n", sent, left)
	}
	out := result()
	switch {
	case sent == 0:
		out.Message = "nothing waits that this job is about"
	case left == 0:
		out.Message = fmt.Sprintf("%d rows were sent again and accepted", sent)
	default:
		out.Message = fmt.Sprintf("%d rows were sent again; %d of them are refused still, see shire quarantine list", sent, left)
	}
	return out, nil
}

// stillWaiting counts those of the rows that are refused still.
func (r *RetryQuarantine) stillWaiting(ctx context.Context, rows []warehouse.Waiting) (left uint64, err error) {
	type place struct {
		dataset string
		version uint64
	}
	sent := make(map[place]bool, len(rows))
	for _, row := range rows {
		sent[place{row.Dataset, row.Version}] = true
	}
	f := r.Filter
	f.State, f.Limit = "waiting", rowsAtOnce
	first := rows[0]
	f.AfterDataset, f.AfterVersion = first.Dataset, first.Version-1
	for len(sent) > 0 {
		now, err := r.List(ctx, f)
		if err != nil || len(now) == 0 {
			return left, err
		}
		for _, row := range now {
			if p := (place{row.Dataset, row.Version}); sent[p] {
				delete(sent, p)
				left++
			}
		}
		last, end := now[len(now)-1], rows[len(rows)-1]
		if last.Dataset > end.Dataset || last.Dataset == end.Dataset && last.Version >= end.Version {
			return left, nil
		}
		f.AfterDataset, f.AfterVersion = last.Dataset, last.Version
	}
	return left, nil
}
