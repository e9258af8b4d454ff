package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/shirecounty/shire/pipeline/gains"
	"github.com/shirecounty/shire/pipeline/registry"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/metrics"
)

// evaluationFlags are what the flags of shire metrics evaluate say.
type evaluationFlags struct{ known, html, md, language string }

func (a *app) metricsEvaluateCommand() *cobra.Command {
	var f evaluationFlags
	cmd := &cobra.Command{
		Use:   "evaluate INTERVENTION",
		Short: "Tell whether what the county did made a figure better, by how much, and whether that is shown",
		Long: "Evaluate an intervention that county.yaml names. What is not registered yet is registered first. The result is kept: the portal, the API\n" +
			"and ops.evaluations show it, and the register says for ever that it was seen.",
		Args: exactly(1, "the name of an intervention"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.language != gains.Chinese && f.language != gains.English {
				return inputf("--language is %q; write %s or %s", f.language, gains.Chinese, gains.English)
			}
			return a.withRegister(cmd.Context(), "shire metrics evaluate", func(ctx context.Context, s *setup, r *registry.Register, figures *warehouse.Figures) error {
				return a.evaluate(ctx, s, r, figures, args[0], f)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.known, "known", "", "by what was known at the end of this day, such as 2026-11-01, or at this time")
	flags.StringVar(&f.html, "html", "", "write the report as a page into this file")
	flags.StringVar(&f.md, "md", "", "write the report as Markdown into this file, its charts beside it")
	flags.StringVar(&f.language, "language", gains.English, "of the report: "+gains.Chinese+" or "+gains.English)
	return cmd
}

// evaluation is what --json shows.
type evaluation struct {
	At     time.Time     `json:"evaluated_at"`
	Known  *time.Time    `json:"known,omitempty"`
	Hash   string        `json:"result_hash"`
	Result *gains.Result `json:"evaluation"`
}

func (a *app) evaluate(ctx context.Context, s *setup, r *registry.Register, figures *warehouse.Figures, name string, f evaluationFlags) error {
	definitions, err := s.defined(name)
	if err != nil {
		return err
	}
	var known time.Time
	if f.known != "" {
		if known, err = metrics.ParseKnown(f.known, s.zone); err != nil {
			return inputf("--known: %v", err)
		}
	}
	if _, _, err := r.Register(ctx, definitions); err != nil {
		return err
	}
	bar := a.progress("evaluating " + name)
	e, err := r.Evaluate(ctx, name, known, figures, func(rows int) { bar.set(int64(rows), int64(rows)+10_000) })
	bar.done()
	if input := (*metrics.InputError)(nil); errors.As(err, &input) {
		return inputf("%v", input)
	}
	if err != nil {
		return err
	}
	if err := writeReports(e.Result, f); err != nil {
		return err
	}
	shown := evaluation{At: e.At, Hash: e.Hash, Result: e.Result}
	if !known.IsZero() {
		shown.Known = &known
	}
	a.result = shown
	if a.json {
		return nil
	}
	return a.showEvaluation(s, e.Result, f)
}

// writeReports writes the reports that were asked for. The file is there whole or not at all.
func writeReports(r *gains.Result, f evaluationFlags) error {
	report := r.Report(f.language)
	if f.html != "" {
		page, err := report.HTML()
		if err == nil {
			err = writeReport(f.html, page)
		}
		if err != nil {
			return err
		}
	}
	if f.md != "" {
		text, charts, err := report.Markdown()
		for name, chart := range charts {
			err = cmp.Or(err, writeReport(filepath.Join(filepath.Dir(f.md), name), chart))
		}
		if err = cmp.Or(err, writeReport(f.md, text)); err != nil {
			return err
		}
	}
	return nil
}

func writeReport(path, text string) error {
	_, err := writeWhole("report", path, func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
	return err
}

// showEvaluation prints the verdict and the figures that a report begins with.
func (a *app) showEvaluation(s *setup, r *gains.Result, f evaluationFlags) error {
	report := r.Report(f.language)
	a.say("%s\n%s: %s\n%s", report.Title, map[string]string{gains.Chinese: "结论", gains.English: "Verdict"}[f.language], report.Verdict, report.Because)
	for _, note := range report.Notes {
		a.say("- %s", note)
	}
	if figures := slices.IndexFunc(report.Sections, func(s gains.Section) bool { return s.Table != nil }); figures >= 0 && r.Before != nil && r.After != nil {
		a.say("")
		w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
		for _, row := range append([][]string{report.Sections[figures].Table.Header}, report.Sections[figures].Table.Rows...) {
			for i, cell := range row {
				if i > 0 {
					fmt.Fprint(w, "\t")
				}
				fmt.Fprint(w, cell)
			}
			fmt.Fprintln(w)
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	late := ""
	if r.Late {
		late = ", after its result had been seen"
	}
	a.say("\nRegistered %s%s, SHA-256 %s. Months %s to %s, data up to %s.", r.Intervention.RegisteredAt.In(s.zone).Format("2006-01-02 15:04:05 -07:00"), late, r.Hash,
		cmp.Or(r.From, "–"), cmp.Or(r.To, "–"), cmp.Or(r.AsOf, "–"))
	for _, file := range []string{f.html, f.md} {
		if file != "" {
			a.say("The report is in %s", strconv.Quote(file))
		}
	}
	return nil
}
