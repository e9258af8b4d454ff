package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/ingest"
	"github.com/shirecounty/shire/pipeline/normalise"
	"github.com/shirecounty/shire/pipeline/reconcile"
	"github.com/shirecounty/shire/schemas/document"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// reconcileRequest says what is to be compared.
type reconcileRequest struct {
	Source  string `json:"source"`
	Dataset string `json:"dataset,omitempty"` // all of the source when empty
	Repair  bool   `json:"repair,omitempty"`
}

func (a *app) reconcileCommand() *cobra.Command {
	var r reconcileRequest
	cmd := &cobra.Command{
		Use:   "reconcile SOURCE",
		Short: "Compare a source with the warehouse, record by record where they differ, and repair",
		Long: "Compare what a source holds now with what the warehouse holds of it, by count and hash per key range, and record by\n" +
			"record where they differ. It takes no lock; changes on their way do not count. With --repair the source says again\n" +
			"what differs. The exit code is 1 when differences remain.",
		Args: exactly(1, "the name of a source"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Source = args[0]
			return a.reconcile(cmd.Context(), r)
		},
	}
	cmd.Flags().StringVar(&r.Dataset, "dataset", "", "this dataset of the source only")
	cmd.Flags().BoolVar(&r.Repair, "repair", false, "have the source say again what differs")
	return cmd
}

// datasetsOf are the datasets of a source, or the one that was asked for.
func datasetsOf(s *setup, source, dataset string) ([]string, error) {
	if err := knownSources(s, []string{source}); err != nil {
		return nil, err
	}
	for _, src := range s.config.Sources {
		if src.Name != source {
			continue
		}
		if dataset == "" {
			return src.Datasets, nil
		}
		if !slices.Contains(src.Datasets, dataset) {
			return nil, inputf("source %s has no dataset %q; %s", source, dataset, document.DidYouMean(dataset, src.Datasets))
		}
	}
	return []string{dataset}, nil
}

func (a *app) reconcile(ctx context.Context, r reconcileRequest) error {
	s, err := a.readSetup()
	if err != nil {
		return err
	}
	if _, err := datasetsOf(s, r.Source, r.Dataset); err != nil {
		return err
	}
	var reports []*reconcile.Report
	e, err := a.start(ctx, s, nil)
	if errors.Is(err, embedded.ErrLocked) {
		if err := a.ask(ctx, s, askReconcile, r, &reports); err != nil {
			return err
		}
		return a.reportReconcile(r, reports)
	}
	if err != nil {
		return err
	}
	defer e.stop()
	err = a.withFlow(ctx, s, e, func(ctx context.Context, n *node) error {
		told, err := n.tellModels(ctx)
		if err == nil {
			err = n.flow.Drain(ctx, told)
		}
		if err == nil {
			reports, err = n.reconcile(ctx, r)
		}
		return err
	})
	if held := (&bus.HeldError{}); errors.As(err, &held) { // another node serves the county on the same NATS: it can say
		err = a.askOver(ctx, s, e, askReconcile, r, &reports)
	}
	if err != nil {
		return err
	}
	return a.reportReconcile(r, reports)
}

func (n *node) answerReconcile(ctx context.Context, data []byte) (any, error) {
	var r reconcileRequest
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, err
	}
	return n.reconcile(ctx, r)
}

// reconcile compares the datasets of a source, one after the other, and repairs them when asked.
func (n *node) reconcile(ctx context.Context, r reconcileRequest) ([]*reconcile.Report, error) {
	datasets, err := datasetsOf(n.setup, r.Source, r.Dataset)
	if err != nil {
		return nil, err
	}
	source := n.chosen([]string{r.Source})[0]
	surveyor, ok := source.Connector().(connectors.Surveyor)
	if !ok {
		return nil, inputf("source %s is of kind %s, which cannot be asked what it holds now; a full file (delivery: snapshot in the contract) is compared when it is loaded, and shire replay loads again what stands on the bus",
			r.Source, source.Status().Kind)
	}
	if _, resends := source.Connector().(connectors.Resender); r.Repair && !resends {
		return nil, inputf("source %s is of kind %s, which cannot say single records again; leave out --repair", r.Source, source.Status().Kind)
	}
	if !source.Followed() { // what it has to say already is no difference
		if _, err := source.Run(ctx); err != nil {
			return nil, fmt.Errorf("source %s: %w", r.Source, err)
		}
	}
	var reports []*reconcile.Report
	compare := func(ctx context.Context) error {
		for _, d := range datasets {
			report, err := n.reconcileDataset(ctx, source, surveyor, d, r.Repair)
			if err != nil {
				return err
			}
			reports = append(reports, report)
		}
		return nil
	}
	if r.Repair {
		err = source.WhileFollowed(ctx, compare)
	} else {
		err = compare(ctx)
	}
	return reports, err
}

func (n *node) reconcileDataset(ctx context.Context, source *ingest.Source, surveyor connectors.Surveyor, dataset string, repair bool) (*reconcile.Report, error) {
	hasher, err := pseudonym.New(n.engines.key)
	if err != nil {
		return nil, err
	}
	plan, err := normalise.Compile(n.contracts[dataset], hasher, n.calendar)
	if err != nil {
		return nil, err
	}
	o := reconcile.Options{
		Source: source.Name(), Dataset: n.contracts[dataset], Plan: plan, Surveyor: surveyor,
		Bus: n.bus, Warehouse: n.warehouse.Conn(), Loaded: n.flow.Drain, Sealed: n.warehouse.Sealer(),
	}
	if repair {
		o.Resend = func(ctx context.Context, keys []string) error { return source.Resend(ctx, dataset, keys) }
	}
	return reconcile.Run(ctx, o)
}

// errDiffers marks a comparison that ended with differences.
var errDiffers = errors.New("the source and the warehouse differ")

// shownDifferences is how many records the text names; --json has more.
const shownDifferences = 20

func (a *app) reportReconcile(r reconcileRequest, reports []*reconcile.Report) error {
	a.result = reports
	equal := true
	for _, report := range reports {
		equal = equal && report.Equal
		if !a.json {
			if err := a.printReconcile(report); err != nil {
				return err
			}
		}
	}
	if equal {
		return nil
	}
	if r.Repair {
		return fmt.Errorf("%w still, after the repair", errDiffers)
	}
	return fmt.Errorf("%w; have the source say it again: shire reconcile %s --repair", errDiffers, r.Source)
}

func (a *app) printReconcile(r *reconcile.Report) error {
	verdict := "equal"
	if !r.Equal {
		verdict = "different"
	}
	a.say("%s: %s; %d records in the source, %d of them refused by the contract", r.Dataset, verdict, r.Records, r.Refused)
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "  TABLE\tSOURCE\tWAREHOUSE\tRANGES THAT DIFFERED")
	for _, t := range r.Tables {
		fmt.Fprintf(w, "  %s\t%d\t%d\t%d\n", t.Table, t.Source, t.Warehouse, t.Ranges)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if r.Repaired > 0 {
		a.say("  %d rows were repaired", r.Repaired)
	}
	if r.Equal {
		return nil
	}
	a.say("  %d missing, %d extra, %d stale, %d refused but not in quarantine", r.Missing, r.Extra, r.Stale, r.Lost)
	for _, d := range r.Differences[:min(len(r.Differences), shownDifferences)] {
		a.say("  %s\t%s\t%s", d.Kind, d.Record, d.Table)
	}
	if more := r.Missing + r.Extra + r.Stale + r.Lost - shownDifferences; more > 0 {
		a.say("  and %d more", more)
	}
	if r.Unexamined > 0 {
		a.say("  %d key ranges that differ were not looked into: too much differs", r.Unexamined)
	}
	if r.Unknown > 0 {
		a.say("  of %d rows nobody knows the key in the source any more: the bus no longer keeps the changes that brought them", r.Unknown)
	}
	return nil
}
