package main

import (
	"fmt"
	"strings"
	"testing"
)

// How well the avoidable papers that the marts find are the true ones. As with repeats, precision comes first.
const (
	avoidablePrecision = .999
	avoidableRecall    = .98
)

// holding is a paper that a register has of somebody.
type holding struct {
	dataset, since, until string
	party                 string // true person
	person                string // person of the marts
	mention               *mention
}

// verdict is how a paper could have been spared, and the item of the catalogue that holds it; both empty when it could not.
type verdict struct{ avoidable, item string }

// truthOfHoldings: the registers hold in the marts what they hold in the truth, with its dates; whose it is is a matter of identity.
func (d *demoNode) truthOfHoldings(t *testing.T, r *resolved) (holdings map[string][]*holding) {
	t.Helper()
	h := d.hasher(t)
	want, got, holdings := counted{}, counted{}, map[string][]*holding{}
	owners := map[string]string{}
	mart := d.answer(t, "SELECT record, dataset, person_id, material_code, coalesce(valid_from, toDate32(issued_at, 'Asia/Shanghai')) AS since, valid_until FROM mart.holdings WHERE status IN ('', 'valid')")
	for _, row := range mart.rows {
		f := mart.of(t, row, "record", "dataset", "material_code", "since", "valid_until", "person_id")
		got.add(f[0], f[1:5]...)
		owners[f[0]] = f[5]
	}
	truth := d.truthOf(t, "holdings")
	for _, row := range truth.rows {
		f := truth.of(t, row, "dataset", "key", "role", "person_role", "person", "material_code", "valid_from", "valid_until")
		record := uuid(h.ID("record/"+f[0]+"/holdings/"+f[2], f[1]))
		want.add(record, f[0], f[5], f[6], f[7])
		m := r.of[strings.Join([]string{f[0], f[1], f[3]}, "/")]
		if m == nil || m.truly != f[4] || m.person != owners[record] {
			t.Fatalf("holding %v belongs to %s in mart.holdings, and its record in mart.links to %+v", f, owners[record], m)
		}
		holdings[f[5]] = append(holdings[f[5]], &holding{f[0], f[6], f[7], f[4], m.person, m})
	}
	sameRecords(t, "holding", want, got)
	return holdings
}

// sparing applies the definition: a department holds the same for the same party, valid on the day of the paper, and shares it.
func sparing(papers []*paper, holdings map[string][]*holding, sharing map[string]string, party func(*paper) string, owner func(*holding) string) map[string]verdict {
	of := map[string][]*holding{}
	for material, all := range holdings {
		for _, h := range all {
			of[owner(h)+"/"+material] = append(of[owner(h)+"/"+material], h)
		}
	}
	verdicts := map[string]verdict{}
	for _, p := range papers {
		material, _, _ := strings.Cut(p.group, "/")
		day, best := p.at[:len("2006-01-02")], verdict{}
		for _, h := range of[party(p)+"/"+material] {
			if how := sharing[h.dataset]; h.since <= day && (h.until == "" || day <= h.until) && how != "none" &&
				(how > best.avoidable || how == best.avoidable && h.dataset < best.item) { // unconditional comes last in the alphabet
				best = verdict{how, h.dataset}
			}
		}
		verdicts[p.key] = best
	}
	return verdicts
}

// truthOfAvoidable counts the papers that the marts find avoidable against the true ones, the item of the catalogue included. Where identity is
// not involved, as with the papers of organisations, they are the same; any other difference has a record behind it that was not resolved to the
// true person.
func (d *demoNode) truthOfAvoidable(t *testing.T, r *resolved) {
	papers, holdings := handedIn(d.papers(t, r)), d.truthOfHoldings(t, r)
	sharing, truth, mart := map[string]string{}, map[string]verdict{}, map[string]verdict{}
	answer := d.answer(t, "SELECT dataset, sharing FROM mart.catalogue")
	for _, row := range answer.rows {
		f := answer.of(t, row, "dataset", "sharing")
		sharing[f[0]] = f[1]
	}
	submissions := d.truthOf(t, "submissions")
	for _, row := range submissions.rows {
		f := submissions.of(t, row, "case_number", "material_code", "avoidable", "held_in")
		truth[f[0]+"/"+f[1]] = verdict{f[2], f[3]}
	}
	answer = d.answer(t, "SELECT case_number, material_code, method, avoidable, held_in FROM mart.avoidable_submissions")
	for _, row := range answer.rows {
		f := answer.of(t, row, "case_number", "material_code", "method", "avoidable", "held_in")
		mart[f[0]+"/"+f[1]] = verdict{f[3], f[4]}
		if f[2] == "shared" && f[3] != "" {
			t.Fatalf("%s of case %s was met from shared data and is avoidable", f[1], f[0])
		}
	}
	byTrueParty := sparing(papers, holdings, sharing, func(p *paper) string { return p.party }, func(h *holding) string { return h.party })
	byPerson := sparing(papers, holdings, sharing, func(p *paper) string { return p.person }, func(h *holding) string { return h.person })
	missed, invented := map[string]int{}, map[string]int{}
	truly, found, right := map[verdict]int{}, map[verdict]int{}, 0
	for _, p := range papers {
		want, got := truth[p.key], mart[p.key]
		if byTrueParty[p.key] != want {
			t.Fatalf("paper %s: by the definition it is avoidable %v, the truth says %v", p.key, byTrueParty[p.key], want)
		}
		if byPerson[p.key] != got {
			t.Errorf("paper %s: by the people of the marts it is avoidable %v, the mart says %v", p.key, byPerson[p.key], got)
		}
		truly[want]++
		found[got]++
		if want == got {
			if want.avoidable != "" {
				right++
			}
			continue
		}
		cause := r.withheld(t, p, holdings)
		if cause == "" {
			t.Errorf("paper %s is avoidable %v in the mart and %v in truth, and every record behind it is that of the true person", p.key, got, want)
		}
		if want.avoidable != "" {
			missed[cause]++
		}
		if got.avoidable != "" {
			invented[cause]++
		}
	}
	all, got := len(papers)-truly[verdict{}], len(papers)-found[verdict{}]
	if right+total(missed) != all || right+total(invented) != got {
		t.Errorf("%d avoidable papers, %d found, %d of them true, %d missed, %d invented: that does not add up", all, got, right, total(missed), total(invented))
	}
	precision, recall := share(right, got), share(right, all)
	if precision < avoidablePrecision || recall < avoidableRecall {
		t.Errorf("precision %.5f and recall %.5f of the avoidable papers; at least %v and %v are promised", precision, recall, avoidablePrecision, avoidableRecall)
	}
	free, granted := 0, 0
	var b strings.Builder
	line := func(what string, n int) { fmt.Fprintf(&b, "| %s | %s |\n", what, thousands(n)) }
	b.WriteString("| papers that need not have been asked for | |\n|---|---:|\n")
	line("**truly**", all)
	for _, item := range []string{"disability_certificates", "insured_persons", "marriages", "residents"} { // of pupils, parents are the applicants
		n := truly[verdict{sharing[item], item}]
		if n == 0 {
			t.Errorf("%s makes no paper unnecessary: this county shows nothing of it", item)
		}
		line(fmt.Sprintf("held in `%s` (%s)", item, sharing[item]), n)
	}
	for v, n := range found {
		switch v.avoidable {
		case "unconditional":
			free, granted = free+n, granted+n
		case "conditional":
			granted += n
		}
	}
	list(line, "missed", missed)
	list(line, "found, but none", invented)
	line("**found in the marts** (true − missed + found, but none)", got)
	fmt.Fprintf(&b, "| **precision** | %.5f |\n| **recall** | %.5f |\n", precision, recall)
	d.document(t, "avoidable", b.String())
	d.rate(t, "avoidable_rate", free, len(submissions.rows))
	d.rate(t, "avoidable_rate_with_grants", granted, len(submissions.rows))
}

// withheld says which record is behind a difference, and what is wrong with it: that of the paper's application, else that of the register;
// empty when none is.
func (r *resolved) withheld(t *testing.T, p *paper, holdings map[string][]*holding) string {
	t.Helper()
	if p.mention != nil && p.mention.fate != itself {
		return "own application: " + r.cause(t, p.mention, p.state)
	}
	material, _, _ := strings.Cut(p.group, "/")
	for _, h := range holdings[material] {
		if (h.party == p.party || h.person == p.person) && h.mention.fate != itself {
			return "register: " + r.cause(t, h.mention, "")
		}
	}
	return ""
}
