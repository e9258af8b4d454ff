package grafana

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/shirecounty/shire/schemas/metrics"
)

var update = flag.Bool("update", false, "write the dashboards anew")

func load(t *testing.T) []Dashboard {
	t.Helper()
	set, err := metrics.Load()
	if err != nil {
		t.Fatal(err)
	}
	return Dashboards(set)
}

// TestDashboardsAreCurrent: the files are what the definitions say.
func TestDashboardsAreCurrent(t *testing.T) {
	var expected []string
	for _, d := range load(t) {
		expected = append(expected, strings.TrimPrefix(d.File, "dashboards/"))
		if *update {
			if err := os.WriteFile(d.File, d.JSON, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(d.File); err != nil || !bytes.Equal(got, d.JSON) {
			t.Errorf("%s is not what the metric definitions say (%v): go test ./deploy/grafana -update", d.File, err)
		}
	}
	entries, err := os.ReadDir("dashboards")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !slices.Contains(expected, e.Name()) {
			t.Errorf("dashboards/%s is made by nobody: remove it", e.Name())
		}
	}
}

// TestDashboardsAreWhole: every metric is there in both languages, nothing is laid over something else, and each figure can be opened (I9).
func TestDashboardsAreWhole(t *testing.T) {
	set, err := metrics.Load()
	if err != nil {
		t.Fatal(err)
	}
	type panel struct {
		ID      int
		Type    string
		Title   string
		GridPos struct{ X, Y, W, H int }
		Links   []struct{ URL string }
		Targets []struct{ RawSQL string }
		Panels  []panel
	}
	han := regexp.MustCompile(`\p{Han}`)
	for _, d := range load(t) {
		var file struct {
			UID, Title string
			Panels     []panel
		}
		if err := json.Unmarshal(d.JSON, &file); err != nil {
			t.Fatal(err)
		}
		english := strings.Contains(d.File, ".en.")
		if english == han.MatchString(file.Title) {
			t.Errorf("%s: the title is %q", d.File, file.Title)
		}
		var all []panel
		for _, p := range file.Panels {
			all = append(append(all, p), p.Panels...)
		}
		ids, cells := map[int]bool{}, map[[2]int]string{}
		opened := map[string]int{}
		for _, p := range all {
			if ids[p.ID] {
				t.Errorf("%s: two panels have the id %d", d.File, p.ID)
			}
			ids[p.ID] = true
			if english == han.MatchString(p.Title) {
				t.Errorf("%s: a panel is called %q", d.File, p.Title)
			}
			for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
				for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
					if other := cells[[2]int{x, y}]; other != "" || x >= 24 {
						t.Fatalf("%s: %q lies over %q at %d, %d", d.File, p.Title, other, x, y)
					}
					cells[[2]int{x, y}] = p.Title
				}
			}
			for _, l := range p.Links {
				name, _, _ := strings.Cut(strings.TrimPrefix(l.URL, "${portal}/figures?metric="), "&")
				opened[name]++
			}
		}
		if strings.Contains(d.File, "figures") {
			for _, name := range set.Names() {
				if opened[name] != 2 {
					t.Errorf("%s: %d panels lead to %s, not its months and its departments", d.File, opened[name], name)
				}
			}
		}
		for _, p := range d.Panels {
			for _, from := range regexp.MustCompile(`(?:FROM|JOIN)\s+([a-z_]+)\.`).FindAllStringSubmatch(p.SQL, -1) {
				if !slices.Contains([]string{"metrics", "mart", "ops"}, from[1]) {
					t.Errorf("%s: %q reads %s", d.File, p.Title, from[1])
				}
			}
		}
	}
}
