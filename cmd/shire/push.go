package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/shirecounty/shire/connectors/push"
	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/ingest"
	"github.com/shirecounty/shire/pipeline/subscription"
	"github.com/shirecounty/shire/schemas/county"
)

// door is the webhook of departments that send their changes by themselves.
func (a *app) door(s *setup, gate *ingest.Gate, inboxes push.Store) (*push.Door, error) {
	door, err := push.NewDoor(push.DoorOptions{
		Sources: s.config.Sources, Contracts: s.contracts, Resolve: s.config.Resolve, Store: inboxes, Closed: gate.Closed, Log: a.log,
	})
	if err != nil {
		return nil, inputf("%s: %v", s.config.File, err)
	}
	return door, nil
}

// lateInboxes lets the webhook be made before the bus is open: nothing is served until it is.
type lateInboxes struct{ bus *bus.Bus }

// Put implements push.Store.
func (l *lateInboxes) Put(ctx context.Context, department, dataset, token string, header map[string][]string, data []byte) (bool, error) {
	return l.bus.Inbox(department).Put(ctx, dataset, token, header, data)
}

// openInboxes makes the streams that departments publish to, before anybody does.
func (n *node) openInboxes(ctx context.Context) error {
	for _, s := range n.config.Sources {
		if s.Kind != push.Kind {
			continue
		}
		if err := n.bus.Inbox(n.contracts[s.Datasets[0]].Department).Open(ctx); err != nil {
			return err
		}
	}
	return nil
}

// openOutboxes removes what lies on the bus for subscriptions that are not read from NATS any more.
func (n *node) openOutboxes(ctx context.Context) error {
	removed, err := subscription.Sweep(ctx, n.bus, n.config.Sharing.Subscriptions)
	if removed > 0 {
		n.log.Warn("county.yaml has subscriptions no more that were read from NATS: what lay unread in their outboxes was removed", "records", removed)
	}
	return err
}

// publishers are what departments may do on NATS that publish by themselves, without what else they may.
func (s *setup) publishers() []push.Access {
	return push.Accesses(s.config.County.Division, s.config.Sources, s.contracts)
}

// accesses are what departments may do on NATS: publish, and read what they have subscribed to.
func (s *setup) accesses() []push.Access {
	list := s.publishers()
	for _, c := range s.config.Sharing.Subscriptions {
		if c.Deliver != county.DeliverNATS {
			continue
		}
		i, known := slices.BinarySearchFunc(list, c.Department, func(a push.Access, code string) int { return strings.Compare(a.Department, code) })
		if !known {
			list = slices.Insert(list, i, push.AccessOf(c.Department))
		}
		requests, acks := bus.OutboxRequests(s.config.County.Division, c.Department, c.Name)
		list[i].API, list[i].Publish = append(list[i].API, requests...), append(list[i].Publish, acks)
	}
	return list
}

// accessSecret names a NATS user's password among the generated secrets.
func accessSecret(a push.Access) string { return "nats." + a.User }

func accessSecrets(list []push.Access) []string {
	var names []string
	for _, a := range list {
		names = append(names, accessSecret(a))
	}
	return names
}

func natsUsers(list []push.Access, secrets map[string]string) []embedded.NATSUser {
	var users []embedded.NATSUser
	for _, a := range list {
		users = append(users, embedded.NATSUser{Name: a.User, Password: secrets[accessSecret(a)], Publish: a.Publish, Subscribe: a.Subscribe(), API: a.API, APIPrefix: push.APIPrefix})
	}
	return users
}

func (a *app) pushCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "push", Short: "Departments that send their changes by themselves", Args: cobra.ArbitraryArgs, RunE: group,
	}
	cmd.AddCommand(a.pushCredentials())
	return cmd
}

// credentials are what a department's administrator needs.
type credentials struct {
	Source  string       `json:"source,omitempty"`
	Webhook string       `json:"webhook,omitempty"`
	NATS    *natsAccount `json:"nats,omitempty"`
	Config  string       `json:"nats_config,omitempty"`
}

type natsAccount struct {
	Address     string   `json:"address,omitempty"`
	User        string   `json:"user"`
	Subjects    []string `json:"subjects"`
	InboxPrefix string   `json:"inbox_prefix"`
}

func (a *app) pushCredentials() *cobra.Command {
	var reveal, config bool
	cmd := &cobra.Command{
		Use:   "credentials [SOURCE]",
		Short: "Print what a department needs to send its changes by itself",
		Long: "Print what a department needs to send its changes by itself: the webhook's address, and the NATS user with its subjects.\n" +
			"The generated password of the NATS user is shown with --reveal alone, and on a terminal alone. With --nats-config it\n" +
			"prints the users of all departments for the configuration of an external NATS server instead.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if config == (len(args) == 1) {
				return inputf("name one source, or give --nats-config alone; see shire push credentials --help")
			}
			s, err := a.readSetup()
			if err != nil {
				return err
			}
			if config {
				return a.natsConfig(s)
			}
			if err := knownSources(s, args); err != nil {
				return err
			}
			return a.credentials(s, args[0], reveal)
		},
	}
	cmd.Flags().BoolVar(&reveal, "reveal", false, "show the NATS user's password, on a terminal")
	cmd.Flags().BoolVar(&config, "nats-config", false, "print the users of all departments for an external NATS server")
	return cmd
}

func (a *app) natsConfig(s *setup) error {
	list := s.accesses()
	if len(list) == 0 {
		return inputf("%s has no source of kind push with nats: true, and no subscription with deliver: nats", s.config.File)
	}
	a.result = credentials{Config: push.ServerConfig(list)}
	a.say("%s", strings.TrimRight(push.ServerConfig(list), "\n"))
	return nil
}

func (a *app) credentials(s *setup, name string, reveal bool) error {
	var source county.Source
	for _, candidate := range s.config.Sources {
		if candidate.Name == name {
			source = candidate
		}
	}
	if source.Kind != push.Kind {
		return inputf("the source %s is of kind %s: Shire reads it, and nobody sends", name, source.Kind)
	}
	c := credentials{Source: name}
	if _, ok := source.With["secret"]; ok {
		c.Webhook = strings.Replace(push.Path, "{source}", name, 1)
		a.say("webhook: POST %s on the portal's address (portal.listen: %s)", c.Webhook, s.config.Portal.Listen)
		a.say("  signed in Shire-Signature with the secret that with.secret of the source names; docs/connectors/http-push.md says how")
	}
	access, ok := push.Of(s.publishers(), source, s.contracts)
	if !ok {
		a.result = c
		if reveal {
			return inputf("the source %s has no NATS user; write nats: true under with:", name)
		}
		return nil
	}
	address, err := a.natsAddress(s)
	if err != nil {
		return err
	}
	c.NATS = &natsAccount{Address: address, User: access.User, Subjects: access.Publish, InboxPrefix: access.Replies}
	a.result = c
	a.sayAccount(address, access)
	a.say("  publishes to: %s (the last part tells an event from the others: its id)", strings.Join(access.Publish, ", "))
	return a.sayPassword(s, access, reveal)
}

func (a *app) sayAccount(address string, access push.Access) {
	a.say("NATS: %s", orDefault(address, "the address shows while the node runs; pin its port with engines.nats.port"))
	a.say("  user: %s", access.User)
	a.say("  inbox prefix of the client: %s", access.Replies)
}

func (a *app) sayPassword(s *setup, access push.Access, reveal bool) error {
	switch {
	case s.config.Engines.NATS.Address != "":
		a.say("  password: what %s was on the NATS server when it started", access.PasswordVariable())
	case reveal:
		return a.revealPassword(access)
	default:
		a.say("  password: shown with --reveal")
	}
	return nil
}

// natsAddress is where departments reach NATS; "" while the embedded server does not run.
func (a *app) natsAddress(s *setup) (string, error) {
	if external := s.config.Engines.NATS.Address; external != "" {
		return external, nil
	}
	runtime, err := embedded.ReadRuntime(a.data)
	if errors.Is(err, embedded.ErrNotRunning) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return runtime.NATSURL, nil
}

// revealPassword shows it to a person, and puts it into no file, pipe or log.
func (a *app) revealPassword(access push.Access) error {
	out, ok := a.out.(*os.File)
	if !ok || a.json || !term.IsTerminal(int(out.Fd())) {
		return inputf("--reveal shows the password on a terminal alone; run the command on one, without --json")
	}
	secrets, err := embedded.LoadOrCreateSecrets(a.data, accessSecret(access))
	if err != nil {
		return err
	}
	a.say("  password: %s", secrets[accessSecret(access)])
	return nil
}
