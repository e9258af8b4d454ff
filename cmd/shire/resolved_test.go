package main

import (
	"cmp"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shirecounty/shire/pipeline/identity"
	"github.com/shirecounty/shire/pipeline/identity/partition"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// mention is one record about a person: whom it is truly about, and whom the marts say.
type mention struct {
	dataset, key, role string
	id                 pseudonym.ID
	truly              string // person of the truth
	person             string // person of the marts
	fate               string
}

// What became of a mention. A person of the marts is the true person whom most of its records are about; of those that are
// the same true person, the one in which most records give that person's number is them, else the one with most records,
// and the others are second selves.
const (
	itself  = "the true person"
	another = "another person"
	apart   = "a second self"
)

// truePerson is what the truth knows of one.
type truePerson struct{ number, name, formerName, phone string }

// resolved is all mentions, and what it takes to tell why one was not resolved.
type resolved struct {
	mentions []*mention
	of       map[string]*mention // by dataset/key/role
	people   map[string]truePerson
	persons  map[string][]*mention // by person of the marts
	order    []string              // those, in the order of the truth's records: their ids are of one run
	state    *partition.Partition
}

// resolved reads who the marts say that everybody is. The state of identities is opened beside the running node: what a
// record says, as its contract let it pass, is what a difference is explained by.
func (d *demoNode) resolved(t *testing.T) *resolved {
	t.Helper()
	h := d.hasher(t)
	r := &resolved{of: map[string]*mention{}, people: map[string]truePerson{}, persons: map[string][]*mention{}}
	m, err := identity.Open(identity.Options{Dir: filepath.Join(d.data, "identity"), Hasher: h.Clone(), ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	r.state = m.Partition(identity.Person)
	persons := d.truthOf(t, "persons")
	for _, row := range persons.rows {
		f := persons.of(t, row, "person", "number", "name", "former_name", "phone")
		r.people[f[0]] = truePerson{f[1], f[2], f[3], f[4]}
	}
	links := map[string]string{} // record -> person
	answer := d.answer(t, "SELECT record, person_id FROM mart.links WHERE current")
	for _, row := range answer.rows {
		f := answer.of(t, row, "record", "person_id")
		if links[f[0]] != "" {
			t.Fatalf("record %s has two current links", f[0])
		}
		links[f[0]] = f[1]
	}
	records := d.truthOf(t, "records")
	for _, row := range records.rows {
		f := records.of(t, row, "dataset", "key", "role", "person")
		m := &mention{dataset: f[0], key: f[1], role: f[2], truly: f[3], id: h.ID("record/"+f[0]+"/person_records/"+f[2], f[1])}
		if m.person = links[uuid(m.id)]; m.person == "" {
			t.Fatalf("record %s of %s (%s) is not in mart.links", f[1], f[0], f[2])
		}
		delete(links, uuid(m.id))
		r.mentions = append(r.mentions, m)
		r.of[strings.Join(f[:3], "/")] = m
		if len(r.persons[m.person]) == 0 {
			r.order = append(r.order, m.person)
		}
		r.persons[m.person] = append(r.persons[m.person], m)
	}
	if len(links) > 0 {
		t.Errorf("mart.links has %d records of which the truth knows nothing", len(links))
	}
	r.judge(t)
	return r
}

// judge tells what became of every mention.
func (r *resolved) judge(t *testing.T) {
	t.Helper()
	selves := map[string][]string{} // true person -> the persons of the marts that are theirs
	most := map[string]string{}     // person of the marts -> whom most records are about
	for _, person := range r.order {
		about := map[string]int{}
		for _, m := range r.persons[person] {
			about[m.truly]++
		}
		best := slices.MaxFunc(slices.Sorted(maps.Keys(about)), func(a, b string) int { return cmp.Compare(about[a], about[b]) })
		most[person] = best
		selves[best] = append(selves[best], person)
	}
	main := map[string]string{}
	for truly, persons := range selves {
		if main[truly] = persons[0]; len(persons) == 1 {
			continue
		}
		main[truly] = slices.MaxFunc(persons, func(a, b string) int {
			return cmp.Or(cmp.Compare(r.numbered(t, a, truly), r.numbered(t, b, truly)), cmp.Compare(len(r.persons[a]), len(r.persons[b])))
		})
	}
	for _, m := range r.mentions {
		switch {
		case most[m.person] != m.truly:
			m.fate = another
		case main[m.truly] != m.person:
			m.fate = apart
		default:
			m.fate = itself
		}
	}
}

// numbered counts the records of a person of the marts that give the true person's number.
func (r *resolved) numbered(t *testing.T, person, truly string) (n int) {
	t.Helper()
	for _, m := range r.persons[person] {
		if r.says(t, m)["id_number"] == r.people[truly].number {
			n++
		}
	}
	return n
}

// pairs counts the pairs of records of one true person, those that the marts have together, and those that are both.
func (r *resolved) pairs() (truly, found, both int) {
	of := func(n int) int { return n * (n - 1) / 2 }
	byTrue, byPerson, byBoth := map[string]int{}, map[string]int{}, map[[2]string]int{}
	for _, m := range r.mentions {
		byTrue[m.truly]++
		byPerson[m.person]++
		byBoth[[2]string{m.truly, m.person}]++
	}
	for _, n := range byTrue {
		truly += of(n)
	}
	for _, n := range byPerson {
		found += of(n)
	}
	for _, n := range byBoth {
		both += of(n)
	}
	return truly, found, both
}

// says is what a record says in the fields of the model, as the contract let it pass.
func (r *resolved) says(t *testing.T, m *mention) map[string]string {
	t.Helper()
	c := r.state.Case(m.id, m.id)
	if c == nil {
		t.Fatalf("the state of identities does not know record %s of %s (%s)", m.key, m.dataset, m.role)
	}
	out := map[string]string{}
	for i, f := range c.Fields {
		out[f.Name] = c.Left.Record.Values[i]
	}
	return out
}

// cause tells by the truth what is wrong with a record; number is what is known of the number beside what the contract let
// pass, or empty.
func (r *resolved) cause(t *testing.T, m *mention, number string) string {
	t.Helper()
	said, p := r.says(t, m), r.people[m.truly]
	if number == "" {
		switch said["id_number"] {
		case p.number:
			number = rightNumber
		case "":
			number = "missing or not valid"
		default:
			number = othersNumber
		}
	}
	name := "another"
	switch strings.Join(strings.Fields(said["name"]), "") {
	case p.name:
		name = "right"
	case p.formerName:
		name = "a former one"
	case "":
		name = "missing"
	}
	phone := "another's"
	switch said["phone"] {
	case p.phone:
		phone = "right"
	case "":
		phone = "missing"
	}
	return "number " + number + ", name " + name + ", telephone " + phone
}
