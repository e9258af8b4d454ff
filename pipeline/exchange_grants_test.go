package pipeline_test

import (
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
