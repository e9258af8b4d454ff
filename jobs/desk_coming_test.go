package jobs_test

import (
	"cmp"
	"context"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/jobs/ledger"
)

// The next due times of all jobs are the first of the next ones of each.
func TestComingOfAllIsTheFirstOfEach(t *testing.T) {
	s := set(t, `
  - {name: often, every: 10m, do: {read: log}}
  - {name: hourly, schedule: "0 * * * *", do: {read: log}}
  - {name: also-hourly, schedule: "0 * * * *", do: {read: log}}
  - {name: workdays, schedule: "30 8 * * *", days: workday, do: {read: log}}
  - {name: yearly, schedule: "0 0 29 2 *", do: {read: log}}
  - {name: report, after: [hourly], do: {read: log}}
  - {name: by-hand, do: {read: log}}
`, func(context.Context, jobs.Task, io.Writer) (jobs.Result, error) { return jobs.Result{}, nil })
	d := &jobs.Desk{Ledger: &ledger.Memory{}, Jobs: s, Clock: jobs.System{}}
	if err := d.Pause(t.Context(), "hourly", ""); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 2, 7, 100, 1000} {
		for range 3 { // the clock may pass a due time between two questions
			want := []jobs.Coming{}
			for name := range maps.Keys(s) {
				of, err := d.Next(t.Context(), name, n)
				if err != nil {
					t.Fatal(err)
				}
				want = append(want, of...)
			}
			slices.SortFunc(want, func(a, b jobs.Coming) int { return cmp.Or(a.Due.Compare(b.Due), strings.Compare(a.Job, b.Job)) })
			want = want[:n]
			got, err := d.Next(t.Context(), "", n)
			if err != nil {
				t.Fatal(err)
			}
			if reflect.DeepEqual(got, want) {
				break
			}
			if again, err := d.Next(t.Context(), "", n); err != nil || reflect.DeepEqual(got, again) {
				t.Fatalf("n=%d: %v\nwant %v, %v", n, got, want, err)
			}
		}
	}
}
