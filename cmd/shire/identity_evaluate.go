package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/shirecounty/shire/pipeline/identity/evaluate"
)

func (a *app) identityEvaluate() *cobra.Command {
	var (
		f         fileFlags
		o         evaluate.Options
		truth, id string
	)
	cmd := &cobra.Command{
		Use:   "evaluate FILE --truth COLUMN --model FILE",
		Short: "Tell how well a model finds out who is who in a file that knows",
		Args:  exactly(1, "one labelled file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if truth == "" {
				return inputf("name the column that says who is who, with --truth")
			}
			if o.Draws < 0 || o.Errors < 0 {
				return inputf("--draws and --errors are not negative")
			}
			s, layout, err := f.open()
			if err != nil {
				return err
			}
			layout.Truth, layout.ID, o.Seed = truth, id, f.seed
			roomForFiles()
			bars := &stages{a: a}
			e, err := evaluate.Run(cmd.Context(), s, args[0], layout, o, bars.told)
			bars.done()
			if err != nil {
				return err
			}
			a.result = e
			return a.sayEvaluation(e)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&truth, "truth", "", "column that says who is who (required)")
	cmd.Flags().StringVar(&id, "id", "", "column that names the records where --errors lists them; else they are numbered")
	cmd.Flags().IntVar(&o.Draws, "draws", 1000, "resamples of the true entities for the 95% intervals; 0 for none")
	cmd.Flags().IntVar(&o.Errors, "errors", 0, "list so many false pairs, and as many that were missed")
	return cmd
}

func (a *app) sayEvaluation(e *evaluate.Evaluation) error {
	if a.json {
		return nil
	}
	q, i := e.Quality, e.Intervals
	if i == nil {
		i = &evaluate.Intervals{}
	}
	if e.Trained != nil {
		a.say("The model has no parameters: they were estimated from the file, without its labels.")
	}
	if len(e.Absent) > 0 {
		a.say("The file does not have %s.", strings.Join(e.Absent, ", "))
	}
	a.say("%s, by the model %s", e.File, e.Model)
	a.say("%d records of %d entities found to be %d; %d true pairs; %d candidate pairs\n", q.Records, q.Entities, q.Clusters, e.Pairs, e.Candidates)

	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	row := func(what string, value float64, in *evaluate.Interval, form string) {
		fmt.Fprintf(w, "%s\t"+form, what, value)
		if in != nil && e.Intervals != nil {
			fmt.Fprintf(w, "\t"+form+" to "+form, in.Low, in.High)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w, "QUALITY\t\t95% INTERVAL")
	row("pair precision", q.Precision, &i.Precision, "%.5f")
	row("pair recall", q.Recall, &i.Recall, "%.5f")
	row("pair F1", q.F1, &i.F1, "%.5f")
	row("B-cubed precision", q.BCubedPrecision, &i.BCubedPrecision, "%.5f")
	row("B-cubed recall", q.BCubedRecall, &i.BCubedRecall, "%.5f")
	row("B-cubed F1", q.BCubed, &i.BCubed, "%.5f")
	row("cluster F1", q.ClusterF1, nil, "%.5f")
	row("false pairs per million records", q.FalsePerMillion, &i.FalsePerMillion, "%.1f")
	fmt.Fprintf(w, "false pairs\t%d\nmissed pairs\t%d\n", q.FalsePairs, q.MissedPairs)

	c := e.Calibration
	fmt.Fprintf(w, "\nCALIBRATION\tPAIRS\tPREDICTED\tOBSERVED\n")
	for _, b := range c.Bins {
		fmt.Fprintf(w, "%.1f to %.1f\t%d\t%.4f\t%.4f\n", b.From, b.To, b.Pairs, b.Predicted, b.Observed)
	}
	fmt.Fprintf(w, "Brier score\t%.5f\nmean error\t%.5f\n", c.Brier, c.Error)

	s := e.Seconds
	fmt.Fprintf(w, "\nCOST\t\nread\t%.2f s\nprepare\t%.2f s\nblock\t%.2f s\ntrain\t%.2f s\ncompare\t%.2f s\ncluster\t%.2f s\n", s.Read, s.Prepare, s.Block, s.Train, s.Compare, s.Cluster)
	fmt.Fprintf(w, "records per second, once read\t%.0f\n", e.RecordsPerSecond)
	fmt.Fprintf(w, "one record against all others\t%.3f ms median, %.3f ms p99 of %d\n", e.Single.P50, e.Single.P99, e.Single.Sample)
	if e.PeakMemory > 0 {
		fmt.Fprintf(w, "peak memory\t%d MiB\n", e.PeakMemory>>20)
	}
	fmt.Fprintf(w, "ids changed when 1%% came last\t%d of %d records\n", e.Late.Renamed, e.Records-e.Late.Records)
	if len(e.Errors) > 0 {
		fmt.Fprintf(w, "\nERRORS\tRECORD\tRECORD\tREASON\tBITS\n")
		for _, x := range e.Errors {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%+.1f\n", x.Kind, x.A, x.B, strings.ReplaceAll(string(x.Reason), "_", " "), float64(x.Weighed.Weight)/1000)
		}
	}
	return w.Flush()
}
