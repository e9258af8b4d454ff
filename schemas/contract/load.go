package contract

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/document"
	"github.com/shirecounty/shire/schemas/semantic"
)

// Set is the contracts of a county by dataset name.
type Set map[string]*Dataset

// Names lists the datasets in order.
func (s Set) Names() []string { return slices.Sorted(maps.Keys(s)) }

// EndsFilled lists the datasets whose source writes the start of a step where it knows no end.
func (s Set) EndsFilled() []string {
	return slices.DeleteFunc(s.Names(), func(name string) bool { return !s[name].EndsFilled })
}

// LoadDir reads every *.yaml in the directory. zone is the county's time zone. The error is
// document.Problems with every mistake of every file.
func LoadDir(dir, zone string) (Set, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil || len(files) == 0 {
		return nil, document.Problems{{File: dir, Message: "no contract (*.yaml) was found in this folder", Do: "point contracts: in county.yaml to the folder with your contracts"}}
	}
	sort.Strings(files)
	set, own := Set{}, Own()
	var problems document.Problems
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			problems = append(problems, &document.Problem{File: file, Message: "cannot be read", Do: "check its permissions"})
			continue
		}
		d, err := Parse(file, text, zone)
		if err != nil {
			problems = append(problems, err.(document.Problems)...)
			continue
		}
		if _, reserved := own[d.Name]; reserved {
			problems = append(problems, &document.Problem{File: file, Line: 1, Message: fmt.Sprintf("dataset %s is Shire's own", d.Name), Do: "name yours otherwise"})
			continue
		}
		if other, twice := set[d.Name]; twice {
			problems = append(problems, &document.Problem{File: file, Line: 1, Message: fmt.Sprintf("dataset %s has a contract in %s already", d.Name, other.File), Do: "keep one contract for a dataset"})
			continue
		}
		set[d.Name] = d
	}
	return set, problems.OrNil()
}

// Parse reads and proves one contract. zone is used for times without an offset when the contract has none.
// The error is document.Problems.
func Parse(file string, text []byte, zone string) (*Dataset, error) {
	return parse(file, text, zone, false)
}

func parse(file string, text []byte, zone string, own bool) (*Dataset, error) {
	d := &Dataset{File: file, Text: text}
	doc, err := document.Parse(file, text, d)
	if err != nil {
		return nil, err
	}
	written := d.Zone
	if d.Zone == "" {
		d.Zone = zone
	}
	d.Hash = hashOf(append([]byte(d.Zone+"\n"), text...))
	p := &prover{doc: doc, d: d, own: own}
	p.zone(written)
	p.dataset()
	p.drift()
	p.fields()
	p.checks()
	p.emits()
	if err := p.problems.OrNil(); err != nil {
		return nil, err
	}
	return d, nil
}

// prover checks a contract against the semantic types and the canonical model.
type prover struct {
	doc      *document.Document
	d        *Dataset
	own      bool // may be a dataset of Shire's own
	problems document.Problems
}

func (p *prover) fail(path, do, format string, args ...any) {
	p.problems = append(p.problems, p.doc.At(path, fmt.Sprintf(format, args...), do))
}

var nameShape = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

func (p *prover) name(path, what, name string) {
	if !nameShape.MatchString(name) {
		p.fail(path, "use lower-case letters, digits and _, beginning with a letter", "%s %q is not a name", what, name)
	}
}

func (p *prover) oneOf(path, what, value string, valid ...string) {
	if !slices.Contains(valid, value) {
		p.fail(path, document.DidYouMean(value, valid), "%s %q is not known", what, value)
	}
}

// zone checks the contract's own time zone; the county's is the county's matter.
func (p *prover) zone(name string) {
	if _, err := time.LoadLocation(name); err != nil || name == "Local" {
		p.fail("$.time_zone", "write a name such as Asia/Shanghai", "time zone %q is not known", name)
	}
}

func (p *prover) dataset() {
	d := p.d
	p.name("$.dataset", "dataset", d.Name)
	p.name("$.department", "department", d.Department)
	if d.Department == OwnDepartment && !p.own {
		p.fail("$.department", "name the department otherwise", "%s is no department: its datasets are Shire's own", d.Department)
	}
	if d.Version < 1 {
		p.fail("$.version", "write version: 1 and raise it with every change", "the contract has no version")
	}
	if d.Owner.Zh == "" && d.Owner.En == "" {
		p.fail("$.owner", "name the office that answers for the dataset", "the dataset has no owner")
	}
	if d.Delivery == "" {
		d.Delivery = Changes
	}
	p.oneOf("$.delivery", "delivery", string(d.Delivery), string(Changes), string(Snapshot))
	p.oneOf("$.sharing.type", "sharing type", d.Sharing.Type, "unconditional", "conditional", "none")
	if d.Sharing.Type == "none" && d.Sharing.Ground == "" {
		p.fail("$.sharing", "name the law or rule in ground:", "a dataset that is not shared needs its legal ground")
	}
	if len(d.Fields) == 0 {
		p.fail("$.fields", "list the columns of the source", "the contract has no fields")
	}
	if len(d.Emits) == 0 {
		p.fail("$.emits", "say at least one table of the county's model", "the contract emits nothing")
	}
}

func (p *prover) fields() {
	d := p.d
	d.index = map[string]int{}
	claimed := map[string]string{}
	for i := range d.Fields {
		f := &d.Fields[i]
		path := fmt.Sprintf("$.fields[%d]", i)
		p.name(path+".name", "field", f.Name)
		if _, twice := d.index[f.Name]; twice {
			p.fail(path+".name", "rename one of them", "field %s stands twice", f.Name)
		}
		d.index[f.Name] = i
		for _, h := range f.SourceNames() {
			if other, twice := claimed[h]; twice {
				p.fail(path+".headers", "give each source column to one field", "source column %q is claimed by field %s too", h, other)
			}
			claimed[h] = f.Name
		}
		p.oneOf(path+".sensitivity", "sensitivity", f.Sensitivity, Open, Internal, Personal, Sensitive)
		if f.Sharing != "" {
			p.oneOf(path+".sharing", "sharing type", f.Sharing, "unconditional", "conditional", "none")
		}
		if f.Required && f.Lenient {
			p.fail(path+".lenient", "keep one of the two", "field %s is both required and lenient", f.Name)
		}
		p.semantic(path, f)
	}
	if len(d.Key) == 0 {
		p.fail("$.key", "name the fields that identify a record", "the dataset has no key")
	}
	p.known("$.key", d.Key...)
}

func (p *prover) semantic(path string, f *Field) {
	if !slices.Contains(semantic.Names(), f.Type) {
		p.fail(path+".type", document.DidYouMean(f.Type, semantic.Names()), "type %q of field %s is not known", f.Type, f.Name)
		return
	}
	if personal(f.Type) && !f.IsPersonal() {
		// I7: what is personal by its nature cannot be declared open.
		p.fail(path+".sensitivity", "write sensitivity: personal or sensitive", "field %s is a %s, which is personal by its nature", f.Name, f.Type)
	}
	with := f.With
	if takesZone(f.Type) && with["time_zone"] == nil {
		with = semantic.Params{"time_zone": p.d.Zone}
		maps.Copy(with, f.With)
	}
	t, err := semantic.New(f.Type, with)
	if err != nil {
		p.fail(path+".with", "", "field %s: %v", f.Name, err)
		return
	}
	f.Semantic = t
}

// personal tells whether values of a type identify a person by their nature.
func personal(name string) bool {
	return slices.ContainsFunc(semantic.Definitions(), func(d semantic.Definition) bool { return d.Name == name && d.Personal })
}

// takesZone tells whether a type reads times that need a zone.
func takesZone(name string) bool {
	for _, d := range semantic.Definitions() {
		if d.Name == name {
			return slices.ContainsFunc(d.Params, func(p semantic.Param) bool { return p.Name == "time_zone" })
		}
	}
	return false
}

func (p *prover) known(path string, names ...string) {
	for _, n := range names {
		if _, ok := p.d.index[n]; !ok {
			p.fail(path, document.DidYouMean(n, slices.Collect(maps.Keys(p.d.index))), "%q is not a field of this dataset", n)
		}
	}
}

func (p *prover) checks() {
	for i, c := range p.d.Checks {
		path := fmt.Sprintf("$.checks[%d]", i)
		p.name(path+".name", "check", c.Name)
		given := 0
		for _, fields := range [][]string{c.NotBefore, c.WorkingCalendar, c.NotAfterSource} {
			if len(fields) > 0 {
				given++
				p.known(path, fields...)
				p.timed(path, fields...)
			}
		}
		if len(c.NotBefore) > 0 && len(c.NotBefore) != 2 {
			p.fail(path, "write not_before: [later, earlier]", "not_before takes two fields")
		}
		if len(c.AnyOf) > 0 {
			given++
			p.known(path, c.AnyOf...)
		}
		if c.Between != nil {
			given++
			p.known(path, c.Between.Field)
			p.numeric(path, c.Between.Field)
			if c.Between.Min > c.Between.Max {
				p.fail(path, "write the smaller number in min:", "nothing is between %d and %d", c.Between.Min, c.Between.Max)
			}
		}
		if given != 1 {
			p.fail(path, "split it into checks of one condition each", "check %s has %d conditions, not one", c.Name, given)
		}
	}
}

func (p *prover) timed(path string, fields ...string) {
	for _, name := range fields {
		i, ok := p.d.index[name]
		if !ok || p.d.Fields[i].Semantic == nil {
			continue
		}
		if k := p.d.Fields[i].Semantic.Kind(); k != semantic.Date && k != semantic.Timestamp {
			p.fail(path, "name a field of type date or timestamp", "field %s is of kind %s", name, k)
		}
	}
}

func (p *prover) numeric(path, name string) {
	if k, ok := p.kind(name); ok && k != semantic.Integer && k != semantic.Decimal {
		p.fail(path, "name a field of type integer or decimal", "field %s is of kind %s", name, k)
	}
}

// kind is the kind of a field that is known and whose type is.
func (p *prover) kind(name string) (semantic.Kind, bool) {
	i, ok := p.d.index[name]
	if !ok || p.d.Fields[i].Semantic == nil {
		return 0, false
	}
	return p.d.Fields[i].Semantic.Kind(), true
}

// party is a person or organisation record of a row, as other emits refer to it.
type party struct {
	role    string
	mention canonical.Mention
}

func (p *prover) emits() {
	parties := map[party]bool{}
	seen := map[string]bool{}
	for i, e := range p.d.Emits {
		path := fmt.Sprintf("$.emits[%d]", i)
		table, ok := canonical.Lookup(e.Table)
		if !ok || table.Own && !p.own {
			p.fail(path+".table", document.DidYouMean(e.Table, canonical.Names()), "table %q is not in the county's model", e.Table)
			continue
		}
		if id := e.Table + "/" + e.Role; seen[id] {
			p.fail(path, "give each of them a role of its own", "the row emits %s twice with the same role", e.Table)
		} else {
			seen[id] = true
		}
		if table.Mention != canonical.NoMention {
			parties[party{e.Role, table.Mention}] = true
		}
		if e.Role != "" {
			p.name(path+".role", "role", e.Role)
		}
		p.known(path+".key", e.Key...)
		p.identifies(path+".key", e)
		if e.When != nil {
			p.known(path+".when", e.When.Field)
			if e.When.Present == (len(e.When.In) > 0) {
				p.fail(path+".when", "write in: [values] or present: true", "the condition has to say either which values or that the field is present")
			}
			if k, ok := p.kind(e.When.Field); ok && len(e.When.In) > 0 && k != semantic.Text {
				p.fail(path+".when", "name a text field, or write present: true", "field %s is of kind %s, which in: cannot compare", e.When.Field, k)
			}
		}
		p.columns(path, table, e)
	}
	if p.d.EndsFilled && !slices.ContainsFunc(p.d.Emits, func(e Emit) bool { _, ends := e.Columns["ended_at"]; return e.Table == "case_steps" && ends }) {
		p.fail("$.ends_filled", "leave it out, or map ended_at of case_steps", "the dataset gives no ends of steps that could be filled")
	}
	for i, e := range p.d.Emits {
		p.refers(fmt.Sprintf("$.emits[%d].person", i), e, party{e.Person, canonical.PersonMention}, parties)
		p.refers(fmt.Sprintf("$.emits[%d].organisation", i), e, party{e.Organisation, canonical.OrganisationMention}, parties)
	}
}

// identifies checks that a key of its own is never empty: all rows without one would be versions of one record.
func (p *prover) identifies(path string, e Emit) {
	known := false
	for _, name := range e.Key {
		i, ok := p.d.index[name]
		if !ok || p.d.Fields[i].Required || e.When != nil && e.When.Field == name {
			return
		}
		known = true
	}
	if known {
		p.fail(path, "make one of its fields required: true, or emit the row only when: {field: ..., present: true}", "the key %s of the emitted %s may be empty", strings.Join(e.Key, ", "), e.Table)
	}
}

func (p *prover) refers(path string, e Emit, to party, parties map[party]bool) {
	role := to.role
	if role == "" {
		return
	}
	if table, ok := canonical.Lookup(e.Table); ok && !table.Parties {
		p.fail(path, "leave it out", "table %s does not refer to a party", e.Table)
	}
	if !parties[to] {
		p.fail(path, "emit person_records or organisation_records with that role", "no party of this row has the role %q", role)
	}
}

func (p *prover) columns(path string, table *canonical.Table, e Emit) {
	for _, name := range slices.Sorted(maps.Keys(e.Columns)) {
		at := path + ".columns." + name
		_, col := table.Column(name)
		if col == nil || col.Origin == canonical.Assigned {
			p.fail(at, document.DidYouMean(name, table.Mappable()), "%s has no column %q that a contract may fill", table.Name, name)
			continue
		}
		v := e.Columns[name]
		switch {
		case v.Const != nil:
			if col.Type != canonical.Code && col.Type != canonical.Text {
				p.fail(at, "map it from a field", "column %s is not text, so it cannot be a constant", name)
			}
		case len(v.Fields) > 0:
			p.known(at, v.Fields...)
			if col.Origin != canonical.Pseudonym {
				p.fail(at, "name one field", "column %s takes one field; only pseudonymous columns join several", name)
			}
		default:
			p.known(at, v.Field)
			p.fits(at, table, col, v.Field)
		}
	}
	for _, c := range table.Columns {
		if _, given := e.Columns[c.Name]; c.Required && !given {
			p.fail(path+".columns", fmt.Sprintf("map %s: it is %s", c.Name, c.Doc), "table %s needs the column %s", table.Name, c.Name)
		}
	}
}

// fits checks the types, and that nothing personal reaches a table that analysts read (I7).
func (p *prover) fits(at string, table *canonical.Table, col *canonical.Column, name string) {
	i, ok := p.d.index[name]
	if !ok || p.d.Fields[i].Semantic == nil {
		return
	}
	f := &p.d.Fields[i]
	if f.IsPersonal() && !table.Personal && col.Origin != canonical.Pseudonym {
		p.fail(at, "map it to a pseudonymous column or to person_records, or lower its sensitivity if it is not personal",
			"field %s is %s, and %s is read by analysts", name, f.Sensitivity, table.Name)
	}
	if col.Origin == canonical.Pseudonym {
		return
	}
	if k := f.Semantic.Kind(); !accepts(col.Type, k) {
		p.fail(at, "change the field's type or map another field", "field %s is of kind %s, which does not fit the column %s", name, k, col.Name)
	}
}

func accepts(t canonical.Type, k semantic.Kind) bool {
	switch t {
	case canonical.Text, canonical.Code:
		return k == semantic.Text
	case canonical.Date:
		return k == semantic.Date || k == semantic.Timestamp
	case canonical.Timestamp:
		return k == semantic.Timestamp || k == semantic.Date
	case canonical.Integer:
		return k == semantic.Integer || k == semantic.Boolean
	case canonical.Money:
		return k == semantic.Decimal
	}
	return false
}
