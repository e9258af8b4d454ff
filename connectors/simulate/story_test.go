package simulate

import (
	"bufio"
	"encoding/csv"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/shirecounty/shire/schemas/calendar"
)

// rowsOf reads a file that departments hand over.
func rowsOf(t *testing.T, path string, s style) [][]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(bufio.NewReader(f))
	if s.gb18030 {
		r = csv.NewReader(simplifiedchinese.GB18030.NewDecoder().Reader(f))
	}
	rows, err := r.ReadAll()
	if err != nil || len(rows) < 2 {
		t.Fatal(path, len(rows), err)
	}
	return rows[1:]
}

// Every story is of another resident, whom the register of public security knows under the same number and with the same card.
func TestStories(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "county")
	if err := os.CopyFS(dir, os.DirFS(build(t, "small", small))); err != nil {
		t.Fatal(err)
	}
	type resident struct{ name, card, from, until string }
	register := map[string]resident{}
	for _, r := range rowsOf(t, filepath.Join(dir, "departments", "public_security", "residents-20260430.csv"), style{gb18030: true}) {
		register[r[0]] = resident{r[1], r[11], r[12], r[13]}
	}
	hall := filepath.Join(dir, "departments", "service_hall")
	now := calendar.NewDate(2026, 5, 11).Time().Add(9 * time.Hour)
	seen := map[string]bool{}
	for n := 1; n <= 3; n++ {
		s, err := NewStory(dir, now)
		if err != nil || s.Number != n || len(s.Errands) != 3 {
			t.Fatal(n, s, err)
		}
		if err := errors.Join(s.Apply(0, now), s.HandIn(0, now), s.Apply(1, now), s.Apply(2, now)); err != nil {
			t.Fatal(err)
		}
		departments, number := map[string]bool{}, ""
		for i, e := range s.Errands {
			departments[e.Department] = true
			row := rowsOf(t, filepath.Join(hall, "cases-story-000"+string(rune('0'+n))+"-"+string(rune('1'+i))+".csv"), style{})[0]
			if row[0] != e.Case || row[1] != e.Item || row[12] != "2026-05-11 09:00:00" || row[15] != "" || number != "" && row[8] != number {
				t.Errorf("case %d: number, item, time or applicant are wrong", i)
			}
			number = row[8]
			if r, ok := register[number]; !ok || r.name != row[7] {
				t.Error("the register does not know the applicant")
			}
			asks := itemOf(e.Item).asks
			for k, a := range asks {
				if (a.share == 1) != (k == 0) || k == 0 && a.material != idCard {
					t.Errorf("%s requires something else than the card of everybody", e.Item)
				}
			}
		}
		if len(departments) != 3 || seen[number] {
			t.Error("not three departments, or the same resident again")
		}
		seen[number] = true
		paper, r := rowsOf(t, filepath.Join(hall, "materials-story-000"+string(rune('0'+n))+"-1.csv"), style{})[0], register[number]
		if paper[1] != s.Errands[0].Case || paper[6] != r.card || strings.ReplaceAll(paper[8], "-", "") != r.from || strings.ReplaceAll(paper[9], "-", "") != r.until {
			t.Error("what was handed in is not the card of the register")
		}
	}
	// A case for the window is a story of its own, of somebody who holds what the register says.
	for n := 1; n <= 2; n++ {
		s, err := NewWindowCase(dir, now)
		if err != nil || s.Number != n || len(s.Errands) != 1 || s.Errands[0].Department != "civil_affairs" {
			t.Fatal(n, s, err)
		}
		if err := s.Apply(0, now); err != nil {
			t.Fatal(err)
		}
		row := rowsOf(t, filepath.Join(hall, "cases-window-000"+string(rune('0'+n))+"-1.csv"), style{})[0]
		if r, ok := register[s.CitizenNumber()]; row[0] != s.Errands[0].Case || row[8] != s.CitizenNumber() || !ok || r.name != row[7] || r.card == "" || r.until < "20260511" {
			t.Error("the applicant at the window is not who the register knows, or holds no valid card")
		}
	}
	if sum, err := Write(t.Context(), Options{Dir: dir, People: small.People, Days: small.Days, Seed: small.Seed, Until: small.Until, Defects: small.Defects}); err != nil || !sum.Unchanged {
		t.Error("the county is another one after its stories", err)
	}
	if _, err := NewStory(t.TempDir(), now); !errors.Is(err, ErrNoCounty) {
		t.Error(err)
	}
	if _, err := NewStory(dir, now.AddDate(60, 0, 0)); err == nil || !strings.Contains(err.Error(), "valid today") {
		t.Error("a card that has run out is handed in", err)
	}
}
