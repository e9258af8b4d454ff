package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/shirecounty/shire/portal/accounts"
	"github.com/shirecounty/shire/schemas/document"
)

// accountsOf are the people who may do one thing on the portal, and the words for them.
type accountsOf struct {
	command string // after shire
	one     string // one of them, such as "reviewer"
	may     string // what they may
	page    string // where they sign in
	long    string
	file    func(dataDir string) *accounts.File

	ofDepartment bool // each belongs to one
}

var reviewerAccounts = accountsOf{
	command: "identity reviewers", one: "reviewer", may: "review identities on the portal", page: "/review", file: accounts.Reviewers,
	long: "Who may review identities on the portal. The review shows personal data in the clear, so it is open to named people\n" +
		"alone: nobody may sign in until somebody is added here. A running portal needs no restart.",
}

var operatorAccounts = accountsOf{
	command: "jobs operators", one: "operator", may: "operate jobs on the portal", page: "/jobs", file: accounts.Operators,
	long: "Who may operate jobs on the portal: run, pause, cancel, retry and backfill them, and read what they print. Everybody\n" +
		"may see how jobs stand. Nobody may sign in until somebody is added here. A running portal needs no restart.",
}

var officerAccounts = accountsOf{
	command: "sharing officers", one: "officer", may: "act for their department about requests for data", page: "/sharing", file: accounts.Officers, ofDepartment: true,
	long: "Who may act for a department on the portal: ask other departments for data, and answer what these ask for. Each belongs\n" +
		"to one department. Nobody may sign in until somebody is added here. A running portal needs no restart.",
}

var clerkAccounts = accountsOf{
	command: "sharing clerks", one: "clerk", may: "see at the window what an applicant need not hand in", page: "/window", file: accounts.Clerks, ofDepartment: true,
	long: "Who may ask at a department's window, for an open case of it, which materials are met from shared data. Each belongs to one\n" +
		"department, and every look is written to the log of accesses. Nobody may sign in until somebody is added here. A running\n" +
		"portal needs no restart. The page is there when county.yaml names a purpose under sharing.window.",
}

var supervisorAccounts = accountsOf{
	command: "audit supervisors", one: "supervisor", may: "search the log of accesses on the portal", page: "/supervision", file: accounts.Supervisors,
	long: "Who may search the log of accesses to personal data on the portal: by person (a pseudonym), caller, department, time and\n" +
		"case. Every search is itself an entry of the log. Nobody may sign in until somebody is added here.",
}

func (a *app) reviewersCommand() *cobra.Command {
	return a.accountsCommand("reviewers", reviewerAccounts)
}

func (a *app) operatorsCommand() *cobra.Command {
	return a.accountsCommand("operators", operatorAccounts)
}

func (a *app) accountsCommand(use string, of accountsOf) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: "Who may " + of.may + ": list, add, remove", Long: of.long,
		Args: cobra.ArbitraryArgs, RunE: group,
	}
	cmd.AddCommand(a.accountsList(of), a.accountsAdd(of), a.accountsRemove(of))
	return cmd
}

func (a *app) accountsList(of accountsOf) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the " + of.one + "s", Args: exactly(0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			list, err := of.file(a.data).List()
			if err != nil {
				return err
			}
			a.result = list
			if len(list) == 0 {
				a.say("There are no %ss; add one with: shire %s add NAME", of.one, of.command)
			}
			if a.json || len(list) == 0 {
				return nil
			}
			w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
			department := func(string) string { return "" }
			if of.ofDepartment {
				department = func(of string) string { return "\t" + of }
			}
			fmt.Fprintf(w, "NAME%s\tADDED\n", department("DEPARTMENT"))
			for _, r := range list {
				fmt.Fprintf(w, "%s%s\t%s\n", r.Name, department(r.Department), r.Created.Local().Format(time.DateTime))
			}
			return w.Flush()
		},
	}
}

func (a *app) accountsAdd(of accountsOf) *cobra.Command {
	department := ""
	cmd := &cobra.Command{
		Use: "add NAME", Short: "Add " + article(of.one) + " and print the password that was made, once", Args: exactly(1, "one name"),
		RunE: func(_ *cobra.Command, args []string) error {
			if of.ofDepartment {
				if err := a.knownDepartment(department); err != nil {
					return err
				}
			}
			password, err := of.file(a.data).AddOf(args[0], department)
			if err != nil {
				return of.mistake(err)
			}
			a.result = struct {
				Name     string `json:"name"`
				Password string `json:"password"`
			}{args[0], password}
			a.say("%s may sign in at %s on the portal.", args[0], of.page)
			a.say("password: %s", password)
			a.say("It is shown this once: only its hash is kept. To give a new one, remove the %s and add them again.", of.one)
			return nil
		},
	}
	if of.ofDepartment {
		cmd.Flags().StringVar(&department, "department", "", "code of the department that they act for")
	}
	return cmd
}

func article(noun string) string {
	if strings.ContainsRune("aeiou", rune(noun[0])) {
		return "an " + noun
	}
	return "a " + noun
}

// knownDepartment says whether the county has a department: it is named in county.yaml, or a dataset is its own.
func (a *app) knownDepartment(code string) error {
	s, err := a.readSetup()
	if err != nil {
		return err
	}
	codes := s.config.DepartmentCodes(s.contracts)
	switch {
	case code == "":
		return inputf("an account like this acts for one department; name it with --department, one of %s", strings.Join(codes, ", "))
	case !slices.Contains(codes, code):
		return inputf("the county has no department %q; %s", code, document.DidYouMean(code, codes))
	}
	return nil
}

func (a *app) accountsRemove(of accountsOf) *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME", Short: "Remove " + article(of.one) + "; who is signed in is signed out, what they decided stays",
		Args: exactly(1, "one name, as "+of.command+" list prints it"),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := of.file(a.data).Remove(args[0]); err != nil {
				return of.mistake(err)
			}
			a.result = map[string]string{"name": args[0]}
			a.say("%s may not sign in any more.", args[0])
			return nil
		},
	}
}

// mistake tells what is wrong with the name that was given from what is wrong with the file.
func (of accountsOf) mistake(err error) error {
	if errors.Is(err, accounts.ErrUnknown) { // of this name there may be somebody who may something else
		return inputf("there is no %s of this name; see shire %s list", of.one, of.command)
	}
	for _, mistake := range []error{accounts.ErrName, accounts.ErrThere} {
		if errors.Is(err, mistake) {
			return inputf("%v; see shire %s list", err, of.command)
		}
	}
	return err
}
