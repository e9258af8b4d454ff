package disclosure

import (
	"cmp"
	"slices"
	"time"

	"github.com/shirecounty/shire/pipeline/serving"
	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/pseudonym"
	"github.com/shirecounty/shire/schemas/semantic"
	"github.com/shirecounty/shire/schemas/sharing"
)

// dataset is a contract, and what the desk asks of it over and over.
type dataset struct {
	*contract.Dataset
	applicant string                       // role of the person whose case a record is; "" when its records are no cases
	says      map[string]map[string]string // field -> role of a person -> column of person_records
}

func newDataset(c *contract.Dataset) *dataset {
	d := &dataset{Dataset: c, says: map[string]map[string]string{}}
	for i := range c.Emits {
		e := &c.Emits[i]
		if e.Table == "cases" {
			d.applicant = e.Person
		}
		table, ok := canonical.Lookup(e.Table)
		if !ok || table.Mention != canonical.PersonMention {
			continue
		}
		for column, v := range e.Columns {
			for _, field := range fieldsOf(v) {
				if d.says[field] == nil {
					d.says[field] = map[string]string{}
				}
				d.says[field][e.Role] = column
			}
		}
	}
	return d
}

func fieldsOf(v contract.Value) []string {
	if v.Field != "" {
		return []string{v.Field}
	}
	return v.Fields
}

// whose tells for the persons' mentions of records whose they are today.
func (h *hearing) whose(records []*serving.Record) map[pseudonym.ID]pseudonym.ID {
	var mentions []pseudonym.ID
	for _, r := range records {
		mentions = append(mentions, mentionsOf(r)...)
	}
	whose := make(map[pseudonym.ID]pseudonym.ID, len(mentions))
	for i, person := range h.persons.Whom(mentions) {
		whose[mentions[i]] = person
	}
	return whose
}

// shown is what a decision shows of a record. A field that says something of a person is shown only when that person is of the
// case: what a record says of the other spouse is not covered by a case of the one.
func (h *hearing) shown(set *dataset, r *serving.Record, d sharing.Decision, person pseudonym.ID, whose map[pseudonym.ID]pseudonym.ID) Record {
	out := Record{Department: set.Department, Dataset: set.Name, ID: r.ID, Contract: r.Contract, SourceTime: known(r.SourceTime), ReceivedAt: r.Received, Refused: slices.Clone(d.Refused)}
	for i := range set.Fields {
		name := set.Fields[i].Name
		mask, covered := d.Fields[name]
		if !covered {
			continue
		}
		means, ofCase := "", len(set.says[name]) == 0
		for _, m := range r.Mentions {
			column, says := set.says[name][m.Role]
			if !m.Person || !says {
				continue
			}
			ofCase = ofCase || slices.Contains(h.standing.Persons, whose[m.Record])
			if whose[m.Record] == person {
				means = column
			}
		}
		brought, compared := h.Brought[set.Name+"."+name]
		if !ofCase || mask == sharing.Equals && !compared {
			out.Refused = append(out.Refused, name)
			continue
		}
		v, ok := h.masked(mask, r.Value(name), brought)
		if !ok {
			continue
		}
		v.Field, v.Means = name, means
		out.Values = append(out.Values, v)
	}
	slices.Sort(out.Refused)
	out.Refused = slices.Compact(out.Refused)
	return out
}

// masked is a value as a mask shows it; not ok when there is nothing to show.
func (h *hearing) masked(mask sharing.Mask, value, brought string) (v Value, ok bool) {
	m, err := mask.Apply(value, brought, func(text string) string {
		// By department: two of them cannot find out together that they look at the same value.
		return hashed(h.Desk, func(p *pseudonym.Hasher) string { return p.Text("shared/"+h.Department, text) })
	})
	if err != nil {
		return v, false
	}
	v.Mask, v.Text = mask, m.Value
	if mask == sharing.Exists || mask == sharing.Equals {
		v.Text = map[bool]string{true: "yes", false: "no"}[m.Holds]
	}
	return v, v.Text != ""
}

func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// facts are what records say of the person, in the order of the canonical columns.
func facts(records []Record) []Fact {
	by := map[string]*Fact{}
	for i := range records {
		r := &records[i]
		for _, v := range r.Values {
			if v.Means == "" {
				continue
			}
			f := by[v.Means]
			if f == nil {
				f = &Fact{Means: v.Means}
				by[v.Means] = f
			}
			for _, other := range f.Said {
				// Under another mask, or as the answer to another question, it says neither the same nor something else.
				comparable := v.Mask == other.Mask && v.Mask != sharing.Exists && v.Mask != sharing.Equals
				f.Conflicting = f.Conflicting || comparable && v.Text != other.Text
			}
			f.Said = append(f.Said, Said{v, r.Department, r.Dataset, r.SourceTime, r.ReceivedAt})
		}
	}
	table, _ := canonical.Lookup("person_records")
	var out []Fact
	for _, column := range table.Mappable() {
		if f := by[column]; f != nil {
			slices.SortStableFunc(f.Said, func(a, b Said) int { return b.when().Compare(a.when()) })
			out = append(out, *f)
		}
	}
	return out
}

// when a value was written, as far as is known.
func (s *Said) when() time.Time {
	if s.SourceTime != nil {
		return *s.SourceTime
	}
	return s.ReceivedAt
}

// wanted is whom a lookup is for, in the form in which contracts read it.
type wanted struct{ number, name, birthDate string }

var (
	citizenNumber = semanticType("citizen_number")
	chineseName   = semanticType("chinese_name")
)

func semanticType(name string) semantic.Type {
	t, err := semantic.New(name, nil)
	if err != nil {
		panic(err) // the name is a constant of this package
	}
	return t
}

func (d *Desk) wanted(a Attributes) (w wanted, err error) {
	mistake := func(text string) (wanted, error) { return wanted{}, &Mistake{Field: "attributes", Text: text} }
	text := func(t semantic.Type, s string) (string, bool) {
		v, p := t.(interface {
			ParseText(string) (string, *semantic.Problem)
		}).ParseText(s)
		return v, p == nil && v != ""
	}
	ok := true
	switch byName := a.Name != "" || a.BirthDate != ""; {
	case (a.Number != "") == byName:
		return mistake("send either the citizen number, or the name and the date of birth")
	case !byName:
		if w.number, ok = text(citizenNumber, a.Number); !ok {
			return mistake("the number is no valid citizen number: 18 characters, or the 15 digits of the old form")
		}
	default:
		day, dayErr := time.Parse(time.DateOnly, a.BirthDate)
		if w.name, ok = text(chineseName, a.Name); !ok || dayErr != nil {
			return mistake("send a name, and the date of birth as 2006-01-02")
		}
		w.birthDate = day.Format(time.DateOnly)
	}
	return w, nil
}

// fits tells whether the attributes are those of a person, by what the caller may know of them.
func (h *hearing) fits(want wanted, person pseudonym.ID, records []*serving.Record) bool {
	whose := h.whose(records)
	wantedNumber := hashed(h.Desk, func(p *pseudonym.Hasher) pseudonym.ID { return serving.NumberID(p, true, want.number) })
	number, name, birth := false, false, false
	for _, r := range records {
		set := h.catalog[r.Dataset]
		if set == nil {
			continue
		}
		own := r.ID == h.papers.ID
		var d sharing.Decision
		if !own {
			d = sharing.Decide(h.call(r.Dataset, nil, person), h.standing, h.requests, h.o.Contracts, r.Division)
		}
		for _, m := range r.Mentions {
			if !m.Person || whose[m.Record] != person {
				continue
			}
			for field, roles := range set.says {
				if mask, covered := d.Fields[field]; !own && (!covered || mask == sharing.Exists) {
					continue
				}
				switch roles[m.Role] {
				case "id_number":
					number = number || want.number != "" && m.Number == wantedNumber
				case "name":
					name = name || r.Value(field) == want.name
				case "birth_date":
					birth = birth || r.Value(field) == want.birthDate
				}
			}
			if own && m.Number == wantedNumber && want.number != "" { // also where the field itself is not shared
				number = true
			}
		}
	}
	if want.number != "" {
		return number
	}
	return name && birth
}

// newest orders by when a record's version came.
func newest(a, b *serving.Record) int { return cmp.Compare(b.Version, a.Version) }
