package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/portal"
)

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "How the node is doing: lag, last load, quarantine, sources, drift, engines",
		Args:  exactly(0, "no arguments"),
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.status(cmd.Context()) },
	}
}

func (a *app) status(ctx context.Context) error {
	s, err := a.readSetup()
	if err != nil {
		return err
	}
	st, err := a.statusByRunning(ctx, s)
	if errors.Is(err, embedded.ErrNotRunning) {
		st, err = a.statusAtRest(ctx, s)
	}
	if err != nil {
		return err
	}
	a.result = st
	if a.json {
		return nil
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "state\t%s\t%s\n", st.State, st.Problem)
	fmt.Fprintf(w, "lag\t%d messages, about %d changes\t\n", st.LagMessages, st.LagRows)
	last := "none yet"
	if st.LastLoadAt != nil {
		last = st.LastLoadAt.Local().Format(time.DateTime)
	}
	fmt.Fprintf(w, "last load\t%s\t\n", last)
	fmt.Fprintf(w, "quarantine\t%d rows wait\t\n", st.Quarantined)
	for _, o := range st.ByOwner {
		fmt.Fprintf(w, "\t%d\t%s %s\n", o.Rows, o.OwnerZh, o.OwnerEn)
	}
	for _, i := range st.Identities {
		fmt.Fprintf(w, "%ss\t%d, from %d records; %d pairs wait for a reviewer\t\n", i.About, i.Parties, i.Records, i.Waiting)
	}
	if s := st.Share; s != nil {
		fmt.Fprintf(w, "records to share\t%d messages behind\t%s\n", s.LagMessages, s.Problem)
	}
	for _, src := range st.Sources {
		fmt.Fprintf(w, "source %s\t%s\t%s\n", src.Name, src.State, src.Problem)
	}
	for _, d := range st.Drift {
		fmt.Fprintf(w, "drift of %s\t%s\t%s\n", d.Dataset, d.Reaction, d.Message)
	}
	for _, e := range st.Engines {
		fmt.Fprintf(w, "engine %s\t%s\t%s\n", e.Name, e.State, e.Problem)
	}
	return w.Flush()
}

// statusAtRest starts the engines for a look at what they hold; nothing is read from a source and nothing loaded.
func (a *app) statusAtRest(ctx context.Context, s *setup) (portal.Status, error) {
	e, err := a.start(ctx, s, nil)
	if err != nil {
		return portal.Status{}, err
	}
	defer e.stop()
	n, err := a.assemble(ctx, s, e)
	if err != nil {
		return portal.Status{}, err
	}
	defer n.close()
	if err := n.writeViews(ctx); err != nil {
		return portal.Status{}, err
	}
	h := &health{node: n}
	st, err := h.Status(ctx)
	if err != nil {
		return st, err
	}
	through, err := n.bus.LoadedThrough(ctx)
	if err != nil {
		return st, err
	}
	lag, err := n.bus.Lag(ctx, through)
	if err != nil {
		return st, err
	}
	st.State, st.LagMessages, st.LagRows = portal.Stopped, lag.Messages, lag.Rows
	for i := range st.Sources {
		st.Sources[i].State = portal.Stopped
	}
	return st, nil
}
