package main

import (
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/shirecounty/shire/portal/reviewers"
)

func (a *app) reviewersCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reviewers",
		Short: "Who may review identities on the portal: list, add, remove",
		Long: "Who may review identities on the portal. The review shows personal data in the clear, so it is open to named people\n" +
			"alone: nobody may sign in until somebody is added here. A running portal needs no restart.",
		Args: cobra.ArbitraryArgs, RunE: group,
	}
	cmd.AddCommand(a.reviewersList(), a.reviewersAdd(), a.reviewersRemove())
	return cmd
}

func (a *app) reviewersList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the reviewers", Args: exactly(0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			list, err := reviewers.In(a.data).List()
			if err != nil {
				return err
			}
			a.result = list
			if len(list) == 0 {
				a.say("There are no reviewers; add one with: shire identity reviewers add NAME")
			}
			if a.json || len(list) == 0 {
				return nil
			}
			w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "NAME\tADDED")
			for _, r := range list {
				fmt.Fprintf(w, "%s\t%s\n", r.Name, r.Created.Local().Format(time.DateTime))
			}
			return w.Flush()
		},
	}
}

func (a *app) reviewersAdd() *cobra.Command {
	return &cobra.Command{
		Use: "add NAME", Short: "Add a reviewer and print the password that was made, once", Args: exactly(1, "one name, as it shall stand under verdicts"),
		RunE: func(_ *cobra.Command, args []string) error {
			password, err := reviewers.In(a.data).Add(args[0])
			if err != nil {
				return reviewerError(err)
			}
			a.result = struct {
				Name     string `json:"name"`
				Password string `json:"password"`
			}{args[0], password}
			a.say("%s may sign in at /review on the portal.", args[0])
			a.say("password: %s", password)
			a.say("It is shown this once: only its hash is kept. To give a new one, remove the reviewer and add them again.")
			return nil
		},
	}
}

func (a *app) reviewersRemove() *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME", Short: "Remove a reviewer; who is signed in is signed out, verdicts stay", Args: exactly(1, "one name, as reviewers list prints it"),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := reviewers.In(a.data).Remove(args[0]); err != nil {
				return reviewerError(err)
			}
			a.result = map[string]string{"name": args[0]}
			a.say("%s may not sign in any more.", args[0])
			return nil
		},
	}
}

// reviewerError tells what is wrong with the name that was given from what is wrong with the file.
func reviewerError(err error) error {
	for _, mistake := range []error{reviewers.ErrName, reviewers.ErrThere, reviewers.ErrUnknown} {
		if errors.Is(err, mistake) {
			return inputf("%v; see shire identity reviewers list", err)
		}
	}
	return err
}
