package main

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/shirecounty/shire/connectors/simulate"
	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/portal/accounts"
	"github.com/shirecounty/shire/schemas/sharing"
)

// windowClerk is the account that the demo makes for /window.
const windowClerk = "demo-clerk"

// windowResult is what a person needs to look at the page. The resident is invented, and so is the number.
type windowResult struct {
	Page       string   `json:"page"`
	Name       string   `json:"name"`
	Password   string   `json:"password"`
	Department string   `json:"department"`
	Item       string   `json:"item"`
	Case       string   `json:"case"`
	Number     string   `json:"number"`
	Granted    []string `json:"granted"` // requests whose grants this brought about
}

func (a *app) demoWindowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "window",
		Short: "Beside a running demo: open a case to look at as a window clerk, and say how",
		Long: "Beside a running demo, an invented resident applies for social assistance at civil affairs, and the owner of the household register\n" +
			"grants civil affairs what shows that an identity card and a household register are held. Printed is what to type at /window: an\n" +
			"account of a clerk, which is made anew each time, the case's number, and the resident's invented citizen number.",
		Example: "  shire demo             # in one terminal, until the county is loaded\n  shire demo window      # in another",
		Args:    exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flag("data").Changed {
				a.data = demoData
			}
			return a.demoWindow(cmd.Context())
		},
	}
}

func (a *app) demoWindow(ctx context.Context) error {
	portal, s, story, err := a.demoStory(simulate.NewWindowCase)
	if err != nil {
		return err
	}
	if s.config.Sharing.Window == "" {
		return inputf("%s names no purpose under sharing.window, so that there is no page /window; a demo in a new --data folder has it", s.config.File)
	}
	e, _, err := a.attach(s)
	if err != nil {
		return err
	}
	defer e.stop()
	errand := story.Errands[0]
	if err := story.Apply(0, time.Now().In(s.zone)); err != nil {
		return err
	}
	var l loaded
	if err := a.askOver(ctx, s, e, askLoad, loadRequest{Sources: []string{"public_security", "service_hall"}}, &l); err != nil {
		return err
	}
	r := windowResult{Page: portal + "/window", Name: windowClerk, Department: errand.Department, Item: errand.Item, Case: errand.Case, Number: story.CitizenNumber()}
	if r.Granted, err = a.grantWindow(ctx, s, e, errand); err != nil {
		return err
	}
	file := accounts.Clerks(a.data)
	if err := file.Remove(windowClerk); err != nil && !errors.Is(err, accounts.ErrUnknown) {
		return err
	}
	if r.Password, err = file.AddOf(windowClerk, errand.Department); err != nil {
		return err
	}
	a.result = r
	a.say("A resident has applied at %s. Look at the case as its clerk does:", s.config.Departments[errand.Department].En)
	for _, line := range [][2]string{{"page", r.Page}, {"name", r.Name}, {"password", r.Password}, {"item", r.Item + " " + s.items[r.Item].Name.Zh}, {"case", r.Case}, {"number", r.Number + "  (of an invented resident)"}} {
		a.say("  %-9s %s", line[0], line[1])
	}
	return nil
}

// grantWindow has the clerk's department granted what shows that identity card and household register are held, unless it has been before.
func (a *app) grantWindow(ctx context.Context, s *setup, e *engines, errand simulate.Errand) ([]string, error) {
	b, err := openBus(ctx, s, e)
	if err != nil {
		return nil, err
	}
	x := pipeline.NewExchange(b, s.sharingWorld)
	all, err := x.Requests(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	terms := sharing.Terms{
		Dataset: "residents", Purpose: s.config.Sharing.Window, Items: []string{errand.Item}, From: now, Until: now.AddDate(1, 0, 0),
		Fields: map[string]sharing.Mask{"card_number": sharing.Exists, "card_from": sharing.Full, "card_until": sharing.Full, "register_number": sharing.Exists, "register_issued": sharing.Full},
	}
	if slices.ContainsFunc(all, func(r *sharing.Request) bool {
		return r.From == errand.Department && r.Terms.Dataset == terms.Dataset && r.Terms.Purpose == terms.Purpose && r.Covers(now) && slices.Contains(r.Terms.Items, errand.Item)
	}) {
		return []string{}, nil
	}
	id := "R" + now.In(s.zone).Format("20060102") + "-" + rand.Text()[:8]
	return []string{id}, x.Grant(ctx, "演示", 0, pipeline.Asking{Request: id, From: errand.Department, Terms: terms, At: now})
}
