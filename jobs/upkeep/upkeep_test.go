package upkeep

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/pipeline/reconcile"
	"github.com/shirecounty/shire/pipeline/warehouse"
)

func do(t *testing.T, w jobs.Worker, task jobs.Task) (jobs.Result, string, error) {
	t.Helper()
	var out strings.Builder
	r, err := w.Do(t.Context(), task, &out)
	return r, out.String(), err
}

// What was repaired is compared again; only what is equal then is told to be so.
func TestReconcile(t *testing.T) {
	equal := func(repaired int) *reconcile.Report {
		return &reconcile.Report{Dataset: "calls", Equal: true, Records: 10, Repaired: repaired}
	}
	differs := &reconcile.Report{Dataset: "calls", Records: 10, Missing: 3, Stale: 2}
	for _, c := range []struct {
		what      string
		repair    bool
		reports   []*reconcile.Report
		err       string
		permanent bool
		message   string
		counts    [3]uint64 // missing, stale, repaired
	}{
		{"equal", false, []*reconcile.Report{equal(0)}, "", false, "are equal: 10 records of 1 datasets", [3]uint64{}},
		{"different", false, []*reconcile.Report{differs}, "3 records missing, 0 extra, 2 stale", true, "", [3]uint64{3, 2, 0}},
		{"repaired", true, []*reconcile.Report{equal(5), equal(0)}, "", false, "5 of them repaired", [3]uint64{0, 0, 5}},
		{"repaired and not proven", true, []*reconcile.Report{equal(5), differs}, "left after the repair", false, "", [3]uint64{3, 2, 5}},
		{"not repaired", true, []*reconcile.Report{differs}, "left after the repair", false, "", [3]uint64{3, 2, 0}},
	} {
		t.Run(c.what, func(t *testing.T) {
			left := c.reports
			r, _, err := do(t, &Reconcile{Source: "grid", Datasets: []string{"calls"}, Repair: c.repair,
				Compare: func(_ context.Context, dataset string, repair bool) (*reconcile.Report, error) {
					if len(left) == 0 || repair != (c.repair && len(left) == len(c.reports)) {
						return nil, fmt.Errorf("asked once too often, or for a repair (%v)", repair)
					}
					report := left[0]
					left = left[1:]
					return report, nil
				}}, jobs.Task{})
			if len(left) > 0 {
				t.Errorf("%d reports were not asked for", len(left))
			}
			if (c.err == "") != (err == nil) || err != nil && (!strings.Contains(err.Error(), c.err) || !errors.Is(err, ErrDiffers) || errors.Is(err, jobs.ErrPermanent) != c.permanent) {
				t.Errorf("the error is %v", err)
			}
			if got := [3]uint64{r.Counts["missing"], r.Counts["stale"], r.Counts["repaired"]}; got != c.counts || !strings.Contains(r.Message, c.message) {
				t.Errorf("%+v", r)
			}
		})
	}
}

// Every row that waits is sent once, however many there are, and those that are refused again are counted.
func TestRetryQuarantine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var waiting []warehouse.Waiting
		bad := map[uint64]bool{}
		n := rapid.SampledFrom([]int{0, 1, 2, rowsAtOnce - 1, rowsAtOnce, rowsAtOnce + 1, 2*rowsAtOnce + 3}).Draw(t, "rows")
		split := rapid.IntRange(0, n).Draw(t, "of the first dataset")
		keep := rapid.IntRange(1, 5).Draw(t, "every so many stays bad")
		left := uint64(0)
		for i := range n {
			w := warehouse.Waiting{Dataset: "a", Version: uint64(i+1) << 16}
			if i >= split {
				w.Dataset = "b"
			}
			if i%keep == 0 {
				bad[w.Version] = true
				left++
			}
			waiting = append(waiting, w)
		}
		sent := map[uint64]int{}
		w := &RetryQuarantine{
			List: func(_ context.Context, f warehouse.Filter) (out []warehouse.Waiting, err error) {
				if f.Limit == 0 || f.State != "waiting" {
					return nil, errors.New("the list has no bound")
				}
				for _, w := range waiting {
					if len(out) < f.Limit && (w.Dataset > f.AfterDataset || w.Dataset == f.AfterDataset && w.Version > f.AfterVersion) {
						out = append(out, w)
					}
				}
				return out, nil
			},
			Send: func(_ context.Context, rows []warehouse.Waiting) (uint64, error) {
				for _, r := range rows {
					sent[r.Version]++
				}
				waiting = slices.DeleteFunc(slices.Clone(waiting), func(w warehouse.Waiting) bool { return sent[w.Version] > 0 && !bad[w.Version] })
				return 7, nil
			},
			Loaded: func(_ context.Context, sequence uint64) error {
				if sequence != 7 {
					return errors.New("waited for something else")
				}
				return nil
			},
		}
		var out strings.Builder
		r, err := w.Do(t.Context(), jobs.Task{}, &out)
		if err != nil {
			t.Fatal(err)
		}
		for version, times := range sent {
			if times != 1 {
				t.Fatalf("row %d was sent %d times", version, times)
			}
		}
		if len(sent) != n || r.Counts["rows"] != uint64(n) || r.Counts["waiting"] != left {
			t.Fatalf("of %d rows %d were sent, and %d are bad: %+v", n, len(sent), left, r)
		}
	})
}

func TestSpool(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SliceOf(rapid.String()).Draw(t, "keys")
		most := rapid.IntRange(1, 5).Draw(t, "at once")
		s, err := newSpool(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range keys {
			if err := s.add(k); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		err = s.each(most, func(chunk []string) error {
			if len(chunk) == 0 || len(chunk) > most {
				t.Fatalf("%d at once", len(chunk))
			}
			got = append(got, chunk...)
			return nil
		})
		if err != nil || !slices.Equal(got, keys) {
			t.Fatalf("%q became %q: %v", keys, got, err)
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
	})
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%d files are left: %v", len(left), err)
	}
}

func TestCalendarCheck(t *testing.T) {
	zone := time.FixedZone("Asia/Shanghai", 8*60*60)
	due := func(text string) time.Time {
		at, err := time.ParseInLocation("2006-01-02", text, zone)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	for _, c := range []struct {
		what      string
		published int // the last year
		due       string
		reach     Reach
		folder    string
		says      string // of the error; empty when there is none
	}{
		{"in summer nobody knows next year", 2026, "2026-07-01", Reach{}, "", ""},
		{"the day before", 2026, "2026-10-31", Reach{}, "", ""},
		{"from November on", 2026, "2026-11-01", Reach{}, "/county/calendars/national", "put the file 2027.yaml into /county/calendars/national"},
		{"without a folder", 2026, "2026-12-24", Reach{}, "", "write calendars: FOLDER into county.yaml and put the file national/2027.yaml"},
		{"published", 2027, "2026-12-24", Reach{}, "", ""},
		{"this year is missing", 2025, "2026-01-02", Reach{}, "", "the working calendar of 2026 is not here"},
		{"cases reach into it", 2026, "2026-06-01", Reach{Reaches: 7}, "", "7 open cases reach into that year"},
		{"cases cannot be told", 2026, "2026-06-01", Reach{Untold: 3}, "", "of 3 the legal time cannot be told already"},
	} {
		t.Run(c.what, func(t *testing.T) {
			asked := 0
			_, _, err := do(t, &CalendarCheck{FromMonth: time.November, FromDay: 1, Zone: zone, Folder: c.folder,
				Published: func(year int) bool { return year >= 2024 && year <= c.published },
				Open:      func(_ context.Context, year int) (Reach, error) { asked = year; return c.reach, nil },
			}, jobs.Task{Due: due(c.due)})
			if (c.says == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("it says %v", err)
			}
			if asked != c.published+1 {
				t.Errorf("asked for %d", asked)
			}
		})
	}
}
