package simulate

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/shirecounty/shire/schemas/calendar"
)

// submission is what the truth has to know of a paper to tell whether it is a repeat.
type submission struct {
	party      uint64 // a person, or with the top bits an organisation
	number     string // of the case
	at         int64
	until      int32
	edition    int32
	material   uint8
	department uint8
	seq        uint8
	shared     bool
	linked     bool // of an item that the data link serves
	scope      uint8
}

const (
	firstTime = iota
	sameDepartment
	acrossDepartments
)

var scopes = []string{"", "same_department", "across_departments"}

const ofOrganisations = uint64(1) << 62

// hallTruth is the truth about the cases as they are to be found when everything is loaded.
type hallTruth struct {
	cases, steps, ratings *sheet
	submissions           []submission
	before, after, spared []int64 // working time of the linked items: before the launch, after it, and after it had there been none
	openCases             int
	err                   error
}

func newHallTruth(root string) (*hallTruth, error) {
	t := &hallTruth{}
	var err error
	for _, f := range []struct {
		sheet  **sheet
		name   string
		header []string
	}{
		{&t.cases, "cases", []string{"case_number", "department", "item_code", "party", "applied_at", "accepted_at", "closed_at", "delivered_at", "working_seconds", "working_seconds_without_link", "linked"}},
		{&t.steps, "steps", []string{"case_number", "step", "kind", "started_at", "ended_at", "end_recorded"}},
		{&t.ratings, "ratings", []string{"case_number", "rated_at", "score"}},
	} {
		if *f.sheet, err = createSheet(filepath.Join(root, "truth", f.name+".csv"), style{}, f.header); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (t *hallTruth) note(err error) { t.err = cmp.Or(t.err, err) }

// remember writes down a case as it stands at the end of the simulated time.
func (t *hallTruth) remember(w *world, c *caseLife) {
	end := period{0, w.end()}
	it := &items[c.item]
	party, name := uint64(c.person), personID(c.person)
	if c.org != nobody {
		party, name = ofOrganisations|uint64(c.org), organisationID(c.org)
	}
	work, unlinked := "", ""
	if c.accepted < never {
		work, unlinked = number(int(c.work)), number(int(c.unlinked))
	}
	if end.seen(c.closed) == never {
		t.openCases++
	}
	w.tally.add("cases", it.department, c.day)
	linked := it.linked && c.day >= w.launch
	t.note(t.cases.row(c.number, departments[it.department].code, it.code, name, formatTime(c.applied), formatTime(end.seen(c.accepted)),
		formatTime(end.seen(c.closed)), formatTime(end.seen(c.delivered)), work, unlinked, fmt.Sprint(linked)))
	stop := func(i int, kind string, s span, recorded bool) {
		if s.start <= end.to {
			t.note(t.steps.row(c.number, number(i+1), kind, formatTime(s.start), formatTime(end.seen(s.end)), fmt.Sprint(recorded)))
		}
	}
	for i, s := range c.steps {
		stop(i, "step", s.span, !s.filled)
	}
	for i, s := range c.supplement {
		stop(i, "supplement", s, true)
	}
	for i, s := range c.specials {
		stop(i, "special", s.span, true)
	}
	if c.rated <= end.to {
		t.note(t.ratings.row(c.number, formatTime(c.rated), number(c.score)))
	}
	for i, p := range c.papers {
		if p.at <= end.to {
			t.submissions = append(t.submissions, submission{party: party, number: c.number, at: p.at, until: p.until, edition: p.edition,
				material: uint8(p.material), department: uint8(it.department), seq: uint8(i), shared: p.shared, linked: it.linked})
		}
	}
	switch {
	case !it.linked || c.accepted == never:
	case linked:
		t.after, t.spared = append(t.after, c.work), append(t.spared, c.unlinked)
	default:
		t.before = append(t.before, c.work)
	}
}

// repeats decides which submissions are repeats: an earlier paper that was not met from shared data, of the same
// party, material and document, still valid on the day of the later one. With linkless it decides as if nothing had
// been shared, which is what would have happened without the data link.
func repeats(s []submission, linkless bool) {
	slices.SortFunc(s, func(a, b submission) int {
		return cmp.Or(cmp.Compare(a.party, b.party), cmp.Compare(a.material, b.material), cmp.Compare(a.edition, b.edition),
			cmp.Compare(a.at, b.at), cmp.Compare(a.number, b.number), cmp.Compare(a.seq, b.seq))
	})
	type group struct {
		party    uint64
		material uint8
		edition  int32
	}
	var current group
	var seen uint32 // departments that were handed this document
	for i := range s {
		p := &s[i]
		if g := (group{p.party, p.material, p.edition}); i == 0 || g != current {
			current, seen = g, 0
		}
		p.scope = firstTime
		if p.shared && !linkless {
			continue
		}
		valid := p.until == 0 || p.until >= int32(p.at/dayLong)
		switch own := uint32(1) << p.department; {
		case !valid || seen == 0:
		case seen&own != 0:
			p.scope = sameDepartment
		default:
			p.scope = acrossDepartments
		}
		seen |= 1 << p.department
	}
}

// share is a part of a whole.
type share struct{ part, whole int }

func (s share) String() string {
	if s.whole == 0 {
		return "null"
	}
	return fmt.Sprintf("%.6f", float64(s.part)/float64(s.whole))
}

// repeatShare counts the repeats among the papers of the linked items since the launch or before it: among those that
// were handed in, or with asked also among those met from shared data.
func repeatShare(s []submission, launch int32, after, asked bool) share {
	var r share
	for i := range s {
		p := &s[i]
		if !p.linked || p.at/dayLong >= int64(launch) != after || p.shared && !asked {
			continue
		}
		if r.whole++; p.scope != firstTime {
			r.part++
		}
	}
	return r
}

func median(s []int64) string {
	if len(s) == 0 {
		return "null"
	}
	slices.Sort(s)
	return fmt.Sprintf("%.4f", (float64(s[(len(s)-1)/2])+float64(s[len(s)/2]))/2/float64(hour))
}

// finish writes the submissions and the effect.
func (t *hallTruth) finish(w *world) (repeated int, err error) {
	repeats(t.submissions, true)
	without := repeatShare(t.submissions, w.launch, true, true)
	repeats(t.submissions, false)
	out, err := createSheet(filepath.Join(w.root, "truth", "submissions.csv"), style{}, []string{"submission", "case_number", "party", "material_code", "submitted_at", "shared", "repeat", "scope", "avoidable", "held_in"})
	if err != nil {
		return 0, err
	}
	types, err := sharingTypes(w.root)
	if err != nil {
		return 0, err
	}
	for i := range t.submissions {
		p := &t.submissions[i]
		how, dataset := "", ""
		if p.party&ofOrganisations == 0 && !p.shared {
			how, dataset = w.shelf.avoidable(types, int32(p.party), materials[p.material].code, int32(p.at/dayLong))
		}
		party := personID(int32(p.party))
		if p.party&ofOrganisations != 0 {
			party = organisationID(int32(p.party &^ ofOrganisations))
		}
		if p.scope != firstTime {
			repeated++
		}
		t.note(out.row(paperKey(p.number, int(p.seq)), p.number, party, materials[p.material].code, formatTime(p.at), fmt.Sprint(p.shared), fmt.Sprint(p.scope != firstTime), scopes[p.scope], how, dataset))
	}
	if err := errors.Join(t.err, out.close(), t.cases.close(), t.steps.close(), t.ratings.close()); err != nil {
		return 0, err
	}
	return repeated, t.writeEffect(w, without)
}

func (t *hallTruth) writeEffect(w *world, without share) error {
	f, err := os.Create(filepath.Join(w.root, "truth", "effect.yaml"))
	if err != nil {
		return err
	}
	b := bufio.NewWriter(f)
	fmt.Fprintf(b, `# What the data link truly does in this simulated county. Working hours run from acceptance to closing on the offices'
# clock, supplements and special procedures left out, over the full life of every case, open ones included.
intervention: %s
launched_on: %s
department: %s
items:
`, link.name, calendar.Date(w.launch), departments[link.department].code)
	for _, it := range items {
		if it.linked {
			fmt.Fprintf(b, "  - %s\n", it.code)
		}
	}
	fmt.Fprintf(b, "materials:\n")
	for _, m := range link.materials {
		fmt.Fprintf(b, "  - %s\n", materials[m].code)
	}
	fmt.Fprintf(b, `time_factor: %v           # working time with the link over the same case's without it
share_probability: %v     # of a covered paper to be met from shared data
yearly_gain_of_all: %v     # every office's own trend, linked or not
median_working_hours:
  before: %s
  after: %s
  after_without_link: %s
repeat_share_of_papers_handed_in:
  before: %s
  after: %s
  after_without_link: %s
repeat_share_of_papers_asked_for:
  before: %s
  after: %s
  after_without_link: %s
cases:
  before: %d
  after: %d
`, link.factor, link.share, yearlyGain, median(t.before), median(t.after), median(t.spared),
		repeatShare(t.submissions, w.launch, false, false), repeatShare(t.submissions, w.launch, true, false), without,
		repeatShare(t.submissions, w.launch, false, true), repeatShare(t.submissions, w.launch, true, true), without, len(t.before), len(t.after))
	return errors.Join(b.Flush(), f.Close())
}

// writePersons writes the true people, organisations and their identifiers.
func (p *population) writePersons(root string, names map[string]bool) error {
	out, err := createSheet(filepath.Join(root, "truth", "persons.csv"), style{}, []string{"person", "number", "name", "former_name", "sex", "birth_date", "phone", "household", "died_on", "left_on"})
	if err != nil {
		return err
	}
	ids, err := createSheet(filepath.Join(root, "truth", "identifiers.canonical.part"), style{}, nil)
	if err != nil {
		return err
	}
	sex := map[bool]string{true: "male", false: "female"}
	for i := range p.people {
		q := &p.people[i]
		err = errors.Join(err, out.row(personID(int32(i)), q.number, q.name, q.formerName, sex[q.male], formatDate(q.birth, "2006-01-02"), q.phone,
			p.households[q.household].number, formatDate(q.died, "2006-01-02"), formatDate(q.left, "2006-01-02")),
			ids.row(q.number), ids.row(q.phone))
		for _, n := range []string{q.name, q.formerName} {
			if !names[n] {
				names[n] = true
				err = errors.Join(err, ids.row(n))
			}
		}
	}
	orgs, err2 := createSheet(filepath.Join(root, "truth", "organisations.csv"), style{}, []string{"organisation", "organisation_code", "name"})
	if err2 != nil {
		return errors.Join(err, err2)
	}
	for i := range p.organisations {
		o := &p.organisations[i]
		err = errors.Join(err, orgs.row(organisationID(int32(i)), o.code, o.name))
	}
	return errors.Join(err, out.close(), ids.close(), orgs.close())
}
