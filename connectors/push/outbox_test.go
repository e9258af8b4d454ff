package push_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/connectors/push"
	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline/bus"
)

// readers are the accesses of two departments that read a subscription each; one of them publishes as well.
func readers() []push.Access {
	var list []push.Access
	for _, department := range []string{"bureau", "police"} {
		a := push.AccessOf(department)
		requests, acks := bus.OutboxRequests(division, department, "welfare")
		a.API, a.Publish = requests, []string{acks}
		list = append(list, a)
	}
	list[1].Publish = append(list[1].Publish, connectors.InboxSubjects(division, "police", "patrols"))
	return list
}

// A department reads its own subscription from its own outbox and does nothing else there, nor elsewhere.
func TestOutboxesAreKeptApart(t *testing.T) {
	t.Run("embedded", func(t *testing.T) {
		o := embedded.Options{Dir: t.TempDir(), Version: "1.0.0", Log: slog.New(slog.DiscardHandler), ClickHouse: embedded.ClickHouseOptions{Disabled: true}}
		for _, a := range readers() {
			o.NATS.Users = append(o.NATS.Users, embedded.NATSUser{Name: a.User, Password: "of " + a.User, Publish: a.Publish, Subscribe: a.Subscribe(), API: a.API, APIPrefix: push.APIPrefix})
		}
		e, err := embedded.Start(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { (&node{Engines: e}).stop(t) })
		outboxesKeptApart(t, e.NATS(), nats.UserInfo(e.NATS().User, e.NATS().Password))
	})
	t.Run("external", func(t *testing.T) {
		outboxesKeptApart(t, external(t, readers()), ofShire)
	})
}

func outboxesKeptApart(t *testing.T, at *embedded.NATS, login nats.Option) {
	own, err := nats.Connect(at.URL, login)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(own.Close)
	b, err := bus.Open(t.Context(), own, bus.Options{County: division, Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	boxes := map[string]*bus.Outbox{}
	for _, department := range []string{"bureau", "police"} {
		if boxes[department], err = b.OpenOutbox(t.Context(), department, bus.OutboxLimits{Messages: 100, Bytes: 1 << 20}); err != nil {
			t.Fatal(err)
		}
		for _, subscription := range []string{"welfare", "roads"} { // of the second the departments have no access
			if err := boxes[department].Serve(t.Context(), subscription); err != nil {
				t.Fatal(err)
			}
			for i := range 3 {
				if _, err := boxes[department].Put(t.Context(), subscription, fmt.Sprint("r", i), fmt.Sprint(subscription, i), []byte("of "+department)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if err := b.Inbox("police").Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	heard, err := own.SubscribeSync(">")
	if err != nil {
		t.Fatal(err)
	}
	if err := own.Flush(); err != nil {
		t.Fatal(err)
	}

	// What is not the department's own is refused, each by the server.
	refused := newRefusals()
	police := as(t, at, "police", refused.heard())
	mine, other := bus.OutboxStream(division, "police"), bus.OutboxStream(division, "bureau")
	var subjects []string
	for _, interfaces := range []string{"$JS.API", push.APIPrefix} {
		for _, request := range []string{
			"INFO", "STREAM.NAMES", "STREAM.LIST", "STREAM.INFO." + mine, "STREAM.INFO." + other, "STREAM.PURGE." + mine, "STREAM.DELETE." + mine, "STREAM.UPDATE." + mine,
			"STREAM.MSG.GET." + mine, "STREAM.MSG.DELETE." + mine, "STREAM.SNAPSHOT." + mine, "DIRECT.GET." + mine, "DIRECT.GET." + other + ".outbox." + division + ".bureau.welfare.r1",
			"STREAM.CREATE.NEW", "CONSUMER.CREATE." + mine, "CONSUMER.CREATE." + mine + ".welfare", "CONSUMER.CREATE." + mine + ".new.outbox.>", "CONSUMER.DURABLE.CREATE." + mine + ".new",
			"CONSUMER.CREATE." + other + ".new", "CONSUMER.NAMES." + mine, "CONSUMER.LIST." + mine, "CONSUMER.DELETE." + mine + ".welfare", "CONSUMER.PAUSE." + mine + ".welfare",
			"CONSUMER.RESET." + mine + ".welfare", "CONSUMER.INFO." + other + ".welfare", "CONSUMER.MSG.NEXT." + other + ".welfare", "CONSUMER.MSG.NEXT." + mine + ".roads", "CONSUMER.INFO." + mine + ".roads",
			"CONSUMER.MSG.NEXT." + bus.Changes + ".x",
		} {
			subjects = append(subjects, interfaces+"."+request)
		}
	}
	subjects = append(subjects, "$JS.API.CONSUMER.MSG.NEXT."+mine+".welfare", "$JS.API.CONSUMER.INFO."+mine+".welfare", // not the interface that has the stream
		"outbox."+division+".police.welfare.r1", "outbox."+division+".police.welfare.new", "outbox."+division+".bureau.welfare.r1",
		"$JS.ACK."+other+".welfare.1.1.1.1.0", "$JS.ACK."+mine+".roads.1.1.1.1.0", "$JS.FC."+mine+".x", "$KV.SUBSCRIPTIONS.x", "changes."+division+".police.patrols")
	for _, subject := range subjects {
		if err := police.Publish(subject, []byte("forged")); err != nil {
			t.Fatal(err)
		}
		refused.of(t, "publishing to "+subject)
	}
	for _, subject := range []string{"outbox.>", "outbox." + division + ".police.>", "outbox." + division + ".bureau.>", ">", "$JS.>", "shire.>", "_INBOX_bureau.>", "_R_.>"} {
		if _, err := police.SubscribeSync(subject); err != nil {
			t.Fatal(err)
		}
		refused.of(t, "subscribing to "+subject)
	}

	// Its own it reads: one request for several, acknowledged; what is not acknowledged stays.
	js, err := jetstream.NewWithAPIPrefix(police, push.APIPrefix)
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := js.Consumer(t.Context(), mine, "welfare")
	if err != nil {
		t.Fatal(err)
	}
	batch, err := consumer.Fetch(5, jetstream.FetchMaxWait(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for msg := range batch.Messages() {
		got = append(got, msg.Subject()[strings.LastIndexByte(msg.Subject(), '.')+1:]+" "+string(msg.Data()))
		if len(got) < 3 {
			if err := msg.DoubleAck(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if fmt.Sprint(got) != "[r0 of police r1 of police r2 of police]" {
		t.Fatal(got, batch.Error())
	}
	list, err := boxes["police"].Messages(t.Context(), "welfare")
	if err != nil || len(list) != 3 {
		t.Fatal(list, err)
	}
	through, err := boxes["police"].Read(t.Context(), "welfare")
	if err != nil || through != 2 {
		t.Fatalf("read through %d, %v", through, err)
	}
	// Messages that are to be answered into a stream, or to another department, end in the department's own account.
	for _, reply := range []string{"outbox." + division + ".police.welfare.new", "changes." + division + ".police.patrols", "_INBOX_bureau.x", "shire.STREAM.DELETE." + mine} {
		if err := police.PublishRequest(push.APIPrefix+".CONSUMER.MSG.NEXT."+mine+".welfare", reply, []byte(`{"batch":5,"no_wait":true}`)); err != nil {
			t.Fatal(err)
		}
	}
	if err := police.FlushTimeout(20 * time.Second); err != nil {
		t.Fatal(err)
	}
	if info, err := consumer.Info(t.Context()); err != nil || info.NumAckPending != 1 {
		t.Fatalf("%+v %v", info, err)
	}
	for department, box := range boxes {
		for _, subscription := range []string{"welfare", "roads"} {
			list, err := box.Messages(t.Context(), subscription)
			if err != nil || len(list) != 3 {
				t.Errorf("%s has %d messages of %s: %v", department, len(list), subscription, err)
			}
		}
	}
	if last, err := b.LastSequence(t.Context()); err != nil || last != 0 {
		t.Errorf("CHANGES is at %d: %v", last, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	for {
		msg, err := heard.NextMsgWithContext(ctx)
		if err != nil {
			break
		}
		if string(msg.Data) == "forged" {
			t.Errorf("%s came through", msg.Subject)
		}
	}
}
