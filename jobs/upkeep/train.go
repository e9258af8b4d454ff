package upkeep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/pipeline/identity"
	"github.com/shirecounty/shire/pipeline/identity/batch"
	"github.com/shirecounty/shire/pipeline/identity/partition"
	schema "github.com/shirecounty/shire/schemas/identity"
)

// Train estimates the model in use anew from the county's own records, writes it to a file, and tells what it would change.
// It never chooses it: a person does, with shire identity use.
type Train struct {
	About string // identity.Person or identity.Organisation
	Seed  uint64 // the same seed and records give the same model
	Dir   string // where trained models are put
	// Model is the model in use.
	Model func() (*schema.Model, error)
	Learn func(ctx context.Context, m *schema.Model, seed uint64, progress batch.Progress) (*schema.Model, batch.Report, error)
	// Try tells what a model would change, beside the flow and without touching it.
	Try func(ctx context.Context, m *schema.Model) (*partition.Effect, error)
}

var _ jobs.Worker = (*Train)(nil)

// Do trains, writes, and tries.
func (j *Train) Do(ctx context.Context, _ jobs.Task, output io.Writer) (jobs.Result, error) {
	used, err := j.Model()
	if err != nil {
		return jobs.Result{}, err
	}
	stage := ""
	trained, report, err := j.Learn(ctx, used, j.Seed, func(s string, done, total int) {
		if s != stage {
			stage = s
			fmt.Fprintln(output, s)
		}
	})
	if errors.Is(err, identity.ErrTooFew) {
		return jobs.Result{}, fmt.Errorf("%w: %w", err, jobs.ErrPermanent)
	}
	if err != nil {
		return jobs.Result{}, err
	}
	file, err := j.write(trained)
	if err != nil {
		return jobs.Result{}, err
	}
	weak := 0
	for _, p := range report.Parameters {
		if p.Weak {
			weak++
		}
	}
	fmt.Fprintf(output, "%s, version %d, learned from %d records and %d candidate pairs; %d of %d levels rest on too few pairs\n",
		trained.Name, trained.Version, report.Records, report.Candidates, weak, len(report.Parameters))
	if !report.Converged {
		fmt.Fprintln(output, "its estimates had not settled: give it more records, or simpler comparisons")
	}
	effect, err := j.Try(ctx, trained)
	if err != nil {
		return jobs.Result{}, fmt.Errorf("the model is in %s and could not be tried: %w", file, err)
	}
	fmt.Fprintf(output, "%d %ss would be %d; %d pairs that wait for a person would be %d\n", effect.PartiesBefore, effect.About, effect.PartiesAfter, effect.OpenBefore, effect.OpenAfter)
	return jobs.Result{
		Message: fmt.Sprintf("%s is trained; chosen, it would merge %d and split %d %ss and rename %d records. It is not in use: shire identity use %s --as NAME",
			effect.Model, effect.Merges, effect.Splits, effect.About, effect.Renamed, file),
		Counts: map[string]uint64{"records": uint64(effect.Records), "merges": uint64(effect.Merges), "splits": uint64(effect.Splits),
			"renamed": uint64(effect.Renamed), "weak_levels": uint64(weak)},
	}, nil
}

// write puts the model into its file, whole or not at all. A model knows how frequent names are, so the file is its owner's.
func (j *Train) write(m *schema.Model) (string, error) {
	text, err := m.Text()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(j.Dir, 0o700); err != nil {
		return "", fmt.Errorf("the folder of trained models cannot be made: %w", err)
	}
	file := filepath.Join(j.Dir, fmt.Sprintf("%s-%d.yaml", m.Name, m.Version))
	if err := replace(file, text); err != nil {
		return "", fmt.Errorf("the trained model cannot be written: %w", err)
	}
	return file, nil
}

// replace writes a file whole or not at all.
func replace(file string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // when it was not renamed
	if _, err = f.Write(text); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}
