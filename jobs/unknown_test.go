package jobs_test

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/jobs/ledger"
)

// A run that was asked for with a newer county.yaml than that of the process that is up does not wait unseen: the run, the list
// on either side and the history say why. It runs when the process is started again with the newer one.
func TestJobThatTheProcessDoesNotKnow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var did journal
		do := func(_ context.Context, task jobs.Task, _ io.Writer) (jobs.Result, error) {
			did.add("%s", task.Job)
			return jobs.Result{}, nil
		}
		const older = "  - {name: a, schedule: \"0 9 * * *\", do: {read: log}}\n"
		old, young := set(t, older, do), set(t, older+"  - {name: b, do: {read: log}}\n", do)
		l := &ledger.Memory{}
		up := func(s jobs.Set) (down func()) {
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() {
				ended <- jobs.New(jobs.Options{Ledger: l, Jobs: s, Clock: jobs.System{}, Log: slog.New(slog.DiscardHandler), Node: "process 7 on hall"}).Run(ctx)
			}()
			synctest.Wait()
			return func() { cancel(); must(t, <-ended) }
		}
		down := up(old)
		desk := newDesk(l, young)
		run, err := desk.Trigger(t.Context(), "b", nil)
		must(t, err)
		time.Sleep(jobs.DefaultLease + time.Second)
		synctest.Wait()
		const says = "the process that is up (process 7 on hall) does not have the job in its county.yaml"
		for name, d := range map[string]*jobs.Desk{"older": newDesk(l, old), "newer": desk} {
			list, err := d.List(t.Context())
			must(t, err)
			found := false
			for _, s := range list {
				if s.Name == "b" {
					found = len(s.Active) == 1 && strings.Contains(s.Active[0].Message, says) && (s.Kind == jobs.KindUnknown) == (name == "older")
				}
			}
			if !found {
				t.Errorf("the list of the %s county.yaml: %+v", name, list)
			}
		}
		if last, err := l.Last(t.Context(), "b", run.ID); err != nil || last == nil || last.Outcome != jobs.Waiting || !strings.Contains(last.Message, says) {
			t.Errorf("the history has %+v, %v", last, err)
		}
		// Nothing is said a second time.
		before, err := l.Get(t.Context(), "job.b")
		must(t, err)
		time.Sleep(time.Hour)
		if after, err := l.Get(t.Context(), "job.b"); err != nil || after.Revision != before.Revision {
			t.Errorf("the entry was written again: %v", err)
		}
		down()
		down = up(young)
		time.Sleep(time.Second)
		synctest.Wait()
		if r, err := desk.Run(t.Context(), run.ID); err != nil || r.Outcome != jobs.OK || r.Message != "" {
			t.Errorf("%+v, %v", r, err)
		}
		down()
	})
}
