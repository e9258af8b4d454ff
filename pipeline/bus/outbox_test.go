package bus_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/shirecounty/shire/pipeline/bus"
)

// lies is what lies in an outbox of a subscription: records, ids and sequences.
func lies(t testing.TB, o *bus.Outbox, subscription string) string {
	t.Helper()
	list, err := o.Messages(t.Context(), subscription)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range list {
		out = append(out, fmt.Sprint(m.Record, "=", m.ID, "@", m.Sequence))
	}
	slices.Sort(out)
	return fmt.Sprint(out)
}

func TestOutbox(t *testing.T) {
	const county = "330777"
	b := openAs(t, county)
	js, err := jetstream.New(connect(t))
	if err != nil {
		t.Fatal(err)
	}
	o, err := b.OpenOutbox(t.Context(), "hall", bus.OutboxLimits{Messages: 3, Bytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	put := func(subscription, record, id string) error {
		_, err := o.Put(t.Context(), subscription, record, id, []byte("data of "+id))
		return err
	}
	expect := func(want string) {
		t.Helper()
		if got := lies(t, o, "one"); got != want {
			t.Fatalf("there lies %s and not %s", got, want)
		}
	}
	for _, step := range []struct{ subscription, record, id string }{{"one", "a", "a1"}, {"one", "a", "a1"}, {"one", "b", "b1"}, {"two", "a", "x1"}, {"one", "a", "a2"}, {"one", "a", "a2"}} {
		if err := put(step.subscription, step.record, step.id); err != nil {
			t.Fatalf("%v: %v", step, err)
		}
	}
	expect("[a=a2@4 b=b1@2]") // each once, the newest of a record
	if err := put("one", "c", "c1"); !errors.Is(err, bus.ErrOutboxFull) {
		t.Fatalf("a full outbox says %v", err)
	}
	if err := put("one", "b", "b2"); err != nil { // what replaces needs no room
		t.Fatal(err)
	}
	expect("[a=a2@4 b=b2@5]")
	if err := o.Serve(t.Context(), "one"); err != nil {
		t.Fatal(err)
	}
	consumer, err := js.Consumer(t.Context(), bus.OutboxStream(county, "hall"), "one")
	if err != nil {
		t.Fatal(err)
	}
	msg, err := consumer.Next()
	if err != nil || msg.Headers().Get(jetstream.MsgIDHeader) != "a2" {
		t.Fatal(msg, err)
	}
	if err := msg.DoubleAck(t.Context()); err != nil {
		t.Fatal(err)
	}
	if through, err := o.Read(t.Context(), "one"); err != nil || through != 4 {
		t.Fatal(through, err)
	}
	expect("[a=a2@4 b=b2@5]") // it is there until it is removed
	if err := put("one", "a", "a2"); err != nil {
		t.Fatal(err)
	}
	expect("[a=a2@4 b=b2@5]")
	// A message that was replaced while it was out for reading is acknowledged as well.
	if _, err := consumer.Next(); err != nil {
		t.Fatal(err)
	}
	if err := put("one", "b", "b3"); err != nil {
		t.Fatal(err)
	}
	if err := o.Remove(t.Context(), "one", "a", 3); err != nil {
		t.Fatal(err)
	}
	expect("[a=a2@4 b=b3@6]")
	if err := o.Remove(t.Context(), "one", "a", 4); err != nil {
		t.Fatal(err)
	}
	if err := put("one", "a", "a2"); err != nil { // within the server's window, and stored all the same
		t.Fatal(err)
	}
	expect("[a=a2@7 b=b3@6]")
	if err := o.Remove(t.Context(), "one", "*", 0); err != nil {
		t.Fatal(err)
	}
	expect("[]")
	if got := lies(t, o, "two"); got != "[a=x1@3]" {
		t.Fatal(got)
	}
	// Smaller limits remove nothing; the stream stays the one that it is.
	again, err := b.OpenOutbox(t.Context(), "hall", bus.OutboxLimits{Messages: 1, Bytes: 1 << 20})
	if err != nil || again.ID() != o.ID() || o.ID() == "" {
		t.Fatal(again, err)
	}
	if got := lies(t, again, "two"); got != "[a=x1@3]" {
		t.Fatal(got)
	}
	// What nobody is served any more goes, and the stream with the last of it.
	if n, err := b.SweepOutboxes(t.Context(), func(department, subscription string) bool { return department == "hall" && subscription == "two" }); err != nil || n != 0 {
		t.Fatal(n, err)
	}
	if _, err := js.Consumer(t.Context(), bus.OutboxStream(county, "hall"), "one"); !errors.Is(err, jetstream.ErrConsumerNotFound) {
		t.Fatal(err)
	}
	if n, err := b.SweepOutboxes(t.Context(), func(string, string) bool { return false }); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	if _, err := js.Stream(t.Context(), bus.OutboxStream(county, "hall")); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Fatal(err)
	}
}
