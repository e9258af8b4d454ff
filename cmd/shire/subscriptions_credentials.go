package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shirecounty/shire/connectors/push"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/schemas/county"
)

// readerAccount is what a department needs to read a subscription from NATS.
type readerAccount struct {
	Subscription string `json:"subscription"`
	Address      string `json:"address,omitempty"`
	User         string `json:"user"`
	InboxPrefix  string `json:"inbox_prefix"`
	APIPrefix    string `json:"api_prefix"`
	Stream       string `json:"stream"`
	Consumer     string `json:"consumer"`
}

func (a *app) subscriptionsCredentials() *cobra.Command {
	var reveal bool
	cmd := &cobra.Command{
		Use: "credentials NAME", Short: "Print what a department needs to read a subscription from NATS",
		Long: "Print what a department needs to read a subscription from NATS: its user, the stream and the consumer. The generated password\n" +
			"is shown with --reveal alone, and on a terminal alone. For an external NATS server: shire push credentials --nats-config.",
		Args: exactly(1, "the subscription's name"),
		RunE: func(_ *cobra.Command, args []string) error {
			s, err := a.readSetup()
			if err != nil {
				return err
			}
			return a.readerCredentials(s, args[0], reveal)
		},
	}
	cmd.Flags().BoolVar(&reveal, "reveal", false, "show the NATS user's password, on a terminal")
	return cmd
}

func (a *app) readerCredentials(s *setup, name string, reveal bool) error {
	list := s.config.Sharing.Subscriptions
	i := slices.IndexFunc(list, func(c county.Subscription) bool { return c.Name == name })
	if i < 0 {
		var names []string
		for _, c := range list {
			names = append(names, c.Name)
		}
		return inputf("there is no subscription %s; there are: %s", name, strings.Join(names, ", "))
	}
	c := list[i]
	if c.Deliver != county.DeliverNATS {
		return inputf("the subscription %s is sent to a webhook; write deliver: nats for one that is read", name)
	}
	address, err := a.natsAddress(s)
	if err != nil {
		return err
	}
	access := push.AccessOf(c.Department)
	account := readerAccount{Subscription: c.Name, Address: address, User: access.User, InboxPrefix: access.Replies, APIPrefix: push.APIPrefix,
		Stream: bus.OutboxStream(s.config.County.Division, c.Department), Consumer: c.Name}
	a.result = account
	a.sayAccount(address, access)
	a.say("  JetStream API prefix of the client: %s", account.APIPrefix)
	a.say("  stream %s, durable pull consumer %s (it is there; the client makes none)", account.Stream, account.Consumer)
	a.say("  nats consumer next %s %s --count 10 --js-api-prefix %s --inbox-prefix %s --user %s --password ...", account.Stream, account.Consumer, account.APIPrefix, account.InboxPrefix, account.User)
	return a.sayPassword(s, access, reveal)
}
