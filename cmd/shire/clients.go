package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/user"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/portal"
	"github.com/shirecounty/shire/portal/accounts"
	"github.com/shirecounty/shire/schemas/county"
)

// What a running node is asked about the clients of the sharing interface.
const (
	askClients = "clients"
	askLift    = "clients.lift"
)

func (a *app) clientsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "clients", Short: "Systems of departments that call the sharing interface: their keys, and which are stopped",
		Long: "Clients are named in county.yaml (sharing.clients). Here those with api_key: true get their keys, and a client that was\n" +
			"stopped because it asked for too many people is let go on. A running node needs no restart.",
		Args: cobra.ArbitraryArgs, RunE: group,
	}
	cmd.AddCommand(a.clientsList(), a.clientsAdd(), a.clientsRemove(), a.clientsLift())
	return cmd
}

// clientLine is a client as the list has it.
type clientLine struct {
	Name       string     `json:"name"`
	Department string     `json:"department"`
	Proves     []string   `json:"proves"`
	KeyAdded   *time.Time `json:"key_added,omitempty"`
	*portal.ClientState
}

func (a *app) clientsList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the clients, how they prove themselves, and with a running node how they stand", Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := a.readSetup()
			if err != nil {
				return err
			}
			keys, err := accounts.Clients(a.data).List()
			if err != nil {
				return err
			}
			var states []portal.ClientState
			if _, err := embedded.ReadRuntime(a.data); err == nil {
				if err := a.ask(cmd.Context(), s, askClients, struct{}{}, &states); err != nil {
					return err
				}
			}
			lines := []clientLine{}
			for _, c := range s.config.Sharing.Clients {
				l := clientLine{Name: c.Name, Department: c.Department, Proves: proves(&c)}
				if i := slices.IndexFunc(keys, func(k accounts.Account) bool { return k.Name == c.Name }); i >= 0 {
					l.KeyAdded = &keys[i].Created
				}
				if i := slices.IndexFunc(states, func(s portal.ClientState) bool { return s.Client == c.Name }); i >= 0 {
					l.ClientState = &states[i]
				}
				lines = append(lines, l)
			}
			if len(lines) == 0 {
				a.say("county.yaml names no sharing.clients: nobody may call the sharing interface.")
			}
			for i := range keys {
				if !named(s, keys[i].Name) {
					lines = append(lines, clientLine{Name: keys[i].Name, KeyAdded: &keys[i].Created})
					a.say("There is a key of %[1]s, but county.yaml names no client %[1]s, and it may not call; take it away with: shire clients remove %[1]s", keys[i].Name)
				}
			}
			a.result = lines
			if a.json || len(lines) == 0 {
				return nil
			}
			w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "NAME\tDEPARTMENT\tPROVES\tKEY\tPERSONS\tMISSES\tSTOPPED UNTIL")
			for _, l := range lines {
				key, persons, misses, until := "-", "-", "-", "-"
				if l.KeyAdded != nil {
					key = l.KeyAdded.Local().Format(time.DateTime)
				}
				if s := l.ClientState; s != nil {
					persons, misses = fmt.Sprint(s.Persons), fmt.Sprint(s.Misses)
					if s.StoppedUntil != nil {
						until = s.StoppedUntil.Local().Format(time.DateTime) + " (" + s.Reason + ")"
					}
				}
				fmt.Fprintf(w, "%s\t%s\t%v\t%s\t%s\t%s\t%s\n", l.Name, l.Department, l.Proves, key, persons, misses, until)
			}
			return w.Flush()
		},
	}
}

// named tells whether county.yaml names a client.
func named(s *setup, client string) bool {
	return slices.ContainsFunc(s.config.Sharing.Clients, func(c county.Client) bool { return c.Name == client })
}

func proves(c *county.Client) (all []string) {
	if c.Certificate != nil {
		all = append(all, "certificate")
	}
	if c.Token != nil {
		all = append(all, "token")
	}
	if c.APIKey {
		all = append(all, "key")
	}
	return all
}

func (a *app) clientsAdd() *cobra.Command {
	return &cobra.Command{
		Use: "add NAME", Short: "Make a client's key and print it, once", Args: exactly(1, "one name of sharing.clients"),
		RunE: func(_ *cobra.Command, args []string) error {
			s, err := a.readSetup()
			if err != nil {
				return err
			}
			i := slices.IndexFunc(s.config.Sharing.Clients, func(c county.Client) bool { return c.Name == args[0] })
			if i < 0 {
				return inputf("%s names no client %q; write it under sharing.clients, with its department and api_key: true", s.config.File, args[0])
			}
			if !s.config.Sharing.Clients[i].APIKey {
				return inputf("the client %s proves itself otherwise; write api_key: true in %s if it shall send a key", args[0], s.config.File)
			}
			key, err := accounts.Clients(a.data).Add(args[0])
			if errors.Is(err, accounts.ErrThere) {
				return inputf("the client %s has a key; remove it first: shire clients remove %s", args[0], args[0])
			}
			if err != nil {
				return err
			}
			a.result = map[string]string{"name": args[0], "key": args[0] + "." + key}
			a.say("The client %s may call the sharing interface with this header:", args[0])
			a.say("Authorization: Shire-Key %s.%s", args[0], key)
			a.say("It is shown this once: only its hash is kept. Send it over TLS alone. To give a new one, remove the key and add one again.")
			return nil
		},
	}
}

func (a *app) clientsRemove() *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME", Short: "Take a client's key away; its next call is refused", Args: exactly(1, "one name"),
		RunE: func(_ *cobra.Command, args []string) error {
			err := accounts.Clients(a.data).Remove(args[0])
			if errors.Is(err, accounts.ErrUnknown) {
				return inputf("there is no key of a client %q; see shire clients list", args[0])
			}
			if err != nil {
				return err
			}
			a.result = map[string]string{"name": args[0]}
			a.say("The client %s has no key any more.", args[0])
			return nil
		},
	}
}

// liftRequest lets a client go on, in somebody's name.
type liftRequest struct {
	Client   string `json:"client"`
	Operator string `json:"operator"`
}

func (a *app) clientsLift() *cobra.Command {
	return &cobra.Command{
		Use: "lift NAME", Short: "Let a client go on that was stopped; the access log has who did", Args: exactly(1, "one name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.readSetup()
			if err != nil {
				return err
			}
			if !named(s, args[0]) {
				return inputf("%s names no client %q; see shire clients list", s.config.File, args[0])
			}
			r := liftRequest{Client: args[0], Operator: "unknown"}
			if u, err := user.Current(); err == nil {
				r.Operator = cmp.Or(u.Username, u.Uid)
			}
			var done map[string]string
			if err := a.ask(cmd.Context(), s, askLift, r, &done); err != nil {
				return err
			}
			a.result = done
			a.say("The client %s may go on.", args[0])
			return nil
		},
	}
}

// answerClients tells how the clients stand.
func (h *health) answerClients([]byte) (any, error) {
	if h.portal == nil {
		return []portal.ClientState{}, nil
	}
	return h.portal.Clients(), nil
}

// answerLift lets a client go on.
func (h *health) answerLift(ctx context.Context, data []byte) (any, error) {
	var r liftRequest
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, err
	}
	if h.portal == nil {
		return nil, errors.New("the node serves no portal yet; try again shortly")
	}
	if err := h.portal.Lift(ctx, r.Client, r.Operator); err != nil {
		return nil, err
	}
	return map[string]string{"client": r.Client}, nil
}
