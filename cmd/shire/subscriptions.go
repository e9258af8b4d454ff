package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/shirecounty/shire/pipeline/identity"
	"github.com/shirecounty/shire/pipeline/subscription"
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// whose answers a subscription's questions about identity.
type whose struct{ *identity.Matching }

var _ subscription.Identities = whose{}

// Of implements subscription.Identities.
func (w whose) Of(person bool, id pseudonym.ID) (pseudonym.ID, []pseudonym.ID, bool) {
	about := identity.Organisation
	if person {
		about = identity.Person
	}
	return w.Partition(about).Of(id)
}

// follow serves the county's subscriptions until ctx ends.
func (n *node) follow(ctx context.Context) error {
	if n.sharing == nil || len(n.config.Sharing.Subscriptions) == 0 {
		return nil
	}
	hasher, err := pseudonym.New(n.engines.key)
	if err != nil {
		return inputf("%v", err)
	}
	s, err := subscription.New(ctx, subscription.Options{
		County: n.config.County.Division, Replicas: n.config.Engines.NATS.Replicas, Bus: n.bus, NATS: n.engines.nc,
		Records: n.sharing.store, Identities: whose{n.identities}, Requests: n.exchange, Accesses: n.sharing.seen(n.accesses),
		Contracts: n.contracts, Hasher: hasher, Log: n.log,
	})
	if err != nil {
		return err
	}
	if err := s.Run(ctx, n.config.Sharing.Subscriptions); err != nil {
		return inputf("%s: %v", n.config.File, err)
	}
	return nil
}

func (a *app) subscriptionsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "subscriptions", Short: "Departments that are sent the changes of what they were granted", Args: cobra.ArbitraryArgs, RunE: group,
	}
	cmd.AddCommand(a.subscriptionsList(), a.subscriptionsParked(), a.subscriptionsRetry(), a.subscriptionsDrop(), a.subscriptionsCredentials())
	return cmd
}

// withBook runs fn with the state of subscriptions, whether the node runs or not.
func (a *app) withBook(ctx context.Context, fn func(context.Context, *setup, *subscription.Book) error) error {
	return a.withWarehouse(ctx, func(ctx context.Context, s *setup, e *engines) error {
		b, err := subscription.OpenBook(ctx, e.nc, s.config.County.Division, s.config.Engines.NATS.Replicas)
		if err != nil {
			return err
		}
		return fn(ctx, s, b)
	})
}

// standing is a line of shire subscriptions list.
type standing struct {
	Name       string  `json:"name"`
	Department string  `json:"department,omitempty"` // empty when county.yaml names it no more
	Dataset    string  `json:"dataset"`
	Deliver    string  `json:"deliver,omitempty"`
	Unread     *uint64 `json:"unread,omitempty"` // records in the outbox that the department has not acknowledged
	subscription.Progress
}

func (a *app) subscriptionsList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "How each subscription stands: what is parked, and why it does not get on", Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withWarehouse(cmd.Context(), a.listSubscriptions)
		},
	}
}

func (a *app) listSubscriptions(ctx context.Context, s *setup, e *engines) error {
	b, err := subscription.OpenBook(ctx, e.nc, s.config.County.Division, s.config.Engines.NATS.Replicas)
	if err != nil {
		return err
	}
	list := []standing{}
	for _, c := range s.config.Sharing.Subscriptions {
		list = append(list, standing{Name: c.Name, Department: c.Department, Dataset: c.Dataset, Deliver: c.Deliver})
	}
	known, err := b.Known(ctx)
	if err != nil {
		return err
	}
	for _, f := range known {
		if !slices.ContainsFunc(list, func(l standing) bool { return l.Name == f.Name && l.Dataset == f.Dataset }) {
			list = append(list, standing{Name: f.Name, Dataset: f.Dataset})
		}
	}
	for i := range list {
		l := &list[i]
		if l.Progress, err = b.Progress(ctx, subscription.Follows{Name: l.Name, Dataset: l.Dataset}); err != nil {
			return err
		}
		if l.Deliver == county.DeliverNATS {
			if l.Unread, err = subscription.Unread(ctx, e.nc, s.config.County.Division, l.Department, l.Name); err != nil {
				return err
			}
		}
		where := "to " + l.Department
		if l.Department == "" {
			where = "county.yaml names it no more"
		}
		if l.Unread != nil {
			where += fmt.Sprintf(" on NATS; %d unread", *l.Unread)
		}
		a.say("%s: %s, %s; %d parked, %d dropped", l.Name, l.Dataset, where, l.Parked, l.Dropped)
		switch t := l.Trouble; {
		case l.Started.IsZero():
			a.say("  it begins when shire up runs")
		case t != nil && t.Held:
			a.say("  held since %s: %s", t.Since.In(s.zone).Format(time.DateTime), t.Reason)
		case t != nil:
			a.say("  not well since %s, tried %d times: %s", t.Since.In(s.zone).Format(time.DateTime), t.Tries, t.Reason)
		}
	}
	if len(list) == 0 {
		a.say("there are no subscriptions; write them under sharing.subscriptions of %s", s.config.File)
	}
	a.result = list
	return nil
}

// followed finds a subscription by its name.
func followed(ctx context.Context, s *setup, b *subscription.Book, name string) (subscription.Follows, error) {
	names := []string{}
	for _, c := range s.config.Sharing.Subscriptions {
		if c.Name == name {
			return subscription.Follows{Name: c.Name, Dataset: c.Dataset}, nil
		}
		names = append(names, c.Name)
	}
	known, err := b.Known(ctx)
	if err != nil {
		return subscription.Follows{}, err
	}
	for _, f := range known {
		if f.Name == name {
			return f, nil
		}
	}
	return subscription.Follows{}, inputf("there is no subscription %s; there are: %s", name, strings.Join(names, ", "))
}

func (a *app) subscriptionsParked() *cobra.Command {
	return &cobra.Command{
		Use: "parked NAME", Short: "Records whose changes could not be sent, and those that were dropped", Args: exactly(1, "the subscription's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withBook(cmd.Context(), func(ctx context.Context, s *setup, b *subscription.Book) error {
				f, err := followed(ctx, s, b, args[0])
				if err != nil {
					return err
				}
				list, err := b.Parked(ctx, f)
				if err != nil {
					return err
				}
				for _, p := range list {
					a.say("%s since %s, tried %d times: %s", p.Record, p.Since.In(s.zone).Format(time.DateTime), p.Tries, p.Reason)
					if d := p.Dropped; d != nil {
						a.say("  dropped %s: %s", d.At.In(s.zone).Format(time.DateTime), d.Reason)
					}
				}
				if len(list) == 0 {
					a.say("nothing is parked")
				}
				a.result = append([]subscription.Parked{}, list...)
				return nil
			})
		},
	}
}

// recordOf reads a record's id; zero for none.
func recordOf(args []string) (id pseudonym.ID, err error) {
	if len(args) < 2 {
		return id, nil
	}
	if id, err = pseudonym.Parse(args[1]); err != nil {
		err = inputf("%q is no record: %v; shire subscriptions parked lists them", args[1], err)
	}
	return id, err
}

func (a *app) subscriptionsRetry() *cobra.Command {
	return &cobra.Command{
		Use: "retry NAME [RECORD]", Short: "Send what is parked, as it is now, and let a subscription go on that is held",
		Long: "Send what is parked, as it is now and as far as it is still granted, and let a subscription go on whose receiver had said\n" +
			"that it is gone. The running node does it, or the next one that starts.",
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := recordOf(args)
			if err != nil {
				return err
			}
			return a.withBook(cmd.Context(), func(ctx context.Context, s *setup, b *subscription.Book) error {
				f, err := followed(ctx, s, b, args[0])
				if err != nil {
					return err
				}
				if err := b.Retry(ctx, f, id, time.Now().UTC()); err != nil {
					return err
				}
				a.say("%s: it is tried again; shire subscriptions list says what came of it", f.Name)
				a.result = map[string]any{"subscription": f.Name, "dataset": f.Dataset}
				return nil
			})
		},
	}
}

func (a *app) subscriptionsDrop() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "drop NAME RECORD --reason TEXT", Short: "Give a parked record up: it is sent no more until it changes again", Args: exactly(2, "the subscription's name and the record"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.TrimSpace(reason) == "" {
				return inputf("say with --reason why the receiver need not be told; the reason is kept, so write nothing personal into it")
			}
			id, err := recordOf(args)
			if err != nil {
				return err
			}
			return a.withBook(cmd.Context(), func(ctx context.Context, s *setup, b *subscription.Book) error {
				f, err := followed(ctx, s, b, args[0])
				if err != nil {
					return err
				}
				err = b.Drop(ctx, f, id, reason, time.Now().UTC())
				if errors.Is(err, subscription.ErrNotParked) {
					return inputf("%s: %v", id, err)
				}
				if err != nil {
					return err
				}
				a.say("%s: %s is dropped", f.Name, id)
				a.result = map[string]any{"subscription": f.Name, "record": id}
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why the receiver need not be told")
	return cmd
}
