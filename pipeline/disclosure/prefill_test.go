package disclosure_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shirecounty/shire/pipeline/disclosure"
	"github.com/shirecounty/shire/schemas/pseudonym"
	"github.com/shirecounty/shire/schemas/sharing"
)

// What has to be asked for, and why. Only a granted dataset tells whether something is held.
func TestPrefill(t *testing.T) {
	for name, test := range map[string]struct {
		change func(w *town, r *disclosure.Reader)
		met    bool
		reason string
	}{
		"held and granted": {nil, true, ""},
		"no grant": {func(w *town, _ *disclosure.Reader) {
			w.act(sharing.Event{Request: "g", Act: sharing.Revoke, Department: "data", Reason: "x"})
		}, false, disclosure.NotGranted},
		"a grant of less than what shows that it is valid": {func(w *town, _ *disclosure.Reader) {
			w.act(sharing.Event{Request: "g", Act: sharing.Revoke, Department: "data", Reason: "x"})
			w.grant("less", "residents", map[string]sharing.Mask{"register": sharing.Full})
		}, false, disclosure.NotGranted},
		"out of date":              {func(w *town, _ *disclosure.Reader) { w.resident(person(1), "331099001", "2026-03-01") }, false, disclosure.NotValid},
		"valid today for the last": {func(w *town, _ *disclosure.Reader) { w.resident(person(1), "331099001", "2026-03-02") }, true, ""},
		"outside the granted rows": {func(w *town, _ *disclosure.Reader) { w.resident(person(1), "440100", "2027-01-01") }, false, disclosure.NotHeld},
		"of somebody else": {func(w *town, _ *disclosure.Reader) {
			w.openCase("C1", "welfare", "ITEM-1", person(4), person(1), time.Time{})
		}, false, disclosure.NotHeld},
		"the department's own": {func(w *town, r *disclosure.Reader) {
			w.openCase("C8", "police", "ITEM-1", person(1), pseudonym.ID{}, time.Time{})
			r.Case, r.Department = "C8", "police"
		}, false, disclosure.OwnRegister},
	} {
		t.Run(name, func(t *testing.T) {
			w, r := simple(t), reader("C1")
			if test.change != nil {
				test.change(w, &r)
			}
			before := len(w.log)
			p, err := w.Prefill(t.Context(), r, pseudonym.ID{}, nil)
			if err != nil || len(p.Materials) != 2 {
				t.Fatal(p, err)
			}
			m := p.Materials[0]
			if m.Met != test.met || m.Reason != test.reason || (m.Proof != nil) != test.met || p.Materials[1].Reason != disclosure.NotGranted {
				t.Fatalf("%+v", p.Materials)
			}
			if len(w.log) != before+1 {
				t.Fatalf("%d entries", len(w.log)-before)
			}
			// Where nothing of the person was looked at, that is what the log says.
			want := disclosure.Granted
			if test.reason == disclosure.NotGranted || test.reason == disclosure.OwnRegister {
				want = disclosure.Refused
			}
			if last := w.log[before]; last.Decision != want || (len(last.Fields) > 0) != (want == disclosure.Granted) {
				t.Fatalf("the log has %+v", last)
			}
			if err := w.Use(t.Context(), r, p.ID, "REGISTER"); (err == nil) != test.met {
				t.Fatal(err)
			}
			if len(w.taken) == 1 != test.met {
				t.Fatalf("%+v", w.taken)
			}
		})
	}
}

func TestUseAndDecline(t *testing.T) {
	w := simple(t)
	p := must(w.Prefill(t.Context(), reader("C1"), person(1), []string{"REGISTER"}))
	if proof := p.Materials[0].Proof; proof.ValidUntil != "2027-01-01" || proof.Dataset != "residents" || len(proof.Hash) != 24 {
		t.Fatalf("%+v", proof)
	}
	if err := w.Use(t.Context(), reader("C1"), p.ID, "REGISTER"); err != nil {
		t.Fatal(err)
	}
	want := disclosure.TakenMaterial{Prefill: p.ID, Material: "REGISTER", Use: true, At: noon, Case: "C1", Department: "welfare", Item: "ITEM-1", Dataset: "residents", Issuer: "police",
		Document: []string{"HKB-" + numberOf(person(1))[14:17]}, ValidUntil: "2027-01-01"}
	if fmt.Sprintf("%+v", w.taken[0]) != fmt.Sprintf("%+v", want) {
		t.Fatalf("%+v\nwant %+v", w.taken[0], want)
	}
	if err := w.Decline(t.Context(), reader("C1"), p.ID, "REGISTER", "original_needed"); err != nil || w.taken[1].Use || w.taken[1].Reason != "original_needed" {
		t.Fatal(err, w.taken)
	}
	var decisions []string
	for _, a := range w.log {
		decisions = append(decisions, a.Decision)
	}
	if !slices.Equal(decisions, []string{"granted", "used", "declined"}) {
		t.Fatal(decisions)
	}
	// A prefill of another case, or one that there is not, is nobody's.
	for _, id := range []string{"x", ""} {
		if err := w.Use(t.Context(), reader("C1"), id, "REGISTER"); denied(err) != sharing.NotOfCase {
			t.Fatal(err)
		}
	}
	w.openCase("C6", "welfare", "ITEM-1", person(1), pseudonym.ID{}, time.Time{})
	if err := w.Use(t.Context(), reader("C6"), p.ID, "REGISTER"); denied(err) != sharing.NotOfCase {
		t.Fatal(err)
	}
	// What was revoked or ran out since cannot be used.
	w.resident(person(1), "331099001", "2020-01-01")
	if err := w.Use(t.Context(), reader("C1"), p.ID, "REGISTER"); denied(err) != disclosure.NotMet {
		t.Fatal(err)
	}
	w.act(sharing.Event{Request: "g", Act: sharing.Suspend, Department: "data", Reason: "x"})
	if err := w.Use(t.Context(), reader("C1"), p.ID, "REGISTER"); denied(err) != sharing.NoGrant {
		t.Fatal(err)
	}
	for _, err := range []error{
		second(w.Prefill(t.Context(), reader("C1"), person(1), []string{"SHOE"})),
		w.Use(t.Context(), reader("C1"), p.ID, numberOf(person(1))), w.Decline(t.Context(), reader("C1"), p.ID, "SHOE", "wrong"), w.Decline(t.Context(), reader("C1"), p.ID, "REGISTER", "张三说的"),
	} {
		var m *disclosure.Mistake
		if !errors.As(err, &m) {
			t.Error(err)
		}
		w.private(err.Error())
	}
}

// A store is fresh when it has what was on the bus a moment ago; before the first look, and while nobody knows, it is not.
func TestFreshness(t *testing.T) {
	var position, last atomic.Uint64
	var away atomic.Bool
	const lag = 200 * time.Millisecond
	f := disclosure.NewFreshness(position.Load, func(context.Context) (uint64, error) {
		if away.Load() {
			return 0, errors.New("away")
		}
		return last.Load(), nil
	}, lag)
	if f.Err() == nil {
		t.Fatal("fresh before anybody has looked")
	}
	last.Store(5)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); f.Run(ctx) }()
	defer func() { cancel(); <-done }()
	become := func(fresh bool, what string) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); (f.Err() == nil) != fresh; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: %v", what, f.Err())
			}
		}
	}
	for range 3 {
		time.Sleep(lag / 2)
		if f.Err() == nil {
			t.Fatal("fresh although it was never as far as the bus was at the start")
		}
	}
	position.Store(5)
	become(true, "caught up")
	last.Store(9)
	become(false, "behind for long")
	if n, since := f.Behind(); n != 4 || since.IsZero() {
		t.Fatal(n, since)
	}
	position.Store(9)
	become(true, "caught up again")
	away.Store(true)
	become(false, "the bus is away")
	away.Store(false)
	become(true, "the bus is back")
}
