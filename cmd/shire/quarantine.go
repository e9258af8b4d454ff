package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/change"
)

func (a *app) quarantineCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "quarantine", Short: "Rows that a contract refused: list them, show one, retry or drop them", Args: cobra.ArbitraryArgs, RunE: group}
	cmd.AddCommand(a.quarantineList(), a.quarantineShow(), a.quarantineRetry(), a.quarantineDrop())
	return cmd
}

func filterFlags(cmd *cobra.Command, f *warehouse.Filter) {
	cmd.Flags().StringVar(&f.Dataset, "dataset", "", "of this dataset")
	cmd.Flags().StringVar(&f.Department, "owner", "", "of this department or owner")
	cmd.Flags().StringVar(&f.Code, "reason", "", "refused for this reason code")
}

func (a *app) quarantineList() *cobra.Command {
	var f warehouse.Filter
	cmd := &cobra.Command{
		Use: "list", Short: "List what waits, by owner and reason", Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withWarehouse(cmd.Context(), func(ctx context.Context, _ *setup, e *engines) error {
				rows, err := listAs(ctx, e, f)
				if err != nil {
					return err
				}
				a.result = rows
				if a.json {
					return nil
				}
				w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
				fmt.Fprintln(w, "DATASET\tVERSION\tOWNER\tFILE\tLINE\tREASON\tMESSAGE")
				for _, r := range rows {
					fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%d\t%s\t%s\n", r.Dataset, r.Version, r.OwnerEn, r.Unit, r.Row, r.Code, r.Message)
				}
				return w.Flush()
			})
		},
	}
	filterFlags(cmd, &f)
	cmd.Flags().StringVar(&f.State, "state", "waiting", "waiting, released or dropped")
	cmd.Flags().IntVar(&f.Limit, "limit", 100, "at most this many; 0 for all")
	return cmd
}

func listAs(ctx context.Context, e *engines, f warehouse.Filter) ([]warehouse.Waiting, error) {
	conn, err := warehouse.Open(e.analyst)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return warehouse.ListQuarantine(ctx, conn, f)
}

func (a *app) quarantineShow() *cobra.Command {
	return &cobra.Command{
		Use: "show DATASET VERSION", Short: "Show one row as its source wrote it (personal data: mind who looks)", Args: exactly(2, "a dataset and a version, as quarantine list prints them"),
		RunE: func(cmd *cobra.Command, args []string) error {
			version, err := strconv.ParseUint(args[1], 10, 64)
			if err != nil {
				return inputf("%q is not a version; copy it from shire quarantine list", args[1])
			}
			return a.withWarehouse(cmd.Context(), func(ctx context.Context, s *setup, e *engines) error {
				rows, err := listAs(ctx, e, warehouse.Filter{Dataset: args[0], Version: version})
				if err != nil {
					return err
				}
				if len(rows) == 0 {
					return inputf("no row of dataset %s with version %d waits", args[0], version)
				}
				return a.showRow(ctx, s, e, rows[0])
			})
		},
	}
}

type shownRow struct {
	warehouse.Waiting
	Operation string            `json:"operation"`
	Values    map[string]string `json:"values,omitempty"`
	Raw       string            `json:"raw,omitempty"`
}

func (a *app) showRow(ctx context.Context, s *setup, e *engines, r warehouse.Waiting) error {
	b, err := openBus(ctx, s, e)
	if err != nil {
		return err
	}
	c, columns, err := pipeline.Original(ctx, b, r)
	if err != nil {
		return err
	}
	shown := shownRow{Waiting: r, Operation: c.Op.String(), Raw: c.Raw, Values: map[string]string{}}
	a.say("%s, %s line %d: %s", r.Dataset, r.Unit, r.Row, r.Message)
	for i, name := range columns {
		if i < len(c.Values) && !c.Null[i] {
			shown.Values[name] = c.Values[i]
			a.say("  %s: %s", name, c.Values[i])
		}
	}
	if c.Op == change.Malformed {
		a.say("  %s", c.Raw)
	}
	a.result = shown
	return nil
}

func (a *app) quarantineRetry() *cobra.Command {
	var f warehouse.Filter
	cmd := &cobra.Command{
		Use: "retry", Short: "Send what waits through the flow again, after the contract was mended", Args: exactly(0, "no arguments; choose rows by flags"),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.requeue(cmd.Context(), f, "") },
	}
	filterFlags(cmd, &f)
	return cmd
}

func (a *app) quarantineDrop() *cobra.Command {
	var f warehouse.Filter
	var because string
	cmd := &cobra.Command{
		Use: "drop", Short: "Give rows up, with a reason that is kept", Args: exactly(0, "no arguments; choose rows by flags"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if because == "" {
				return inputf("say why, with --because: the reason is kept")
			}
			return a.requeue(cmd.Context(), f, because)
		},
	}
	filterFlags(cmd, &f)
	cmd.Flags().StringVar(&because, "because", "", "why they are given up")
	return cmd
}

type requeued struct {
	Rows     int    `json:"rows"`
	Waiting  int    `json:"waiting"` // that were refused again
	Sequence uint64 `json:"sequence"`
}

// requeue publishes the chosen rows to the bus again; the running node's flow, or one started here, takes them in.
func (a *app) requeue(ctx context.Context, f warehouse.Filter, drop string) error {
	s, err := a.readSetup()
	if err != nil {
		return err
	}
	e, err := a.start(ctx, s, nil)
	running := errors.Is(err, embedded.ErrLocked)
	if running {
		e, _, err = a.attach(s)
	}
	if err != nil {
		return err
	}
	defer e.stop()
	rows, err := listAs(ctx, e, f)
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		a.result = requeued{}
		a.say("nothing that waits fits")
		return nil
	}
	b, err := openBus(ctx, s, e)
	if err != nil {
		return err
	}
	last, err := pipeline.Requeue(ctx, b, rows, drop)
	if err != nil {
		return err
	}
	if running {
		err = waitLoaded(ctx, b, last)
	} else {
		err = a.drainHere(ctx, s, e, last)
	}
	if err != nil {
		return err
	}
	left, err := listAs(ctx, e, f)
	if err != nil {
		return err
	}
	a.result = requeued{Rows: len(rows), Waiting: len(left), Sequence: last}
	if drop != "" {
		a.say("%d rows were dropped", len(rows))
		return nil
	}
	a.say("%d rows were sent through the flow again, %d wait still", len(rows), len(left))
	return nil
}

// drainHere runs the flow in this process until a sequence is loaded, or waits for the process that serves the county.
func (a *app) drainHere(ctx context.Context, s *setup, e *engines, sequence uint64) error {
	err := a.withFlow(ctx, s, e, func(ctx context.Context, n *node) error { return n.flow.Drain(ctx, sequence) })
	if held := (&bus.HeldError{}); !errors.As(err, &held) {
		return err
	}
	b, err := openBus(ctx, s, e)
	if err != nil {
		return err
	}
	return waitLoaded(ctx, b, sequence)
}

// withFlow runs the flow in this process while fn runs.
func (a *app) withFlow(ctx context.Context, s *setup, e *engines, fn func(context.Context, *node) error) error {
	lease, err := a.takeCounty(ctx, s, e)
	if err != nil {
		return err
	}
	defer lease.Release()
	ctx, cancel := lease.During(ctx)
	defer cancel()
	n, err := a.assemble(ctx, s, e)
	if err != nil {
		return err
	}
	defer n.close()
	if err := n.writeViews(ctx); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- n.flow.Run(ctx) }()
	err = fn(ctx, n)
	cancel()
	<-ended
	return err
}
