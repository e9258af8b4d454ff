package pipeline_test

import (
	"slices"
	"testing"
	"time"

	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/schemas/sharing"
)

// What was brought about once is not done again, and what people did since stays.
func TestGrantsAreBroughtAbout(t *testing.T) {
	r := newRig(t)
	x := r.exchange()
	asking := pipeline.Asking{Request: "G", From: "civil_affairs", Terms: *r.terms(), At: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}
	check := func(acts int, state sharing.State) {
		t.Helper()
		if err := r.exchange().Grant(t.Context(), "王五", time.Hour, asking); err != nil {
			t.Fatal(err)
		}
		all, err := x.Requests(t.Context())
		if err != nil || len(all) != 1 || all[0].State != state {
			t.Fatalf("%v %+v", err, all)
		}
		if done, err := x.Acts(t.Context(), "G"); err != nil || len(done) != acts {
			t.Fatalf("%v, %d acts, want %d", err, len(done), acts)
		}
	}
	if _, err := x.Bring(t.Context(), "王五", asking); err != nil { // half of it
		t.Fatal(err)
	}
	check(3, sharing.Live)
	check(3, sharing.Live)
	if _, err := x.Do(t.Context(), sharing.Event{Request: "G", Act: sharing.Withdraw, At: time.Now(), Department: "civil_affairs"}, "王五"); err != nil {
		t.Fatal(err)
	}
	check(4, sharing.Withdrawn)
}

// Each step is done in the name of whose act it is, and what people have done otherwise is left alone.
func TestStepsAreDoneByWhoseTheyAre(t *testing.T) {
	r := newRig(t)
	x := r.exchange()
	asking := pipeline.Asking{Request: "G", From: "civil_affairs", Terms: *r.terms(), At: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}
	steps := []pipeline.Step{{Act: sharing.GiveBack, After: time.Hour, Reason: "which cases?"}, {Act: sharing.Resubmit, After: time.Hour}, {Act: sharing.Approve, After: time.Hour},
		{Act: sharing.Deliver, After: time.Hour, Lead: true}, {Act: sharing.Suspend, After: time.Hour, Reason: "an audit", Lead: true}, {Act: sharing.Resume, After: time.Hour}, {Act: sharing.Withdraw, After: time.Hour}}
	q, err := x.Bring(t.Context(), "王五", asking, steps...)
	if err != nil || q.State != sharing.Withdrawn || !q.Since.Equal(asking.At.Add(7*time.Hour)) {
		t.Fatalf("%+v, %v", q, err)
	}
	acts, err := x.Acts(t.Context(), "G")
	if err != nil {
		t.Fatal(err)
	}
	var by []string
	for _, a := range acts {
		by = append(by, a.Department)
	}
	if want := []string{"civil_affairs", "hall", "civil_affairs", "hall", "data_bureau", "data_bureau", "hall", "civil_affairs"}; !slices.Equal(by, want) {
		t.Fatalf("done by %v", by)
	}
	// Given back by people, where it was to be approved.
	asking.Request = "H"
	if _, err := x.Bring(t.Context(), "王五", asking, steps[0]); err != nil {
		t.Fatal(err)
	}
	if err := x.Grant(t.Context(), "王五", time.Hour, asking); err != nil {
		t.Fatal(err)
	}
	if acts, err := x.Acts(t.Context(), "H"); err != nil || len(acts) != 2 {
		t.Fatal(acts, err)
	}
	asking.Request, asking.Terms.Dataset = "I", "none"
	if _, err := x.Bring(t.Context(), "王五", asking); err == nil {
		t.Fatal("a dataset that there is not was asked for")
	}
}
