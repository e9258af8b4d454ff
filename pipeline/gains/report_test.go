package gains

import (
	"encoding/xml"
	"errors"
	"flag"
	"html"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/shirecounty/shire/schemas/metrics"
)

var update = flag.Bool("update", false, "write the golden reports anew")

func reported(design int, claim Claim, ratio float64) *Result {
	s := simulate(designs[design], 11)
	v := s.intervention(claim)
	v.Title = metrics.Text{Zh: "数据直连", En: "Data link"}
	v.What = metrics.Text{Zh: "户籍与不动产登记互通", En: "Household register and land register share data"}
	if claim.OfTime() {
		return Evaluate(v, s.times(ratio))
	}
	v.Metric = "repeat_rate"
	return Evaluate(v, s.counts(ratio))
}

// Reports are the same in both forms and both languages, and as they were when somebody last read them.
func TestReports(t *testing.T) {
	for name, r := range map[string]*Result{"time": reported(1, TimeDown, .35), "ratio": reported(0, RatioDown, .7), "none": Evaluate(Intervention{Name: "nothing"}, Data{})} {
		var shapes []string
		for _, language := range []string{English, Chinese} {
			p := r.Report(language)
			markdown, charts, err := p.Markdown()
			if err != nil {
				t.Fatal(err)
			}
			page, err := p.HTML()
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", name+"."+language+".md")
			if *update {
				if err := os.WriteFile(golden, []byte(markdown), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if markdown != string(want) {
				t.Errorf("%s is another; look why, then run with -update", golden)
			}
			for _, s := range p.Sections {
				for _, c := range s.Charts {
					if !strings.Contains(markdown, "]("+c.File+")") || charts[c.File] != string(c.SVG) || !strings.Contains(page, string(c.SVG)) {
						t.Errorf("%s: the chart %s is not in both forms", golden, c.File)
					}
					if err := wellFormed(string(c.SVG)); err != nil {
						t.Errorf("%s: the chart %s: %v", golden, c.File, err)
					}
				}
			}
			if regexp.MustCompile(`(?i)\b(src|href)=|url\(|@import|%!|NaN|\+Inf`).MatchString(page) {
				t.Errorf("%s: the page needs another file, or has a figure that is none", golden)
			}
			if language == English && regexp.MustCompile(`\p{Han}`).MatchString(strings.ReplaceAll(markdown, "数据直连", "")) {
				t.Errorf("%s has Chinese", golden)
			}
			// Every figure of the page is one of the Markdown.
			if got, want := figures(textOf(page)), figures(tables(markdown)); !slices.Equal(got, want) {
				t.Errorf("%s: the page has other figures than the Markdown", golden)
			}
			shapes = append(shapes, strings.Join(figures(tables(markdown)), " "))
		}
		if shapes[0] != shapes[1] {
			t.Errorf("%s: the languages have other figures:\n%s\n%s", name, shapes[0], shapes[1])
		}
	}
}

func wellFormed(svg string) error {
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// tables is the Markdown's lines that are rows of tables.
func tables(markdown string) string {
	var rows []string
	for l := range strings.Lines(markdown) {
		if strings.HasPrefix(l, "|") && !strings.HasPrefix(l, "|---") {
			rows = append(rows, l)
		}
	}
	return strings.Join(rows, "\n")
}

func figures(text string) []string { return regexp.MustCompile(`\d+\.\d+`).FindAllString(text, -1) }

// textOf is the text of a page's tables.
func textOf(page string) string {
	var b strings.Builder
	for _, cell := range regexp.MustCompile(`<td>([^<]*)</td>`).FindAllStringSubmatch(page, -1) {
		b.WriteString(html.UnescapeString(cell[1]) + "\n")
	}
	return b.String()
}

// Names that people give are text, never markup.
func TestReportEscapes(t *testing.T) {
	r := reported(1, TimeDown, .5)
	evil := `<script>alert(1)</script>|*a*](http://x) "'`
	r.Intervention.Title = metrics.Text{Zh: evil, En: evil}
	r.Intervention.Name = evil
	r.CaseMix.LeftOut = []Stratum{{Item: evil}}
	p := r.Report(English)
	page, err := p.HTML()
	if err != nil || strings.Contains(page, "<script") {
		t.Errorf("the page runs a script: %v", err)
	}
	markdown, _, err := p.Markdown()
	if err != nil || strings.Contains(markdown, "<script") || regexp.MustCompile(`[^\\](\*a|\]\(http)`).MatchString(markdown) {
		t.Errorf("the Markdown has markup: %v", err)
	}
}

// What is written never claims more than what is.
func TestRoundedOutwards(t *testing.T) {
	if got := intervalText(Interval{.5999, .49999, .70001}).En; got != "60.0% (95% interval 49.9% to 70.1%)" {
		t.Error(got)
	}
	if got := percentage(-.00001, func(x float64) float64 { return 0 * x }); got != "0.0%" {
		t.Error(got)
	}
}

func TestEveryStateHasATextAndIsReported(t *testing.T) {
	for _, state := range []string{MonthOK, MonthYoung, MonthNotEstimable, MonthSmall, MonthEmpty} {
		if stateTexts[state].En == "" || stateTexts[state].Zh == "" {
			t.Errorf("the state %s has no text", state)
		}
	}
	if len(slices.Collect(maps.Keys(stateTexts))) != 5 {
		t.Error("a state is not tested")
	}
}
