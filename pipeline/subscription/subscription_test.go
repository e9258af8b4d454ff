package subscription

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shirecounty/shire/pipeline/audit"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/pseudonym"
	"github.com/shirecounty/shire/schemas/sharing"
)

// counted writes accesses down and counts them.
type counted struct {
	*audit.Log
	list chan audit.Access
}

func (c counted) Record(ctx context.Context, a audit.Access) error {
	if err := c.Log.Record(ctx, a); err != nil {
		return err
	}
	c.list <- a
	return nil
}

// What is sent is what is granted of the records of those who have an open case, and nothing else ever.
func TestWhatIsSent(t *testing.T) {
	r := newRig(t)
	accesses := counted{r.log, make(chan audit.Access, 100)}
	s := r.service(func(o *Options) { o.Accesses = accesses })
	c := r.config("welfare")
	r.grant("G1", "welfare", masks, "birth")
	r.welfare("W0", anna, "old", money) // before the subscription began
	r.receiver.before = func(a arrived) {
		if len(accesses.list) == 0 {
			t.Errorf("%v was sent before it was in the log", a)
		}
	}
	r.serve(s, c)
	expect := func(want string) {
		t.Helper()
		r.done(s, c)
		if got := short(r.receiver.events()); got != want {
			t.Fatalf("sent %s\nwant %s", got, want)
		}
	}
	r.welfare("W1", anna, "a", money) // nobody has a case
	expect("")
	r.open("C1", anna, "birth")
	r.open("C2", bao, "death") // an item that is not granted
	r.welfare("W1", anna, "b", money)
	r.welfare("W2", bao, "c", money)
	expect("created:b")
	access := <-accesses.list
	if access.CaseNumber != "C1" || access.ItemCode != "birth" || access.Purpose != "eligibility" || access.Caller != "subscription/hall_welfare" || len(access.Persons) != 1 ||
		strings.Join(access.Fields, " ") != "card income level number" || access.Decision != "granted" {
		t.Fatalf("%+v", access)
	}
	first := r.receiver.events()[0]
	text, _ := json.Marshal(first.Data)
	if want := fmt.Sprintf(`{"card":"110***********002X","income":true,"level":"b","number":"W1","shire_record":"%s"}`, s.recordID("welfare", "W1")); string(text) != want {
		t.Fatalf("%s\nwant %s", text, want)
	}
	accesses.list <- access // for the next
	// What nobody may see may change without anybody's being told.
	r.publish("welfare", row(change.Update, "W1", anna, "b", "another income", "another note"))
	expect("created:b")
	r.welfare("W1", anna, "d", "")
	expect("created:b updated:d")
	// Who only acts for somebody else is no applicant.
	r.publish("hall_cases", row(change.Update, "C3", bao, chen, "birth", ""))
	r.welfare("W3", chen, "e", money)
	r.welfare("W2", bao, "f", money)
	expect("created:b updated:d created:f")
	// A deletion is told to who was told of the record, while it may see it, and to nobody else.
	r.publish("welfare", row(change.Delete, "W3", chen, "e", money, ""), row(change.Delete, "W1", anna, "d", "", ""))
	expect("created:b updated:d created:f deleted:<nil>")
	if last := r.receiver.events()[3]; last.record() != first.record() || len(last.Data) != 1 {
		t.Fatal(last)
	}
	r.welfare("W1", anna, "g", money)
	expect("created:b updated:d created:f deleted:<nil> created:g")
	// A closed case ends it, also for the deletion.
	r.close("C1", anna, "birth")
	r.welfare("W1", anna, "h", money)
	r.publish("welfare", row(change.Delete, "W1", anna, "", "", ""))
	expect("created:b updated:d created:f deleted:<nil> created:g")
	// So does the grant's end, at the next event; and another one lets it go on.
	r.revoke("G1")
	r.welfare("W2", bao, "i", money)
	expect("created:b updated:d created:f deleted:<nil> created:g")
	r.grant("G2", "welfare", map[string]sharing.Mask{"level": sharing.Hashed}, "birth")
	r.welfare("W2", bao, "j", money)
	r.done(s, c)
	list := r.receiver.events()
	want := HashedFor(r.hasher, "hall", "j")
	if len(list) != 6 || list[5].Data["level"] != want || len(list[5].Data) != 2 || list[5].Type != "shire.welfare.updated" {
		t.Fatal(short(list), want)
	}
	if r.rejected > 0 {
		t.Fatalf("%d rows were refused: the test proves less than it should", r.rejected)
	}
}

// A dataset about nobody needs no case; the same grant on one about people shows nothing.
func TestWhatIsAboutNobody(t *testing.T) {
	r := newRig(t)
	s := r.service(func(o *Options) { o.Accesses = nil }) // nothing of it is an access to personal data
	c := r.config("roads")
	c.Fields = []string{"state"}
	r.grant("G1", "roads", map[string]sharing.Mask{"state": sharing.Full, "budget": sharing.Full}, "birth")
	r.serve(s, c)
	r.publish("roads", row(change.Create, "R1", "open", "9", "2026-03-02"), row(change.Create, "R2", "shut", "9", "2026-03-02"))
	r.done(s, c)
	list := r.receiver.events()
	if len(list) != 2 || list[0].Data["state"] != "open" || len(list[0].Data) != 2 {
		t.Fatal(list)
	}
	r.revoke("G1")
	r.publish("roads", row(change.Delete, "R1", "", "", ""))
	r.done(s, c)
	if list := r.receiver.events(); len(list) != 2 {
		t.Fatal(list)
	}
}

// While the log of accesses cannot be written, nothing is sent.
func TestNothingWithoutTheLog(t *testing.T) {
	r := newRig(t)
	r.grant("G1", "welfare", masks, "birth")
	r.open("C1", anna, "birth")
	broken, err := nats.Connect(engines.NATS().URL, engines.NATS().InProcess()...)
	r.must(err)
	dead := r.auditLog(broken)
	broken.Close()
	s := r.service(func(o *Options) { o.Accesses = dead })
	c := r.config("welfare")
	stop := r.serve(s, c)
	r.welfare("W1", anna, "a", money)
	r.until("it was tried", func() bool { return strings.Contains(r.lines.String(), "cannot be written to the audit log") })
	stop()
	if n := r.receiver.tries(); n != 0 {
		t.Fatalf("%d requests were made", n)
	}
	s = r.service(nil)
	r.serve(s, c)
	r.done(s, c)
	if got := short(r.receiver.events()); got != "created:a" {
		t.Fatal(got)
	}
}

// Killed at whatever step, a subscription goes on: nothing is lost, and what is sent again has the id and the content that it had.
func TestKilledAtEveryStep(t *testing.T) {
	r := newRig(t)
	r.grant("G1", "welfare", masks, "birth")
	r.open("C1", anna, "birth")
	r.open("C2", bao, "birth")
	c := r.config("welfare")
	stop := r.serve(r.service(nil), c) // it begins
	stop()
	r.receiver.answers(func(w http.ResponseWriter, _ *http.Request) bool {
		if r.receiver.tries()%5 != 3 {
			return false
		}
		w.WriteHeader(http.StatusBadRequest)
		return true
	})
	steps := map[string]int{}
	for n := 1; n <= 28; n++ {
		r.send("welfare", row(change.Update, "W1", anna, fmt.Sprint("a", n), money, ""), row(change.Update, "W2", bao, fmt.Sprint("b", n), money, ""))
		r.load()
		if n%3 == 0 {
			r.send("welfare", row(change.Delete, "W1", anna, "", "", ""))
		}
		r.send("welfare", row(change.Update, "W3", anna, fmt.Sprint("c", n), money, ""))
		r.load()
		s := r.service(nil)
		seen := 0
		s.behead = func(step string) error {
			if seen++; seen == n%14+1 {
				steps[step]++
				return errKilled
			}
			return nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx, []county.Subscription{c}) }()
		last, err := r.bus.LastOn(t.Context(), r.bus.ChangesSubject("civil", "welfare"))
		r.must(err)
		ended := false
		r.until("it is killed, or has read everything", func() bool {
			select {
			case err := <-done:
				r.must(err)
				ended = true
			default: // there were not so many steps
			}
			return ended || r.progress(s, c).Position >= last
		})
		if cancel(); !ended {
			<-done
		}
	}
	for _, step := range []string{"composed", "audited", "announced", "sent", "noted", "moved", "parked"} {
		if steps[step] == 0 {
			t.Errorf("it was never killed at %s: %v", step, steps)
		}
	}
	r.receiver.answers(nil)
	s := r.service(nil)
	r.serve(s, c)
	r.done(s, c)
	r.must(s.book.Retry(t.Context(), Follows{c.Name, c.Dataset}, pseudonym.ID{}, time.Now()))
	r.until("everything that was parked is sent", func() bool { return r.progress(s, c).Parked == 0 })
	contents, state, last := map[string]string{}, map[string]string{}, map[string]uint64{}
	for _, a := range r.receiver.events() {
		text, _ := json.Marshal(a.Data)
		if had, again := contents[a.ID]; again && had != string(text) {
			t.Errorf("the id %s was given to two events", a.ID)
		} else if again {
			continue // who takes each id once does no harm by it
		}
		contents[a.ID] = string(text)
		var version uint64
		if _, err := fmt.Sscanf(strings.Split(a.ID, "-")[1], "%d", &version); err != nil || version <= last[a.record()] {
			t.Errorf("a record's events came out of order: %v", a)
		}
		last[a.record()], state[a.record()] = version, fmt.Sprint(a.Data["level"])
	}
	for key, want := range map[string]string{"W1": "a28", "W2": "b28", "W3": "c28"} {
		if got := state[s.recordID("welfare", key).String()]; got != want {
			t.Errorf("the receiver has %s of %s and not %s", got, key, want)
		}
	}
}

// A record that goes back to what it was, after a kill that left unsaid whether the receiver has what it was in between.
func TestBackToWhatItWas(t *testing.T) {
	r := newRig(t)
	r.grant("G1", "welfare", masks, "birth")
	r.open("C1", anna, "birth")
	c := r.config("welfare")
	s := r.service(nil)
	stop := r.serve(s, c)
	r.welfare("W1", anna, "a", money)
	r.done(s, c)
	stop()
	r.welfare("W1", anna, "b", money)
	dying := r.service(nil)
	dying.behead = killedAt("sent")
	r.must(dying.Run(t.Context(), []county.Subscription{c}))
	r.welfare("W1", anna, "a", money)
	s = r.service(nil)
	r.serve(s, c)
	r.done(s, c)
	if got := short(r.receiver.events()); got != "created:a updated:b updated:a" {
		t.Fatal(got)
	}
}

func (r *rig) dump() string {
	r.Helper()
	js, err := jetstream.New(r.nc)
	r.must(err)
	kv, err := js.KeyValue(r.Context(), Bucket)
	r.must(err)
	list, err := kv.ListKeys(r.Context())
	r.must(err)
	var out strings.Builder
	for k := range list.Keys() {
		e, err := kv.Get(r.Context(), k)
		r.must(err)
		out.WriteString(k + " " + string(e.Value()) + "\n")
	}
	return out.String()
}

// Receivers that are not well: what is sent meanwhile, what is parked, what waits.
func TestReceiversThatAreNotWell(t *testing.T) {
	r := newRig(t)
	r.grant("G1", "welfare", masks, "birth")
	r.open("C1", anna, "birth")
	c := r.config("welfare")
	var elsewhere = newReceiver(t)
	s := r.service(nil)
	stop := r.serve(s, c)
	level := 0
	next := func() string { level++; return fmt.Sprint("v", level) }
	follows := Follows{c.Name, c.Dataset}

	for name, answer := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"an error of its own": status(500),
		"too many": func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Retry-After", "0")
			return status(429)(w, nil)
		},
		"wrong secret": status(401),
		"a redirect": func(w http.ResponseWriter, q *http.Request) bool {
			http.Redirect(w, q, elsewhere.URL, http.StatusTemporaryRedirect)
			return true
		},
	} {
		before, want := r.receiver.tries(), next()
		r.receiver.answers(answer)
		r.welfare("W1", anna, want, money)
		r.until(name+": it is tried again", func() bool { return r.receiver.tries() >= before+3 })
		p := r.progress(s, c)
		if p.Trouble == nil || p.Trouble.Tries < 1 || p.Parked != 0 {
			t.Fatalf("%s: %+v", name, p)
		}
		r.receiver.answers(nil)
		r.until(name+": it is sent in the end", func() bool {
			list := r.receiver.events()
			return len(list) > 0 && list[len(list)-1].Data["level"] == want
		})
		r.done(s, c)
		if p := r.progress(s, c); p.Trouble != nil {
			t.Fatalf("%s: the trouble stays: %+v", name, p)
		}
	}
	// One that does not answer in time is another address: what is slow to answer here may have been taken.
	stop()
	deaf, toDeaf, hasty := newReceiver(t), c, r.service(nil)
	deaf.answers(func(_ http.ResponseWriter, q *http.Request) bool { <-q.Context().Done(); return true })
	toDeaf.Webhook.URL, hasty.web.Timeout = deaf.URL, 100*time.Millisecond
	stop = r.serve(hasty, toDeaf)
	late := next()
	r.welfare("W1", anna, late, money)
	r.until("it is tried again", func() bool { return deaf.tries() >= 3 })
	if p := r.progress(hasty, c); p.Trouble == nil || !strings.Contains(p.Trouble.Reason, "in time") || p.Parked != 0 {
		t.Fatalf("not in time: %+v", p)
	}
	stop()
	stop = r.serve(s, c)
	r.done(s, c)
	if p := r.progress(s, c); p.Trouble != nil || !strings.HasSuffix(short(r.receiver.events()), ":"+late) {
		t.Fatalf("not in time: %+v, %s", p, short(r.receiver.events()))
	}
	if n := elsewhere.tries(); n != 0 {
		t.Fatalf("a redirect was followed %d times", n)
	}

	// An event that is not taken is parked, and the others go on.
	bad := s.recordID("welfare", "W1")
	r.receiver.answers(status(422))
	r.welfare("W1", anna, next(), money)
	r.done(s, c)
	r.receiver.answers(nil)
	r.welfare("W2", anna, "other", money)
	r.done(s, c)
	parked, err := s.book.Parked(t.Context(), follows)
	if err != nil || len(parked) != 1 || parked[0].Record != bad || !strings.Contains(parked[0].Reason, "422") || !strings.HasSuffix(short(r.receiver.events()), "created:other") {
		t.Fatalf("%+v, %v, %s", parked, err, short(r.receiver.events()))
	}
	// Sent by command, as it is now.
	r.must(s.book.Retry(t.Context(), follows, bad, time.Now()))
	r.until("what was parked is sent", func() bool { return r.progress(s, c).Parked == 0 })
	if list := r.receiver.events(); list[len(list)-1].record() != bad.String() {
		t.Fatal(short(list))
	}
	// Dropped by command: it stays listed until the record changes again.
	r.receiver.answers(status(400))
	r.welfare("W1", anna, next(), money)
	r.done(s, c)
	r.must(s.book.Drop(t.Context(), follows, bad, "the receiver was told by telephone", time.Now()))
	r.must(s.book.Retry(t.Context(), follows, pseudonym.ID{}, time.Now()))
	r.receiver.answers(nil)
	r.until("the order is done", func() bool {
		var order again
		revision, err := s.book.get(t.Context(), s.book.key(follows, "again"), &order)
		return err == nil && revision == 0
	})
	if p := r.progress(s, c); p.Dropped != 1 || p.Parked != 0 {
		t.Fatalf("%+v", p)
	}
	if err := s.book.Drop(t.Context(), follows, s.recordID("welfare", "W2"), "x", time.Now()); err != ErrNotParked {
		t.Fatal(err)
	}
	r.welfare("W1", anna, next(), money)
	r.done(s, c)
	if p := r.progress(s, c); p.Dropped != 0 {
		t.Fatalf("%+v", p)
	}

	// A receiver that is gone is told nothing more, not after a restart either, until a person says so.
	r.receiver.answers(status(410))
	want := next()
	r.welfare("W1", anna, want, money)
	r.until("it is held", func() bool { p := r.progress(s, c); return p.Trouble != nil && p.Trouble.Held })
	stop()
	tries := r.receiver.tries()
	s = r.service(nil)
	stop = r.serve(s, c)
	r.welfare("W2", anna, "more", money)
	time.Sleep(100 * time.Millisecond) // it would be sent by now
	if n := r.receiver.tries(); n != tries {
		t.Fatalf("a receiver that is gone was sent %d requests", n-tries)
	}
	r.receiver.answers(nil)
	r.must(s.book.Retry(t.Context(), follows, pseudonym.ID{}, time.Now()))
	r.done(s, c)
	if got := short(r.receiver.events()); !strings.HasSuffix(got, "updated:"+want+" updated:more") {
		t.Fatal(got)
	}

	// One that is never well: after so long the next one's turn comes.
	stop()
	c.ParkAfter = 1
	stop = r.serve(s, c)
	r.receiver.answers(status(503))
	r.welfare("W1", anna, next(), money)
	r.done(s, c)
	if p := r.progress(s, c); p.Parked != 1 || p.Trouble != nil {
		t.Fatalf("%+v", p)
	}
	// A grant that ends while a record is parked: nothing of it is sent.
	r.revoke("G1")
	r.receiver.answers(nil)
	n := len(r.receiver.events())
	r.must(s.book.Retry(t.Context(), follows, pseudonym.ID{}, time.Now()))
	r.until("nothing is parked", func() bool { return r.progress(s, c).Parked == 0 })
	if list := r.receiver.events(); len(list) != n {
		t.Fatal(short(list))
	}
	stop()
	// I7: nothing of a person stands in the log or in the state.
	for where, text := range map[string]string{"log": r.lines.String(), "state": r.dump()} {
		for _, private := range []string{anna, anna[:14], money, "secret-note", "v1", secret} {
			if strings.Contains(text, private) {
				t.Errorf("the %s holds %q:\n%s", where, private, text)
			}
		}
	}
	if !strings.Contains(r.lines.String(), "parked") {
		t.Error("the log does not tell of what was parked")
	}
}
