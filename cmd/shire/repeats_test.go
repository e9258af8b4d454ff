package main

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shirecounty/shire/schemas/semantic"
)

// paper is a submission that was handed in, as the files and the truth tell of it.
type paper struct {
	key      string // case number / material code, unique
	number   string // of the case
	party    string // true person or organisation
	observed string // party as the number of the application tells it; of its own when there is none
	state    string // of the number on the application
	group    string // material and document
	at       string
	until    string
	dept     string
	truth    string // scope of the true repeat
	mart     string // scope that the mart says
}

// States of the number on an application.
const (
	rightNumber   = "right"
	missingNumber = "left out"
	placeholder   = "a placeholder"
	wrongNumber   = "not valid (a digit wrong, two swapped)"
	othersNumber  = "another person's"
)

// truthOfRepeats counts the repeats that exact identity finds against the true ones, and explains every single difference
// by a number on an application. This is what a better identity has to win.
func (d *demoNode) truthOfRepeats(t *testing.T) {
	papers := d.papers(t)
	// The files and the truth are of one county, and the mart does what its definition says with the numbers that it has:
	// then nothing but the numbers can be behind a difference.
	byTrueParty := scopes(papers, func(p *paper) string { return p.party })
	byNumber := scopes(papers, func(p *paper) string { return p.observed })
	editions := map[string][]*paper{}
	for _, p := range papers {
		editions[p.group] = append(editions[p.group], p)
	}
	missed, invented, rescoped := map[string]int{}, map[string]int{}, map[string]int{}
	truly, found, unexplained := map[string]int{}, map[string]int{}, 0
	for _, p := range papers {
		if byTrueParty[p.key] != p.truth {
			t.Fatalf("submission %s: by the definition its repeat is %q, the truth says %q", p.key, byTrueParty[p.key], p.truth)
		}
		if byNumber[p.key] != p.mart {
			t.Errorf("submission %s: by the numbers on the applications its repeat is %q, the mart says %q", p.key, byNumber[p.key], p.mart)
		}
		truly[p.truth]++
		found[p.mart]++
		if p.truth == p.mart {
			continue
		}
		cause := p.cause(editions[p.group])
		if cause == "" {
			unexplained++
		}
		switch {
		case p.mart == "":
			missed[cause]++
		case p.truth == "":
			invented[cause]++
		default:
			rescoped[cause]++
		}
	}
	if unexplained > 0 {
		t.Errorf("%d differences have no cause", unexplained)
	}
	const same, across = "same_department", "across_departments"
	all, got := truly[same]+truly[across], found[same]+found[across]
	if all-total(missed)+total(invented) != got {
		t.Errorf("%d true repeats, %d missed, %d invented: that does not make the %d that the mart finds", all, total(missed), total(invented), got)
	}
	if all == 0 || total(missed) == 0 {
		t.Errorf("%d true repeats and %d missed ones: this county shows nothing", all, total(missed))
	}
	var b strings.Builder
	line := func(what string, n int) { fmt.Fprintf(&b, "| %s | %s |\n", what, thousands(n)) }
	b.WriteString("| repeated papers | |\n|---|---:|\n")
	line("**true repeats**", all)
	line("of the same department", truly[same])
	line("across departments", truly[across])
	causes(line, "missed", missed)
	causes(line, "found, but none", invented)
	line("**found by exact identity** (true − missed + found, but none)", got)
	line("of the same department", found[same])
	line("across departments", found[across])
	causes(line, "of those found and true, put into the wrong one of the two", rescoped)
	d.document(t, "repeats", b.String())
}

func causes(line func(string, int), what string, counts map[string]int) {
	line("**"+what+"**", total(counts))
	for _, cause := range slices.Sorted(maps.Keys(counts)) {
		line(what+": "+cause, counts[cause])
	}
}

func total(counts map[string]int) int {
	n := 0
	for _, c := range counts {
		n += c
	}
	return n
}

// papers reads the submissions that were not met from shared data, in the order of the definition.
func (d *demoNode) papers(t *testing.T) []*paper {
	t.Helper()
	numbers := map[string]string{} // of the true people
	persons := d.truthOf(t, "persons")
	for _, row := range persons.rows {
		f := persons.of(t, row, "person", "number")
		numbers[f[0]] = f[1]
	}
	kind, err := semantic.New("citizen_number", nil)
	if err != nil {
		t.Fatal(err)
	}
	applications, cases := d.handedOver(t, "cases", "办件编号")
	files, materials := d.handedOver(t, "materials", "材料流水号")
	mart := map[string]string{}
	answer := d.answer(t, "SELECT case_number, material_code, repeat FROM mart.submissions WHERE method != 'shared'")
	for _, row := range answer.rows {
		f := answer.of(t, row, "case_number", "material_code", "repeat")
		mart[f[0]+"/"+f[1]] = f[2]
	}
	var out []*paper
	truth := d.truthOf(t, "submissions")
	for _, row := range truth.rows {
		f := truth.of(t, row, "submission", "case_number", "party", "material_code", "submitted_at", "shared", "scope")
		if f[5] == "true" {
			if f[6] != "" {
				t.Fatalf("submission %s was met from shared data and yet is a repeat", f[0])
			}
			continue
		}
		file := files.of(t, materials[f[0]], "证照编号", "有效期止", "要求部门")
		p := &paper{key: f[1] + "/" + f[3], number: f[1], party: f[2], group: f[3] + "/" + file[0], at: f[4], until: file[1], dept: file[2], truth: f[6]}
		var ok bool
		if p.mart, ok = mart[p.key]; !ok {
			t.Fatalf("submission %s is not in the mart", p.key)
		}
		if p.observed, p.state = p.party, rightNumber; strings.HasPrefix(p.party, "P") {
			written := applications.of(t, cases[f[1]], "申请人证件号码")[0]
			p.observed, p.state = observe(kind.(semantic.TextType), written, numbers[p.party], f[1])
		}
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b *paper) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.key, b.key)) })
	return out
}

// observe tells who applied, as the written number says, and what is wrong with it.
func observe(kind semantic.TextType, written, truly, caseNumber string) (party, state string) {
	number, problem := "", (*semantic.Problem)(nil)
	if written != "" {
		number, problem = kind.ParseText(written)
	}
	switch {
	case written == "":
		return "alone " + caseNumber, missingNumber
	case problem != nil && problem.Code == semantic.CodePlaceholder:
		return "alone " + caseNumber, placeholder
	case problem != nil:
		return "alone " + caseNumber, wrongNumber
	case number != truly:
		return "number " + number, othersNumber
	}
	return "number " + number, rightNumber
}

// scopes applies the definition of a repeat: an earlier paper of the same party, material and document that is still valid
// on the day of the later one, handed in at the same department or else at another.
func scopes(papers []*paper, party func(*paper) string) map[string]string {
	earlier := map[string][]*paper{}
	out := map[string]string{}
	for _, p := range papers { // in the order of time
		key := party(p) + "/" + p.group
		scope := ""
		for _, e := range earlier[key] {
			if !validFor(e, p) {
				continue
			}
			if scope = "across_departments"; e.dept == p.dept {
				scope = "same_department"
				break
			}
		}
		out[p.key] = scope
		earlier[key] = append(earlier[key], p)
	}
	return out
}

func validFor(e, p *paper) bool { return e.until == "" || e.until >= p.at[:len("2006-01-02")] }

// cause says which number is behind a difference: that on the paper's own application, else that on the application of
// an earlier one of the same document; empty when none is.
func (p *paper) cause(edition []*paper) string {
	if p.state != rightNumber {
		return "the number on its own application is " + p.state
	}
	var before *paper
	for _, e := range edition[:slices.Index(edition, p)] {
		// A paper of the same person that came without the person's number, or of another that came with it.
		hidden := e.party == p.party && e.state != rightNumber && (p.mart == "" || e.dept == p.dept)
		borrowed := e.party != p.party && e.observed == p.observed
		if validFor(e, p) && (hidden || borrowed) {
			before = e
		}
	}
	if before == nil {
		return ""
	}
	return "the number on the earlier application is " + before.state
}

// document keeps a table of docs/simulated-county.md right: its figures are those of the whole demo. SHIRE_WRITE=1 writes it.
func (d *demoNode) document(t *testing.T, name, table string) {
	t.Helper()
	t.Log("\n" + table)
	if !d.whole {
		return
	}
	path := filepath.Join("..", "..", "docs", "simulated-county.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->"
	before, rest, ok := strings.Cut(string(text), begin)
	now, after, closed := strings.Cut(rest, end)
	switch {
	case !ok || !closed:
		t.Fatalf("%s has no place %s", path, begin)
	case now == table:
	case os.Getenv("SHIRE_WRITE") != "1":
		t.Errorf("%s has other figures; look why, then run this test with SHIRE_LONG=1 SHIRE_WRITE=1", path)
	default:
		if err := os.WriteFile(path, []byte(before+begin+table+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
