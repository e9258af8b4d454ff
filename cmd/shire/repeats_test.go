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
	key     string // case number / material code, unique
	number  string // of the case
	party   string // true person or organisation
	person  string // person or organisation of the marts
	mention *mention
	state   string // of the number on the application
	group   string // material and document
	at      string
	until   string
	dept    string
	shared  bool   // met from shared data instead
	truth   string // scope of the true repeat; none of one that was met from shared data
	mart    string // scope that the mart says; of one that was met from shared data, of the repeat that was avoided
}

// States of the number on an application.
const (
	rightNumber   = "right"
	missingNumber = "left out"
	placeholder   = "a placeholder"
	wrongNumber   = "not valid (a digit wrong, two swapped)"
	othersNumber  = "another person's"
)

// How well the repeats that the marts find are the true ones. Precision comes first: a figure about people who are asked
// twice must not be made of two people.
const (
	repeatPrecision = .999
	repeatRecall    = .99
)

// truthOfRepeats counts the repeats that the marts find against the true ones, and explains every single difference by a
// record that was not resolved to the true person, and what is wrong with it.
func (d *demoNode) truthOfRepeats(t *testing.T, r *resolved) {
	all := d.papers(t, r)
	d.truthOfAvoided(t, r, all)
	papers := handedIn(all)
	// The files and the truth are of one county, and the mart does what its definition says with the people that it has:
	// then nothing but the people can be behind a difference.
	byTrueParty := scopes(papers, func(p *paper) string { return p.party })
	byPerson := scopes(papers, func(p *paper) string { return p.person })
	editions := map[string][]*paper{}
	for _, p := range papers {
		editions[p.group] = append(editions[p.group], p)
	}
	missed, invented, rescoped := map[string]int{}, map[string]int{}, 0
	truly, found, unexplained, right := map[string]int{}, map[string]int{}, 0, 0
	for _, p := range papers {
		if byTrueParty[p.key] != p.truth {
			t.Fatalf("submission %s: by the definition its repeat is %q, the truth says %q", p.key, byTrueParty[p.key], p.truth)
		}
		if byPerson[p.key] != p.mart {
			t.Errorf("submission %s: by the people of the marts its repeat is %q, the mart says %q", p.key, byPerson[p.key], p.mart)
		}
		truly[p.truth]++
		found[p.mart]++
		if p.truth != "" && p.mart != "" {
			right++
		}
		if p.truth == p.mart {
			continue
		}
		cause := r.behind(t, p, editions[p.group])
		if cause == "" {
			unexplained++
		}
		switch {
		case p.mart == "":
			missed[cause]++
		case p.truth == "":
			invented[cause]++
			t.Logf("submission %s is found to be a repeat and is none: %s", p.key, cause)
		default:
			rescoped++
		}
	}
	if unexplained > 0 {
		t.Errorf("%d differences have no cause", unexplained)
	}
	const same, across = "same_department", "across_departments"
	repeated, got := truly[same]+truly[across], found[same]+found[across]
	if right+total(missed) != repeated || right+total(invented) != got {
		t.Errorf("%d true repeats, %d found, %d of them true, %d missed, %d invented: that does not add up", repeated, got, right, total(missed), total(invented))
	}
	if repeated < 1000 {
		t.Errorf("%d true repeats: this county shows nothing", repeated)
	}
	precision, recall := share(right, got), share(right, repeated)
	if precision < repeatPrecision || recall < repeatRecall {
		t.Errorf("precision %.5f and recall %.5f of the repeats; at least %v and %v are promised", precision, recall, repeatPrecision, repeatRecall)
	}
	var b strings.Builder
	line := func(what string, n int) { fmt.Fprintf(&b, "| %s | %s |\n", what, thousands(n)) }
	b.WriteString("| repeated papers | |\n|---|---:|\n")
	line("**true repeats**", repeated)
	line("of the same department", truly[same])
	line("across departments", truly[across])
	list(line, "missed", missed)
	list(line, "found, but none", invented)
	line("**found in the marts** (true − missed + found, but none)", got)
	line("of the same department", found[same])
	line("across departments", found[across])
	line("of those found and true, put into the wrong one of the two", rescoped)
	fmt.Fprintf(&b, "| **precision** | %.5f |\n| **recall** | %.5f |\n", precision, recall)
	d.document(t, "repeats", b.String())
	asked := len(d.truthOf(t, "submissions").rows)
	d.rate(t, "repeat_rate", got, asked)
	d.rate(t, "repeat_rate_same_department", found[same], asked)
	d.rate(t, "repeat_rate_across_departments", found[across], asked)
}

// truthOfAvoided counts the repeats that were avoided because shared data stood for the paper: the mart says what the definition says with the
// people that it has, and any difference from what it says with the true ones has a record behind it that was not resolved.
func (d *demoNode) truthOfAvoided(t *testing.T, r *resolved, all []*paper) {
	t.Helper()
	byTrueParty := scopes(all, func(p *paper) string { return p.party })
	byPerson := scopes(all, func(p *paper) string { return p.person })
	editions := map[string][]*paper{}
	for _, p := range all {
		editions[p.group] = append(editions[p.group], p)
	}
	truly, found := 0, 0
	for _, p := range all {
		if !p.shared {
			continue
		}
		truly, found = truly+min(len(byTrueParty[p.key]), 1), found+min(len(p.mart), 1)
		if byPerson[p.key] != p.mart {
			t.Errorf("paper %s, met from shared data: by the people of the marts the repeat avoided is %q, the mart says %q", p.key, byPerson[p.key], p.mart)
		}
		if byTrueParty[p.key] != p.mart && r.behind(t, p, editions[p.group]) == "" {
			t.Errorf("paper %s, met from shared data: the repeat avoided is %q in truth and %q in the mart, and every record behind it is that of the true person", p.key, byTrueParty[p.key], p.mart)
		}
	}
	t.Logf("%d repeats were avoided in truth, %d in the marts", truly, found)
	if truly == 0 {
		t.Error("no repeat was avoided: this county shows nothing")
	}
	from, to := d.period(t)
	if row := d.served(t, "avoided_repeats", from, to, "").Rows[0]; row.Value == nil || *row.Value != float64(found) || row.Count != int64(len(all)) {
		t.Errorf("avoided_repeats: %+v, want %d of %d papers", row, found, len(all))
	}
	d.compared["avoided_repeats"] = true
}

// handedIn are the papers that were not met from shared data.
func handedIn(all []*paper) (papers []*paper) {
	for _, p := range all {
		if !p.shared {
			papers = append(papers, p)
		}
	}
	return papers
}

// list is a line for a sum, and one for each of its causes.
func list(line func(string, int), what string, counts map[string]int) {
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

// papers reads the submissions, in the order of the definition.
func (d *demoNode) papers(t *testing.T, r *resolved) []*paper {
	t.Helper()
	kind, err := semantic.New("citizen_number", nil)
	if err != nil {
		t.Fatal(err)
	}
	applications, cases := d.handedOver(t, "cases", "办件编号")
	files, materials := d.handedOver(t, "materials", "材料流水号")
	mart := map[string]string{}
	answer := d.answer(t, "SELECT case_number, material_code, if(method = 'shared', spared, repeat) AS scope FROM mart.submissions")
	for _, row := range answer.rows {
		f := answer.of(t, row, "case_number", "material_code", "scope")
		mart[f[0]+"/"+f[1]] = f[2]
	}
	parties := map[string]string{} // case -> person or organisation
	answer = d.answer(t, "SELECT case_number, if(person_id != toUUID('00000000-0000-0000-0000-000000000000'), person_id, organisation_id) AS party FROM mart.cases")
	for _, row := range answer.rows {
		f := answer.of(t, row, "case_number", "party")
		parties[f[0]] = f[1]
	}
	var out []*paper
	truth := d.truthOf(t, "submissions")
	for _, row := range truth.rows {
		f := truth.of(t, row, "submission", "case_number", "party", "material_code", "submitted_at", "shared", "scope")
		if f[5] == "true" && f[6] != "" {
			t.Fatalf("submission %s was met from shared data and yet is a repeat", f[0])
		}
		file := files.of(t, materials[f[0]], "证照编号", "有效期止", "要求部门")
		p := &paper{key: f[1] + "/" + f[3], number: f[1], party: f[2], group: f[3] + "/" + file[0], at: f[4], until: file[1], dept: file[2], shared: f[5] == "true", truth: f[6]}
		var ok bool
		if p.mart, ok = mart[p.key]; !ok {
			t.Fatalf("submission %s is not in the mart", p.key)
		}
		p.person = parties[p.number]
		if strings.HasPrefix(p.party, "P") {
			p.mention = r.of["hall_cases/"+p.number+"/applicant"]
			if p.mention == nil || p.mention.truly != p.party || p.mention.person != p.person {
				t.Fatalf("case %s has the person %s in mart.cases, and in mart.links %+v", p.number, p.person, p.mention)
			}
			p.state = observe(kind.(semantic.TextType), applications.of(t, cases[f[1]], "申请人证件号码")[0], r.people[p.party].number)
		}
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b *paper) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.key, b.key)) })
	return out
}

// observe tells what is wrong with the number that is written on an application.
func observe(kind semantic.TextType, written, truly string) (state string) {
	number, problem := "", (*semantic.Problem)(nil)
	if written != "" {
		number, problem = kind.ParseText(written)
	}
	switch {
	case written == "":
		return missingNumber
	case problem != nil && problem.Code == semantic.CodePlaceholder:
		return placeholder
	case problem != nil:
		return wrongNumber
	case number != truly:
		return othersNumber
	}
	return rightNumber
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
		if !p.shared { // what was met from shared data was not handed in
			earlier[key] = append(earlier[key], p)
		}
	}
	return out
}

func validFor(e, p *paper) bool { return e.until == "" || e.until >= p.at[:len("2006-01-02")] }

// behind says which record is behind a difference, and what is wrong with it: that of the paper's own application, else that
// of an earlier one of the same document; empty when none is.
func (r *resolved) behind(t *testing.T, p *paper, edition []*paper) string {
	t.Helper()
	strayed := func(q *paper) bool { return q.mention != nil && q.mention.fate != itself }
	if strayed(p) {
		return "own application: " + r.cause(t, p.mention, p.state)
	}
	earlier := edition[:slices.Index(edition, p)]
	for i := len(earlier) - 1; i >= 0; i-- {
		if e := earlier[i]; strayed(e) && validFor(e, p) && (e.party == p.party || e.person == p.person) {
			return "earlier application: " + r.cause(t, e.mention, e.state)
		}
	}
	return ""
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
