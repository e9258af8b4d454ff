package reconcile

import (
	"context"
	"slices"
	"time"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/pipeline/ingest"
	"github.com/shirecounty/shire/pipeline/normalise"
	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// source is the one side: what the department's system holds, made into the county's records as the flow makes them.
type source struct {
	surveyor connectors.Surveyor
	plan     *normalise.Plan
	hash     hasher
}

// visit is told what the records of the source become. Keys are valid during the call only.
type visit struct {
	row     func(t *canonical.Table, id pseudonym.ID, hash uint64, key string)
	refused func(key string) // by the contract
}

// A few records are normalised at once (I10).
const (
	batchRows  = 1000
	batchBytes = 1 << 20
)

// read surveys the source, or of it the records with the given keys, and returns how many records there are.
func (s *source) read(ctx context.Context, keys []string, v visit) (records uint64, err error) {
	d := s.plan.Contract()
	var b *change.Builder
	defer func() {
		if b != nil {
			b.Release()
		}
	}()
	flush := func() {
		if b != nil && b.Rows() > 0 {
			batch := b.Build()
			s.normalise(batch, v)
			batch.Record.Release()
		}
	}
	err = s.surveyor.Survey(ctx, d.Name, keys, func(columns []string, c change.Change) error {
		records++
		if ingest.Oversize(c) { // no message can hold it, so that it went to quarantine
			v.refused(c.Key)
			return ctx.Err()
		}
		if b != nil && !slices.Equal(columns, b.Columns()) {
			flush()
			b.Release()
			b = nil
		}
		if b == nil {
			b = change.NewBuilder("", d.Department, d.Name, "", slices.Clone(columns))
		}
		if c.Op != change.Malformed {
			c.Op = change.Snapshot
		}
		b.Append(c)
		if b.Rows() >= batchRows || b.Bytes() >= batchBytes {
			flush()
		}
		return ctx.Err()
	})
	if err != nil {
		return records, err
	}
	flush()
	return records, nil
}

func (s *source) normalise(batch *change.Batch, v visit) {
	result := s.plan.Apply(batch, 0, time.Now())
	for _, r := range result.Rejected {
		v.refused(batch.Key(r.Row))
	}
	for _, r := range result.Tables {
		for _, i := range r.Source {
			if !r.Deleted[i] {
				v.row(r.Table, r.RecordID[i], s.hash.row(r, i), batch.Key(int(i)))
			}
		}
	}
}
