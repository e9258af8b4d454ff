package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shirecounty/shire/connectors/simulate"
)

func TestPercentile(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	for _, c := range []struct {
		sorted []time.Duration
		share  float64
		want   time.Duration
	}{
		{hundred, .5, 50}, {hundred, .99, 99}, {hundred, 1, 100}, {hundred, 0, 1},
		{hundred[:1], .99, 1}, {hundred[:3], .5, 2}, {hundred[:10], .99, 10},
	} {
		if got := percentile(c.sorted, c.share); got != c.want {
			t.Errorf("percentile(%d values, %v) = %d, want %d", len(c.sorted), c.share, got, c.want)
		}
	}
}

func TestScheduleCountsWhatIsDue(t *testing.T) {
	for _, rate := range []float64{3, 7, 4999, 5000} {
		s := schedule{rate, 2000}
		for i := range s.n {
			if got := s.dueBy(s.due(i)); got != i+1 {
				t.Fatalf("at %v/s, %d changes are due when the %dth is", rate, got, i+1)
			}
			if i > 0 {
				if got := s.dueBy(s.due(i) - 1); got != i {
					t.Fatalf("at %v/s, %d changes are due just before the %dth is", rate, got, i+1)
				}
			}
		}
		if got := s.dueBy(time.Hour); got != s.n {
			t.Errorf("%d changes are due in the end, want %d", got, s.n)
		}
	}
}

// TestLatenessCountsWaiting: a stall makes late all that came due in it, and not only what stalled.
func TestLatenessCountsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const step = 10 * time.Millisecond
		var sizes []int
		late, groups, err := offer(schedule{100, 8}, 3, func(n int) error {
			sizes = append(sizes, n)
			if len(sizes) == 1 {
				time.Sleep(4*step + step/2) // 1 to 4 come due meanwhile
			} else {
				time.Sleep(time.Millisecond)
			}
			return nil
		})
		if err != nil || groups != len(sizes) {
			t.Fatal(groups, sizes, err)
		}
		want := []time.Duration{45, 36, 26, 16, 7, 1, 1, 1} // ms; at most three together: 1 to 3, then 4
		for i, l := range late {
			if l != want[i]*time.Millisecond {
				t.Fatalf("late by %v in groups of %v, want ms %v", late, sizes, want)
			}
		}
	})
}

func TestOfferEndsWithAnError(t *testing.T) {
	broken := errors.New("broken")
	if _, _, err := offer(schedule{1e6, 10}, 4, func(int) error { return broken }); !errors.Is(err, broken) {
		t.Fatal(err)
	}
}

func TestMixtureIsWhole(t *testing.T) {
	sum := 0
	for i, m := range mixture {
		if m.kind.String() == "" || int(m.kind) != i {
			t.Error(m)
		}
		sum += m.share
	}
	if sum != 100 {
		t.Errorf("the shares come to %d of 100", sum)
	}
}

// TestChangesFollowOneAnother plays the changes on their file, and holds the end against what the writer says.
func TestChangesFollowOneAnother(t *testing.T) {
	const loaded, n = 4000, 3000
	var file bytes.Buffer
	if err := simulate.WritePersons(&file, simulate.PersonsOptions{Records: loaded + extraPeople(n), Defects: simulate.DefaultPersonDefects()}); err != nil {
		t.Fatal(err)
	}
	text := file.String()
	read := func(text string) [][]string {
		rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	var out, again bytes.Buffer
	said, err := writeChanges(&out, read(text)[1:], loaded, n)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writeChanges(&again, read(text)[1:], loaded, n); err != nil || !bytes.Equal(out.Bytes(), again.Bytes()) {
		t.Fatal("the same rows gave other changes", err)
	}
	is, known := map[string][]string{}, map[string]bool{}
	for _, row := range read(text)[1 : loaded+1] {
		is[row[atRID]], known[row[atEntity]] = row, true
	}
	var kinds [5]int
	for _, change := range read(out.String()) {
		op, row := change[0], change[1:]
		before, there := is[row[atRID]]
		switch {
		case op == drop && !there:
			t.Fatal("a record is deleted that is not there:", row)
		case op == drop:
			kinds[deletion]++
			delete(is, row[atRID])
			continue
		case !there && known[row[atEntity]]:
			kinds[anotherRecord]++
		case !there:
			kinds[newPerson]++
		case strings.Join(before, ",") == strings.Join(row, ","):
			kinds[repetition]++
		default:
			kinds[correction]++
			differ := 0
			for f := range row {
				if row[f] != before[f] {
					differ++
				}
			}
			if differ != 1 {
				t.Fatal("a correction changes more than one field:", before, row)
			}
		}
		is[row[atRID]], known[row[atEntity]] = row, true
	}
	people := map[string]bool{}
	for _, row := range is {
		people[row[atEntity]] = true
	}
	if got := (standing{len(is), len(people)}); got != said {
		t.Errorf("the changes come to %+v, and the writer says %+v", got, said)
	}
	for _, m := range mixture {
		if share := kinds[m.kind] * 100 / n; share < m.share-3 || share > m.share+3 {
			t.Errorf("%d%% are %s, want %d%%", share, m.kind, m.share)
		}
	}
}

func TestPairsAndNoise(t *testing.T) {
	if got := against([]float64{6, 8, 9}, []float64{2, 4}); len(got) != 2 || got[0] != 3 || got[1] != 2 {
		t.Error(got)
	}
	if got := again([]float64{2, 4, 5, 10, 7}); len(got) != 2 || got[0] != 2 || got[1] != 2 {
		t.Error(got)
	}
}

func TestMemoryKeepsTheMost(t *testing.T) {
	var m memory
	m.add("Name:\tx\nVmHWM:\t  4096 kB\nRssAnon:\t 2048 kB\nRssFile:\t 1024 kB\nThreads:\t3\n")
	m.add("VmHWM:\t  4096 kB\nRssAnon:\t 1024 kB\nRssFile:\t 3072 kB\n")
	if want := (memory{4, 2, 3}); m != want {
		t.Errorf("%+v, want %+v", m, want)
	}
}

func TestReportKeepsWhatWasNotMeasured(t *testing.T) {
	old := "# Benchmarks\n\nold words\n\n## " + titleStream + "\n\nstream as it was\n\n| a |\n\n## " + titleLoad + "\n\nload as it was\n"
	got := merge(old, []section{{titleLoad, "\nload now\n"}, {titleBatch, "batch now"}})
	want := preamble + "\n## " + titleLoad + "\n\nload now\n\n## " + titleStream + "\n\nstream as it was\n\n| a |\n\n## " + titleBatch + "\n\nbatch now\n"
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if again := merge(got, nil); again != got {
		t.Error("a report that is written again differs:", again)
	}
}

func TestMissingPythonIsSaid(t *testing.T) {
	if _, err := readyPython(t.Context(), "no-such-python", t.TempDir()); err == nil || !strings.Contains(err.Error(), "no-such-python") {
		t.Fatal(err)
	}
}

func TestQuietlyTellsTheLastLine(t *testing.T) {
	if err := quietly(exec.Command("sh", "-c", "echo first; echo last >&2; exit 3")); err == nil || err.Error() != "last" {
		t.Fatal(err)
	}
}
