package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/warehouse"
)

type replayRequest struct{ source, dataset, from, to string }

func (a *app) replayCommand() *cobra.Command {
	var r replayRequest
	cmd := &cobra.Command{
		Use:   "replay",
		Short: "Send a stretch of a source's changes through the flow again, from the bus",
		Long: "Send a stretch of a source's changes through the flow again, as they stand on the bus: after a contract was mended, or\n" +
			"when the warehouse has lost rows. Every change keeps its version, so nothing stands twice and nothing newer is\n" +
			"overtaken. A place is a sequence of the bus, or a time (when the change reached the county).",
		Example: "  shire replay --source registry --from 2026-03-01 --to \"2026-03-02 12:00\"\n  shire replay --source registry --dataset residents --from 1",
		Args:    exactly(0, "no arguments; say --source and --from"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if r.source == "" || r.from == "" {
				return inputf("say which source, with --source, and from where, with --from")
			}
			return a.replay(cmd.Context(), r)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&r.source, "source", "", "of this source")
	flags.StringVar(&r.dataset, "dataset", "", "this dataset of the source only")
	flags.StringVar(&r.from, "from", "", "first place: a sequence or a time")
	flags.StringVar(&r.to, "to", "", "last place, included: a sequence or a time (default: the present end)")
	return cmd
}

// place is a sequence of the bus, or a time in the county's zone; a time without its time of day is the day's beginning.
type place struct {
	sequence uint64
	at       time.Time
}

func parsePlace(text string, zone *time.Location) (place, error) {
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		if n == 0 {
			return place{}, inputf("the bus begins with message 1")
		}
		return place{sequence: n}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, zone); err == nil {
			return place{at: t}, nil
		}
	}
	return place{}, inputf("%q is neither a sequence nor a time; write 1234, 2026-03-02, \"2026-03-02 12:00\" or 2026-03-02T12:00:00+08:00", text)
}

// stretch is the sequences between two places, both included.
func stretch(ctx context.Context, b *bus.Bus, source string, from, to place, zone *time.Location) (first, last uint64, err error) {
	kept, err := b.Kept(ctx)
	if err != nil {
		return 0, 0, err
	}
	if kept.Expired() && (from.sequence != 0 && from.sequence < kept.First || from.sequence == 0 && from.at.Before(kept.Since)) {
		since := "it is empty"
		if !kept.Since.IsZero() {
			since = "it begins with message " + strconv.FormatUint(kept.First, 10) + ", of " + kept.Since.In(zone).Format(time.DateTime)
		}
		return 0, 0, inputf("the bus no longer keeps changes from so far back: %s; what is older the source itself has to say again: shire reconcile %s --repair", since, source)
	}
	if first = from.sequence; first == 0 {
		if first, err = b.SequenceAt(ctx, from.at); err != nil {
			return 0, 0, err
		}
	}
	switch {
	case to.sequence != 0:
		last = min(to.sequence, kept.Last)
	case !to.at.IsZero():
		after, err := b.SequenceAt(ctx, to.at.Add(time.Nanosecond))
		if err != nil {
			return 0, 0, err
		}
		last = after - 1
	default:
		last = kept.Last
	}
	if to != (place{}) && to.sequence != 0 && to.sequence < first || !to.at.IsZero() && !from.at.IsZero() && to.at.Before(from.at) {
		return 0, 0, inputf("the stretch ends before it begins; exchange --from and --to")
	}
	return first, last, nil
}

type replayed struct {
	From     uint64                       `json:"from"`
	To       uint64                       `json:"to"`
	Datasets map[string]pipeline.Replayed `json:"datasets"`
	Waiting  int                          `json:"waiting"` // rows of these datasets that wait in quarantine afterwards
}

func (a *app) replay(ctx context.Context, r replayRequest) error {
	s, err := a.readSetup()
	if err != nil {
		return err
	}
	datasets, err := datasetsOf(s, r.source, r.dataset)
	if err != nil {
		return err
	}
	from, err := parsePlace(r.from, s.zone)
	if err != nil {
		return err
	}
	var to place
	if r.to != "" {
		if to, err = parsePlace(r.to, s.zone); err != nil {
			return err
		}
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
	b, err := openBus(ctx, s, e)
	if err != nil {
		return err
	}
	done := replayed{Datasets: map[string]pipeline.Replayed{}}
	if done.From, done.To, err = stretch(ctx, b, r.source, from, to, s.zone); err != nil {
		return err
	}
	var last uint64
	changes := 0
	for _, d := range datasets {
		held, err := listHeld(ctx, e, d)
		if err != nil {
			return err
		}
		p := pipeline.Replay{Bus: b, Department: s.contracts[d].Department, Dataset: d, From: done.From, To: done.To, Held: held}
		sent, err := p.Run(ctx)
		if err != nil {
			return fmt.Errorf("dataset %s: %w", d, err)
		}
		done.Datasets[d] = sent
		last, changes = max(last, sent.Sequence), changes+sent.Changes
	}
	if last > 0 {
		if running {
			err = waitLoaded(ctx, b, last)
		} else {
			err = a.drainHere(ctx, s, e, last)
		}
		if err != nil {
			return err
		}
	}
	for _, d := range datasets {
		rows, err := listAs(ctx, e, warehouse.Filter{Dataset: d})
		if err != nil {
			return err
		}
		done.Waiting += len(rows)
	}
	a.result = done
	if changes == 0 {
		a.say("source %s has no changes between messages %d and %d", r.source, done.From, done.To)
		return nil
	}
	for _, d := range datasets {
		if sent := done.Datasets[d]; sent.Messages > 0 {
			a.say("%s: %d changes of %d messages went through the flow again; %d that were given up did not", d, sent.Changes, sent.Messages, sent.Dropped)
		}
	}
	if done.Waiting > 0 {
		a.say("%d rows wait in quarantine: shire quarantine list", done.Waiting)
	}
	return nil
}

// listHeld are the rows of a dataset that wait, and those that a person gave up.
func listHeld(ctx context.Context, e *engines, dataset string) ([]warehouse.Waiting, error) {
	waiting, err := listAs(ctx, e, warehouse.Filter{Dataset: dataset})
	if err != nil {
		return nil, err
	}
	dropped, err := listAs(ctx, e, warehouse.Filter{Dataset: dataset, State: "dropped"})
	return append(waiting, dropped...), err
}
