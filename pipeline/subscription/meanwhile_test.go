package subscription

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline/audit"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/county"
)

// What is tried again is what may be shown then, and not what could be shown at first (I8).
func TestTriedAgainAsItIsThen(t *testing.T) {
	r := newRig(t)
	r.grant("G1", "welfare", masks, "birth")
	r.open("C1", anna, "birth")
	accesses := counted{r.log, make(chan audit.Access, 100)}
	s, c := r.service(func(o *Options) { o.Accesses = accesses }), r.config("welfare")
	r.serve(s, c)
	r.receiver.answers(status(500))
	r.welfare("W1", anna, "a", money)
	r.until("it is tried", func() bool { return r.receiver.tries() >= 3 })
	if len(accesses.list) != 1 {
		t.Fatalf("one event that was tried %d times is in the log %d times", r.receiver.tries(), len(accesses.list))
	}
	r.welfare("W1", anna, "b", money)
	r.receiver.answers(nil)
	r.done(s, c)
	if got := short(r.receiver.events()); got != "created:b" || len(accesses.list) != 2 {
		t.Fatal(got, len(accesses.list))
	}
	r.receiver.answers(status(500))
	before := r.receiver.tries()
	r.welfare("W1", anna, "c", money)
	r.until("it is tried", func() bool { return r.receiver.tries() >= before+2 })
	r.revoke("G1")
	r.done(s, c) // there is nothing to be told any more, although the receiver is not well
	r.receiver.answers(nil)
	if got := short(r.receiver.events()); got != "created:b" || r.progress(s, c).Parked != 0 {
		t.Fatal(got)
	}
}

// What retention took before it was read is made up for: who was told of a record is told how it is now.
func TestMessagesThatExpired(t *testing.T) {
	shared := engines
	own, err := embedded.Start(t.Context(), embedded.Options{Dir: t.TempDir(), Version: "1.0.0", ClickHouse: embedded.ClickHouseOptions{Disabled: true}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	engines = own // the messages of other tests' counties are not to be taken
	t.Cleanup(func() {
		engines = shared
		own.Stop(context.Background())
	})
	r := newRig(t)
	r.grant("G1", "welfare", masks, "birth")
	r.open("C1", anna, "birth")
	s, c := r.service(nil), r.config("welfare")
	stop := r.serve(s, c)
	r.welfare("W1", anna, "a", money)
	r.welfare("W2", anna, "x", money)
	r.done(s, c)
	stop()
	r.welfare("W1", anna, "b", money)
	r.publish("welfare", row(change.Delete, "W2", anna, "", "", ""))
	r.open("C2", bao, "birth")
	last, err := r.bus.LastSequence(t.Context())
	r.must(err)
	js, err := r.nc.JetStream()
	r.must(err)
	r.must(js.PurgeStream(bus.Changes, &nats.StreamPurgeRequest{Sequence: last}))
	s = r.service(nil)
	r.serve(s, c)
	r.until("it is told how things are now", func() bool { return len(r.receiver.events()) >= 4 })
	told := strings.Fields(short(r.receiver.events())[len("created:a created:x "):])
	slices.Sort(told)
	if strings.Join(told, " ") != "deleted:<nil> updated:b" {
		t.Fatal(short(r.receiver.events()))
	}
}

// A subscription that cannot be served is told at the start, and then none is.
func TestSubscriptionsThatCannotBeServed(t *testing.T) {
	r := newRig(t)
	s := r.service(nil)
	for want, spoil := range map[string]func(*county.Subscription){
		"at least":    func(c *county.Subscription) { c.Webhook.Secret = "short" },
		"no contract": func(c *county.Subscription) { c.Dataset = "ships" },
	} {
		c := r.config("welfare")
		spoil(&c)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		err := s.Run(ctx, []county.Subscription{c})
		cancel()
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "short") {
			t.Errorf("%v; want %q", err, want)
		}
	}
	if n := r.receiver.tries(); n > 0 {
		t.Errorf("%d requests were made", n)
	}
}
