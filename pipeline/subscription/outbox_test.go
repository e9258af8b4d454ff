package subscription

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shirecounty/shire/connectors/push"
	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline/audit"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/pseudonym"
	"github.com/shirecounty/shire/schemas/sharing"
)

// hallUser is the department that reads, with the permissions that shire up gives it, in every county of the tests.
func hallUser() embedded.NATSUser {
	a := push.AccessOf("hall")
	for county := 330001; county < 330050; county++ {
		for _, name := range []string{"hall_welfare", "hall_roads"} {
			requests, acks := bus.OutboxRequests(fmt.Sprint(county), "hall", name)
			a.API, a.Publish = append(a.API, requests...), append(a.Publish, acks)
		}
	}
	return embedded.NATSUser{Name: a.User, Password: "of hall", Publish: a.Publish, Subscribe: a.Subscribe(), API: a.API, APIPrefix: push.APIPrefix}
}

// reads is a subscription that is read from NATS.
func (r *rig) reads(dataset string) county.Subscription {
	c := r.config(dataset)
	c.Webhook, c.Deliver = county.Webhook{}, county.DeliverNATS
	c.Outbox = county.Outbox{Records: 100, Bytes: 1 << 20, Unread: county.Duration(time.Hour)}
	return c
}

func (r *rig) tending(change func(*Options)) *Service {
	s := r.service(change)
	s.tendEvery, s.idle = 5*time.Millisecond, 20*time.Millisecond
	return s
}

// hall is the department's own system.
type hall struct {
	*rig
	consumer jetstream.Consumer
	ids      map[string]bool
	got      []arrived
}

func (r *rig) hall(c county.Subscription) *hall {
	r.Helper()
	nc, err := nats.Connect(engines.NATS().URL, nats.UserInfo("department_hall", "of hall"), nats.CustomInboxPrefix("_INBOX_hall"))
	r.must(err)
	r.Cleanup(nc.Close)
	js, err := jetstream.NewWithAPIPrefix(nc, push.APIPrefix)
	r.must(err)
	var consumer jetstream.Consumer
	r.until("the department can read", func() bool {
		consumer, err = js.Consumer(r.Context(), bus.OutboxStream(r.county, "hall"), c.Name)
		return err == nil
	})
	return &hall{rig: r, consumer: consumer, ids: map[string]bool{}}
}

// take reads and acknowledges up to so many events that lie there.
func (h *hall) take(most int) []arrived {
	h.Helper()
	batch, err := h.consumer.FetchNoWait(most)
	h.must(err)
	var got []arrived
	for msg := range batch.Messages() {
		var a arrived
		h.must(json.Unmarshal(msg.Data(), &a))
		if id := msg.Headers().Get(jetstream.MsgIDHeader); id != a.ID || !strings.HasSuffix(msg.Subject(), ".hall."+h.consumer.CachedInfo().Name+"."+a.record()) {
			h.Errorf("the message %s on %s holds the event %s", id, msg.Subject(), a.ID)
		}
		if h.ids[a.ID] {
			h.Errorf("the event %s was read twice", a.ID)
		}
		h.ids[a.ID] = true
		h.must(msg.DoubleAck(h.Context()))
		got = append(got, a)
	}
	h.must(batch.Error())
	h.got = append(h.got, got...)
	return got
}

// lying is how many messages lie in the outbox of a subscription.
func (r *rig) lying(c county.Subscription) int {
	r.Helper()
	js, err := jetstream.New(r.nc)
	r.must(err)
	stream, err := js.Stream(r.Context(), bus.OutboxStream(r.county, "hall"))
	r.must(err)
	info, err := stream.Info(r.Context(), jetstream.WithSubjectFilter("outbox."+r.county+".hall."+c.Name+".*"))
	r.must(err)
	return len(info.State.Subjects)
}

func (r *rig) empties(c county.Subscription) {
	r.Helper()
	r.until("nothing lies in the outbox", func() bool { return r.lying(c) == 0 })
}

// The department reads what it would be sent, and what it may not see any more at the moment when it reads is gone.
func TestReadFromTheOutbox(t *testing.T) {
	r := newRig(t)
	accesses := counted{r.log, make(chan audit.Access, 100)}
	s := r.tending(func(o *Options) { o.Accesses = accesses })
	c := r.reads("welfare")
	r.grant("G1", "welfare", masks, "birth")
	r.open("C1", anna, "birth")
	r.serve(s, c)
	h := r.hall(c)
	expect := func(want string) {
		t.Helper()
		r.done(s, c)
		if got := short(h.take(100)); got != want {
			t.Fatalf("it reads %q and not %q", got, want)
		}
		r.empties(c)
	}
	r.welfare("W1", anna, "a", money)
	r.welfare("W2", bao, "x", money) // who has no case
	expect("created:a")
	if first := h.got[0]; len(first.Data) != 5 || first.Data["income"] != true || strings.Contains(fmt.Sprint(first.Data), money) {
		t.Fatal(first)
	}
	r.welfare("W1", anna, "b", money)
	expect("updated:b")
	// What was not read is replaced by what the record is now.
	for _, change := range [][2]string{{"W1", "c"}, {"W3", "d"}, {"W1", "e"}} {
		r.welfare(change[0], anna, change[1], money)
		r.done(s, c)
	}
	expect("created:d updated:e")
	r.publish("welfare", row(change.Delete, "W3", anna, "", "", ""))
	expect("deleted:<nil>")
	r.welfare("W3", anna, "f", money)
	expect("created:f")
	// What was made and changed unread is made, and what was deleted and made again unread is changed.
	r.welfare("W4", anna, "g", money)
	r.done(s, c)
	r.welfare("W4", anna, "h", money)
	r.publish("welfare", row(change.Delete, "W3", anna, "", "", ""))
	r.done(s, c)
	r.welfare("W3", anna, "i", money)
	expect("created:h updated:i")

	// A case that is closed between event and reading; the deletion of a record likewise.
	r.open("C2", chen, "birth")
	r.welfare("W5", chen, "j", money)
	expect("created:j")
	r.publish("welfare", row(change.Delete, "W5", chen, "", "", ""))
	r.welfare("W6", chen, "k", money)
	r.done(s, c)
	r.until("both lie there", func() bool { return r.lying(c) == 2 })
	r.close("C2", chen, "birth")
	expect2 := func(want string) { t.Helper(); r.empties(c); expect(want) }
	expect2("")

	// A grant that becomes narrower: what lay there is replaced by what may be shown now.
	r.welfare("W1", anna, "l", money)
	r.done(s, c)
	r.grant("G2", "welfare", map[string]sharing.Mask{"level": sharing.Hashed}, "birth")
	before := len(h.got)
	r.revoke("G1")
	r.until("what lies there is hashed", func() bool {
		return len(r.peek(c)) == 1 && r.peek(c)[0].Data["level"] == HashedFor(r.hasher, "hall", "l")
	})
	expect("updated:" + HashedFor(r.hasher, "hall", "l"))
	if last := h.got[before]; len(last.Data) != 2 {
		t.Fatal(last)
	}

	// A grant that is revoked between event and reading: nothing is there to be read, whether the record was known or not.
	r.welfare("W1", anna, "m", money)
	r.welfare("W7", anna, "n", money)
	r.done(s, c)
	r.revoke("G2")
	r.empties(c)
	expect("")
	r.grant("G3", "welfare", masks, "birth")
	r.welfare("W1", anna, "o", money)
	r.welfare("W7", anna, "p", money)
	expect("updated:o created:p")
	logged := map[string]bool{}
	for len(accesses.list) > 0 {
		a := <-accesses.list
		logged[strings.TrimPrefix(a.Reason, "subscription: event ")] = a.CaseNumber != "" && len(a.Persons) == 1 && a.Caller == "subscription/hall_welfare"
	}
	for _, a := range h.got {
		if !logged[a.ID] {
			t.Errorf("the event %s was read and is not in the log of accesses", a.ID)
		}
	}
	for where, text := range map[string]string{"log": r.lines.String(), "state": r.dump()} {
		for _, private := range []string{anna, anna[:14], money, "secret-note"} {
			if strings.Contains(text, private) {
				t.Errorf("the %s holds %q:\n%s", where, private, text)
			}
		}
	}
}

// peek is what lies in the outbox.
func (r *rig) peek(c county.Subscription) (out []arrived) {
	r.Helper()
	js, err := jetstream.New(r.nc)
	r.must(err)
	stream, err := js.Stream(r.Context(), bus.OutboxStream(r.county, "hall"))
	r.must(err)
	info, err := stream.Info(r.Context(), jetstream.WithSubjectFilter("outbox."+r.county+".hall."+c.Name+".*"))
	r.must(err)
	for subject := range info.State.Subjects {
		msg, err := stream.GetLastMsgForSubject(r.Context(), subject)
		if err != nil {
			continue // it was removed meanwhile
		}
		var a arrived
		r.must(json.Unmarshal(msg.Data, &a))
		out = append(out, a)
	}
	return out
}

// Nothing is put where it can be read before it is in the log.
func TestNoOutboxWithoutTheLog(t *testing.T) {
	r := newRig(t)
	r.grant("G1", "welfare", masks, "birth")
	r.open("C1", anna, "birth")
	broken, err := nats.Connect(engines.NATS().URL, engines.NATS().InProcess()...)
	r.must(err)
	dead := r.auditLog(broken)
	broken.Close()
	c := r.reads("welfare")
	stop := r.serve(r.tending(func(o *Options) { o.Accesses = dead }), c)
	r.welfare("W1", anna, "a", money)
	r.until("it was tried", func() bool { return strings.Contains(r.lines.String(), "cannot be written to the audit log") })
	stop()
	if n := r.lying(c); n != 0 {
		t.Fatalf("%d messages lie there", n)
	}
	s := r.tending(nil)
	r.serve(s, c)
	r.done(s, c)
	if got := short(r.hall(c).take(9)); got != "created:a" {
		t.Fatal(got)
	}
}

// Killed at whatever step, each event is in the outbox once, and the department that reads meanwhile has everything in the end.
func TestOutboxKilledAtEveryStep(t *testing.T) {
	r := newRig(t)
	r.grant("G1", "welfare", masks, "birth")
	r.open("C1", anna, "birth")
	c := r.reads("welfare")
	stop := r.serve(r.tending(nil), c)
	h := r.hall(c)
	stop()
	var mu sync.Mutex
	tried := map[string]bool{} // ids of the events that were to be stored
	tap, err := r.nc.Subscribe("outbox."+r.county+".>", func(m *nats.Msg) {
		mu.Lock()
		defer mu.Unlock()
		tried[m.Header.Get(jetstream.MsgIDHeader)] = true
	})
	r.must(err)
	r.must(r.nc.Flush())
	steps := map[string]int{}
	// Killed when an event was put there and nobody had noted it, and read and acknowledged before the next start.
	for i, step := range []string{"sent", "announced", "sent"} {
		r.welfare("W9", anna, fmt.Sprint(step, i), money)
		dying := r.tending(nil)
		dying.behead = killedAt(step)
		r.must(dying.Run(t.Context(), []county.Subscription{c}))
		h.take(9)
		s := r.tending(nil)
		stop := r.serve(s, c)
		r.done(s, c)
		h.take(9)
		r.empties(c)
		stop()
	}
	if got := short(h.got); got != "created:sent0 updated:announced1 updated:sent2" {
		t.Fatal(got)
	}
	for n := 1; n <= 20; n++ {
		r.send("welfare", row(change.Update, "W1", anna, fmt.Sprint("a", n), money, ""), row(change.Update, "W2", anna, fmt.Sprint("b", n), money, ""))
		r.load()
		if n%3 == 0 {
			r.send("welfare", row(change.Delete, "W1", anna, "", "", ""))
		}
		r.send("welfare", row(change.Update, "W3", anna, fmt.Sprint("c", n), money, ""))
		r.load()
		for half := range 2 { // the second time nothing has changed since the first
			s := r.tending(nil)
			seen := 0
			s.behead = func(step string) error {
				if seen++; seen == (7*n+3*half)%15+1 {
					steps[step]++
					return errKilled
				}
				return nil
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- s.Run(ctx, []county.Subscription{c}) }()
			select {
			case err := <-done:
				r.must(err)
			case <-time.After(200 * time.Millisecond): // there were not so many steps
				cancel()
				<-done
			}
			cancel()
			h.take(1 + (n+half)%3)
		}
	}
	for _, step := range []string{"composed", "audited", "announced", "sent", "noted", "moved", "read"} {
		if steps[step] == 0 {
			t.Errorf("it was never killed at %s: %v", step, steps)
		}
	}
	s := r.tending(nil)
	r.serve(s, c)
	r.done(s, c)
	h.take(100)
	r.empties(c)
	state, last := map[string]string{}, map[string]uint64{}
	for _, a := range h.got {
		var version uint64
		if _, err := fmt.Sscanf(strings.Split(a.ID, "-")[1], "%d", &version); err != nil || version <= last[a.record()] {
			t.Errorf("a record's events came out of order: %v", a)
		}
		last[a.record()], state[a.record()] = version, fmt.Sprint(a.Data["level"])
	}
	for key, want := range map[string]string{"W1": "a20", "W2": "b20", "W3": "c20"} {
		if got := state[s.recordID("welfare", key).String()]; got != want {
			t.Errorf("the department has %s of %s and not %s", got, key, want)
		}
	}
	r.must(tap.Unsubscribe())
	js, err := jetstream.New(r.nc)
	r.must(err)
	stream, err := js.Stream(t.Context(), bus.OutboxStream(r.county, "hall"))
	r.must(err)
	mu.Lock()
	defer mu.Unlock()
	if stored := stream.CachedInfo().State.LastSeq; stored != uint64(len(tried)) || stored < 20 {
		t.Errorf("%d messages were stored of %d events", stored, len(tried))
	}
}

// A department that does not read: its outbox takes so much, what comes then waits and is parked, and what lay there too long is
// parked as well.
func TestOutboxThatNobodyReads(t *testing.T) {
	r := newRig(t)
	r.grant("G1", "welfare", masks, "birth")
	r.open("C1", anna, "birth")
	c := r.reads("welfare")
	c.Outbox.Records = 2
	var ahead atomic.Int64
	clock := func(o *Options) { o.Clock = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) } }
	s := r.tending(clock)
	roads := r.reads("roads") // whose room in the department's stream is not this one's
	stop := r.serve(s, c, roads)
	follows := Follows{c.Name, c.Dataset}
	r.welfare("W1", anna, "a", money)
	r.welfare("W2", anna, "b", money)
	r.done(s, c)
	r.welfare("W1", anna, "c", money) // needs no room
	r.done(s, c)
	r.welfare("W3", anna, "d", money)
	r.until("it is told that the outbox is full", func() bool {
		p := r.progress(s, c)
		return p.Trouble != nil && strings.Contains(p.Trouble.Reason, "full") && p.Trouble.Tries > 1
	})
	h := r.hall(c)
	if got := short(h.take(1)); got != "created:b" {
		t.Fatal(got)
	}
	r.done(s, c) // there is room
	if p := r.progress(s, c); p.Trouble != nil || p.Parked != 0 || r.lying(c) != 2 {
		t.Fatalf("%+v", p)
	}
	// For so long it is tried, then the next one's turn comes; nothing that lies there is removed for it.
	stop()
	c.ParkAfter = 1
	s = r.tending(clock)
	stop = r.serve(s, c, roads)
	r.welfare("W4", anna, "e", money)
	r.welfare("W5", anna, "f", money)
	r.done(s, c)
	if p := r.progress(s, c); p.Parked != 2 || r.lying(c) != 2 {
		t.Fatalf("%+v", p)
	}
	if got := short(h.take(9)); got != "created:c created:d" {
		t.Fatal(got)
	}
	r.empties(c)
	r.must(s.book.Retry(t.Context(), follows, pseudonym.ID{}, time.Now()))
	r.until("what was parked lies there", func() bool { return r.progress(s, c).Parked == 0 })
	if n := r.lying(c); n != 2 {
		t.Fatal(n)
	}
	// What lay there too long is parked, and can be put there again.
	ahead.Store(int64(2 * time.Hour))
	r.until("what was not read is parked", func() bool { return r.progress(s, c).Parked == 2 })
	r.empties(c)
	if list, err := s.book.Parked(t.Context(), follows); err != nil || !strings.Contains(list[0].Reason, "did not read") {
		t.Fatal(list, err)
	}
	if got := short(h.take(9)); got != "" {
		t.Fatal(got)
	}
	ahead.Store(0)
	r.must(s.book.Retry(t.Context(), follows, pseudonym.ID{}, time.Now()))
	r.until("what was parked lies there", func() bool { return r.progress(s, c).Parked == 0 })
	if got := short(h.take(9)); got != "created:e created:f" && got != "created:f created:e" {
		t.Fatal(got)
	}
	r.empties(c)
	// The server's own bound, by size: an event that does not fit is refused, and what lies there stays.
	stop()
	c.Outbox.Records, c.Outbox.Bytes = 100, 5<<10
	s = r.tending(clock)
	r.serve(s, c) // with all the bytes to itself
	for _, key := range []string{"W6", "W7", "W8"} {
		r.welfare(key, anna, strings.Repeat("x", 1500), money)
	}
	r.done(s, c)
	if p := r.progress(s, c); p.Parked != 1 || r.lying(c) != 2 {
		t.Fatalf("%+v, %d lie there", p, r.lying(c))
	}
}

// Killed while a revoked grant empties the outbox; a stream that is lost; a subscription that is delivered otherwise from now on.
func TestOutboxThatIsGone(t *testing.T) {
	r := newRig(t)
	r.grant("G1", "welfare", masks, "birth")
	r.open("C1", anna, "birth")
	c := r.reads("welfare")
	s := r.tending(nil)
	stop := r.serve(s, c)
	r.welfare("W1", anna, "a", money)
	r.done(s, c)
	stop()
	dying := r.tending(nil)
	dying.behead = killedAt("emptied")
	r.revoke("G1")
	r.must(dying.Run(t.Context(), []county.Subscription{c}))
	r.empties(c)
	r.grant("G2", "welfare", masks, "birth")
	s = r.tending(nil)
	stop = r.serve(s, c)
	r.until("what was not read is there again, now that it may be", func() bool { return r.lying(c) == 1 })
	stop()

	js, err := jetstream.New(r.nc)
	r.must(err)
	r.must(js.DeleteStream(t.Context(), bus.OutboxStream(r.county, "hall")))
	s = r.tending(nil)
	stop = r.serve(s, c)
	r.until("what was not read is there again", func() bool {
		_, err := js.Stream(t.Context(), bus.OutboxStream(r.county, "hall"))
		return err == nil && r.lying(c) == 1
	})
	h := r.hall(c)
	if got := short(h.take(9)); got != "created:a" {
		t.Fatal(got)
	}
	r.empties(c)
	r.welfare("W1", anna, "b", money)
	r.welfare("W2", anna, "c", money)
	r.done(s, c)
	if got := short(h.take(1)); got != "updated:b" {
		t.Fatal(got)
	}
	r.until("it is noted that one was read", func() bool { return r.lying(c) == 1 })
	stop()

	// To a webhook: nothing stays where nobody reads it, and what nobody read is sent.
	if n, err := Sweep(t.Context(), r.bus, []county.Subscription{c}); err != nil || n != 0 {
		t.Fatal(n, err)
	}
	w := r.config("welfare")
	if n, err := Sweep(t.Context(), r.bus, []county.Subscription{w}); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	s = r.tending(nil)
	stop = r.serve(s, w)
	r.until("what nobody read is sent", func() bool { return short(r.receiver.events()) == "created:c" })
	r.welfare("W1", anna, "d", money)
	r.done(s, w)
	if got := short(r.receiver.events()); got != "created:c updated:d" {
		t.Fatal(got)
	}
	stop()
	// And back.
	r.receiver.answers(func(http.ResponseWriter, *http.Request) bool { t.Error("the webhook is called"); return false })
	s = r.tending(nil)
	r.serve(s, c)
	r.welfare("W1", anna, "e", money)
	r.done(s, c)
	if got := short(r.hall(c).take(9)); got != "updated:e" {
		t.Fatal(got)
	}
}
