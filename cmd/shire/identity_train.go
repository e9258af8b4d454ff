package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/shirecounty/shire/pipeline/identity"
	"github.com/shirecounty/shire/pipeline/identity/batch"
	"github.com/shirecounty/shire/pipeline/identity/evaluate"
	schema "github.com/shirecounty/shire/schemas/identity"
)

func (a *app) identityTrain() *cobra.Command {
	var f fileFlags
	var out, about string
	cmd := &cobra.Command{
		Use:   "train [FILE] [--model FILE] -o FILE",
		Short: "Estimate a model's parameters from a file of records, or from the county's own, without labels",
		Long: "Estimate a model's parameters without labels: from a file of records, or without one from the county's own records as\n" +
			"they stand now, beside what a running node does. Without --model it is the one in use, as its next version.",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return inputf("%s takes one file of records, or none for the county's own; see %s --help", cmd.CommandPath(), cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if out == "" {
				return inputf("name the file for the trained model, with -o")
			}
			if len(args) == 0 {
				if f.mapped != nil {
					return inputf("--map is for a file; the county's own records have the columns that the model in use reads")
				}
				if err := provenAbout(about); err != nil {
					return err
				}
				return a.trainOnOwn(cmd.Context(), f, about, out)
			}
			return a.trainOnFile(cmd.Context(), f, args[0], out)
		},
	}
	f.add(cmd)
	cmd.Flags().Lookup("model").Usage = "the model's file; required with FILE"
	cmd.Flags().StringVarP(&out, "output", "o", "", "file to write the trained model to (required)")
	aboutFlag(cmd, &about, identity.Person)
	return cmd
}

func (a *app) trainOnFile(ctx context.Context, f fileFlags, file, out string) error {
	s, layout, err := f.open()
	if err != nil {
		return err
	}
	roomForFiles()
	bars := &stages{a: a}
	trained, report, err := evaluate.Train(ctx, s, file, layout, f.seed, bars.told)
	bars.done()
	if err != nil {
		return err
	}
	return a.writeTrained(trained, report, out)
}

func (a *app) trainOnOwn(ctx context.Context, f fileFlags, about, out string) error {
	return a.withIdentities(func(m *identity.Matching) (err error) {
		var s *schema.Model
		if f.model != "" {
			s, err = schema.Load(f.model)
		} else {
			s, err = m.InUse(about)
		}
		if err != nil {
			return err
		}
		roomForFiles()
		bars := &stages{a: a}
		trained, report, err := m.Train(ctx, s, f.seed, bars.told)
		bars.done()
		if errors.Is(err, identity.ErrTooFew) {
			return inputf("%v; load something first: shire load", err)
		}
		if err != nil {
			return err
		}
		return a.writeTrained(trained, report, out)
	})
}

func (a *app) writeTrained(trained *schema.Model, report batch.Report, out string) error {
	text, err := trained.Text()
	if err != nil {
		return err
	}
	if err := os.WriteFile(out, text, 0o644); err != nil {
		return unwritable(err)
	}
	t := trainedModel{Model: trained.Name, Version: trained.Version, Output: out, Prior: trained.Parameters.Prior, Report: report}
	a.result = t
	return a.sayTrained(t)
}

type trainedModel struct {
	Model   string  `json:"model"`
	Version int     `json:"version"`
	Output  string  `json:"output"`
	Prior   float64 `json:"prior"` // that two records at random are about one party
	batch.Report
}

func (a *app) sayTrained(t trainedModel) error {
	if a.json {
		return nil
	}
	a.say("%s, version %d, is trained and written to %s", t.Model, t.Version, t.Output)
	a.say("%d records, %d candidate pairs, about %.0f of them one party; %d random pairs", t.Records, t.Candidates, t.Matches, t.Random)
	if !t.Converged {
		a.say("The estimates had not settled after %d rounds: give it more records, or simpler comparisons.", t.Iterations-1)
	}
	a.say("")
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "COMPARISON\tLEVEL\tM\tU\tBITS\tMATCHING PAIRS\t")
	weak, last := 0, ""
	for _, p := range t.Parameters {
		name, mark := p.Comparison, ""
		if name == last {
			name = ""
		}
		last = p.Comparison
		if p.Weak {
			mark, weak = "weak", weak+1
		}
		fmt.Fprintf(w, "%s\t%s\t%.5f\t%.7f\t%+.1f\t%.0f\t%s\n", name, p.Level, p.M, p.U, p.Bits, p.Support, mark)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(t.Reliability) > 0 {
		fmt.Fprintln(w, "\nCOMPARISON\tSOURCE\tRELIABILITY\tMATCHING PAIRS\t")
		last = ""
	}
	for _, r := range t.Reliability {
		name, mark := r.Comparison, ""
		if name == last {
			name = ""
		}
		last = r.Comparison
		if r.Weak {
			mark = "weak"
		}
		fmt.Fprintf(w, "%s\t%s\t%.5f\t%.0f\t%s\n", name, r.Source, r.Reliability, r.Support, mark)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if weak > 0 {
		a.say("\n%d of %d levels rest on too few matching pairs to rely on their m. Their weights count little if such pairs are rare.", weak, len(t.Parameters))
	}
	return nil
}
