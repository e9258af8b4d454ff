package pipeline_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/sharing"
)

func (r *rig) exchange() *pipeline.Exchange {
	set := r.contract(1)
	return pipeline.NewExchange(r.bus, func() sharing.World {
		return sharing.World{Contracts: set, Purposes: []string{"eligibility"}, Lead: "data_bureau"}
	})
}

func (r *rig) terms() *sharing.Terms {
	from := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	return &sharing.Terms{Dataset: r.dataset, Fields: map[string]sharing.Mask{"item": sharing.Full}, Purpose: "eligibility", Items: []string{"I"}, From: from, Until: from.AddDate(1, 0, 0)}
}

// Several exchanges act on one bus at once. Each act that was accepted could be done when it was; all see the same requests; a new
// one makes them of the bus; and the warehouse has each act once.
func TestExchangesAgree(t *testing.T) {
	r := newRig(t)
	exchanges := []*pipeline.Exchange{r.exchange(), r.exchange(), r.exchange()}
	acts := []sharing.Act{sharing.Submit, sharing.GiveBack, sharing.Resubmit, sharing.Approve, sharing.Refuse, sharing.Deliver, sharing.Suspend, sharing.Resume, sharing.Revoke}
	var mu sync.Mutex
	done, refused := 0, 0
	run := fmt.Sprint("agreed ", time.Now().UnixNano(), " ") // the warehouse is that of all tests
	var wait sync.WaitGroup
	for n, x := range exchanges {
		random := rand.New(rand.NewPCG(uint64(n), 9))
		wait.Go(func() {
			for range 100 {
				e := sharing.Event{Request: fmt.Sprint(run, random.IntN(4)), Act: acts[random.IntN(len(acts))], At: time.Now(), Department: []string{"hall", "civil_affairs", "data_bureau"}[random.IntN(3)],
					Reason: "why", Ground: "law", Terms: r.terms()}
				_, err := x.Do(t.Context(), e, "王五")
				var no *sharing.Refusal
				mu.Lock()
				switch {
				case err == nil:
					done++
				case errors.As(err, &no):
					refused++
				default:
					t.Error(err)
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	if done < 10 || refused < 10 {
		t.Fatalf("%d done, %d refused: this proved little", done, refused)
	}
	want, err := r.exchange().Requests(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, request := range want {
		list, err := exchanges[0].Acts(t.Context(), request.ID)
		if err != nil {
			t.Fatal(err)
		}
		// Each could be done when it was.
		var again *sharing.Request
		for i, a := range list {
			e, err := sharing.World{Contracts: r.contract(1), Purposes: []string{"eligibility"}, Lead: "data_bureau"}.Accept(again, a.Event)
			if err != nil || a.Number != i+1 || a.By != "王五" {
				t.Fatalf("act %d of %s: %v", i+1, request.ID, err)
			}
			again = sharing.Fold(again, e)
		}
		count += len(list)
	}
	if count != done {
		t.Fatalf("%d acts stand on the bus, %d were accepted", count, done)
	}
	for _, x := range exchanges {
		got, err := x.Requests(t.Context())
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("an exchange sees other requests: %v", err)
		}
	}
	last, err := r.bus.LastOn(t.Context(), r.bus.ChangesSubject(contract.OwnDepartment, contract.Acts))
	if err != nil {
		t.Fatal(err)
	}
	r.loadThrough(r.contract(1), last)
	if got := r.strings("SELECT toString(countDistinct(request, number)) FROM store.sharing_acts FINAL WHERE dataset = 'sharing_acts' AND startsWith(request, '" + run + "') AND act != '' AND acted_by NOT IN ('', '王五')")[0]; got != fmt.Sprint(done) {
		t.Fatalf("the warehouse has %s acts of %d", got, done)
	}
}

func TestExchangeMistakes(t *testing.T) {
	r := newRig(t)
	x := r.exchange()
	e := sharing.Event{Request: "R", Act: sharing.Submit, At: time.Now(), Department: "civil_affairs", Terms: r.terms()}
	for want, spoil := range map[string]func(e *sharing.Event) string{
		"gives a name":              func(*sharing.Event) string { return "  " },
		"of at most 100":            func(*sharing.Event) string { return strings.Repeat("字", 101) },
		"the number of the request": func(e *sharing.Event) string { e.Request = ""; return "x" },
		"and ground 2000":           func(e *sharing.Event) string { e.Ground = strings.Repeat("字", 2001); return "x" },
		"at most 60":                func(e *sharing.Event) string { e.Request = strings.Repeat("r", 61); return "x" },
		"does not exist":            func(e *sharing.Event) string { e.Act = sharing.Approve; return "x" },
		"2000 each":                 func(e *sharing.Event) string { e.Reason = strings.Repeat("字", 2001); return "x" },
		"has no dataset set":        func(e *sharing.Event) string { e.Terms.Dataset = "set"; return "x" },
	} {
		bad := e
		bad.Terms = r.terms()
		by := spoil(&bad)
		var no *sharing.Refusal
		if _, err := x.Do(t.Context(), bad, by); !errors.As(err, &no) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
	if list, err := x.Requests(t.Context()); err != nil || len(list) != 0 {
		t.Fatal(list, err)
	}
	// Who acts by a clock that is behind acts after what was done before.
	e.At = time.Now()
	asked, err := x.Do(t.Context(), e, "a")
	if err != nil {
		t.Fatal(err)
	}
	approved, err := x.Do(t.Context(), sharing.Event{Request: "R", Act: sharing.Approve, At: e.At.Add(-time.Hour), Department: "hall"}, "b")
	if err != nil || approved.State != sharing.Approved || !approved.Since.Equal(asked.Since) {
		t.Fatalf("%+v, %v", approved, err)
	}
	acts, err := x.Acts(t.Context(), "R")
	if err != nil || len(acts) != 2 || acts[1].By != "b" {
		t.Fatal(acts, err)
	}
	acts[0].By = "nobody"
	if again, err := x.Acts(t.Context(), "R"); err != nil || again[0].By != "a" {
		t.Fatal("who reads the acts can change them")
	}
}

// What somebody else writes on the subject stops sharing, and is told, each kind of what is no act that can follow.
func TestActsOfSomebodyElse(t *testing.T) {
	r := newRig(t)
	set := r.contract(1)
	terms, err := json.Marshal(r.terms())
	if err != nil {
		t.Fatal(err)
	}
	const at = "2030-03-02T09:00:00Z"
	for name, c := range map[string]change.Change{
		"without a time":             {Op: change.Create, Values: []string{"R", "2", "approve", "", "hall", ""}},
		"without a number":           {Op: change.Create, Values: []string{"R", "", "approve", at, "hall", ""}},
		"a number that was left out": {Op: change.Create, Values: []string{"R", "3", "approve", at, "hall", ""}},
		"a number that was there":    {Op: change.Create, Values: []string{"R", "1", "approve", at, "hall", ""}},
		"an update":                  {Op: change.Update, Values: []string{"R", "2", "approve", at, "hall", ""}},
		"a deletion":                 {Op: change.Delete, Values: []string{"R", "2", "approve", at, "hall", ""}},
		"an approval of nothing":     {Op: change.Create, Values: []string{"S", "1", "approve", at, "hall", string(terms)}},
		"a submission of nothing":    {Op: change.Create, Values: []string{"S", "1", "submit", at, "civil_affairs", ""}},
		"terms that are none":        {Op: change.Create, Values: []string{"S", "1", "submit", at, "civil_affairs", "[1]"}},
	} {
		own, err := bus.Open(t.Context(), r.nc, bus.Options{County: fmt.Sprintf("%06d", counties.Add(1)), Replicas: 1})
		if err != nil {
			t.Fatal(err)
		}
		x := pipeline.NewExchange(own, func() sharing.World { return sharing.World{Contracts: set, Purposes: []string{"eligibility"}} })
		if _, err := x.Do(t.Context(), sharing.Event{Request: "R", Act: sharing.Submit, At: time.Now(), Department: "civil_affairs", Terms: r.terms()}, "a"); err != nil {
			t.Fatal(err)
		}
		b := change.NewBuilder("source", contract.OwnDepartment, contract.Acts, "u", []string{"request", "number", "act", "acted_at", "department", "terms"})
		c.Key, c.Row, c.Null = "R", 1, make([]bool, len(c.Values))
		b.Append(c)
		data, err := b.Build().Encode()
		b.Release()
		if err != nil {
			t.Fatal(err)
		}
		r.raw(own.ChangesSubject(contract.OwnDepartment, contract.Acts), data)
		if list, err := x.Requests(t.Context()); err == nil || list != nil || !strings.Contains(err.Error(), "somebody else writes to") {
			t.Errorf("%s: %v, %v", name, list, err)
		}
		if _, err := x.Do(t.Context(), sharing.Event{Request: "R", Act: sharing.Approve, At: time.Now(), Department: "hall"}, "b"); err == nil {
			t.Errorf("%s: acts go on behind it", name)
		}
	}
}

// I8: what was suspended a moment ago is suspended for whoever asks then, however many have asked before and are not answered yet;
// and while the bus is away nobody is told what was granted before.
func TestRequestsAreThoseOfThisMoment(t *testing.T) {
	r := newRig(t)
	nc, err := nats.Connect(engines.NATS().URL, engines.NATS().InProcess()...)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	b, err := bus.Open(t.Context(), nc, bus.Options{County: strings.Split(r.bus.ChangesSubject("hall", r.dataset), ".")[1], Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	acting, set := r.exchange(), r.contract(1)
	asked := pipeline.NewExchange(b, func() sharing.World { return sharing.World{Contracts: set} })
	if err := acting.Grant(t.Context(), "王五", time.Hour, pipeline.Asking{Request: "G", From: "civil_affairs", Terms: *r.terms(), At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var others sync.WaitGroup
	for range 4 {
		others.Go(func() {
			for ctx.Err() == nil {
				asked.Requests(ctx)
			}
		})
	}
	for i := range 30 {
		e := sharing.Event{Request: "G", Act: []sharing.Act{sharing.Suspend, sharing.Resume}[i%2], At: time.Now(), Department: "hall", Reason: "why"}
		did, err := acting.Do(t.Context(), e, "王五")
		if err != nil {
			t.Fatal(err)
		}
		if list, err := asked.Requests(t.Context()); err != nil || len(list) != 1 || list[0].State != did.State {
			t.Errorf("%d: it is %s and told as %+v, %v", i, did.State, list, err)
			break
		}
	}
	stop()
	others.Wait()
	if list, err := asked.Requests(ctx); err == nil && len(list) != 1 {
		t.Error(list)
	}
	nc.Close()
	if list, err := asked.Requests(t.Context()); err == nil || list != nil {
		t.Errorf("the bus is away: %v, %v", list, err)
	}
	if acts, err := asked.Acts(t.Context(), "G"); err == nil || acts != nil {
		t.Errorf("the bus is away: %v, %v", acts, err)
	}
}
