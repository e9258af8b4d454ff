package pipeline_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shirecounty/shire/pipeline"
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
		"gives a name":       func(*sharing.Event) string { return "  " },
		"at most 60":         func(e *sharing.Event) string { e.Request = strings.Repeat("r", 61); return "x" },
		"does not exist":     func(e *sharing.Event) string { e.Act = sharing.Approve; return "x" },
		"2000 each":          func(e *sharing.Event) string { e.Reason = strings.Repeat("字", 2001); return "x" },
		"has no dataset set": func(e *sharing.Event) string { e.Terms.Dataset = "set"; return "x" },
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
	// What somebody else writes on the subject stops sharing, and is told.
	if _, err := x.Do(t.Context(), e, "a"); err != nil {
		t.Fatal(err)
	}
	b := change.NewBuilder("source", contract.OwnDepartment, contract.Acts, "u", []string{"request", "number", "act"})
	defer b.Release()
	b.Append(change.Change{Op: change.Create, Key: "R", Row: 1, Values: []string{"R", "9", "approve"}})
	data, err := b.Build().Encode()
	if err != nil {
		t.Fatal(err)
	}
	r.raw(r.bus.ChangesSubject(contract.OwnDepartment, contract.Acts), data)
	if _, err := x.Requests(t.Context()); err == nil || !strings.Contains(err.Error(), "somebody else writes to") {
		t.Fatal(err)
	}
}
