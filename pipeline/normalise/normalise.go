// Package normalise applies a dataset's contract to its changes: types, cleaning, checks, and the mapping to
// the county's model. It works column by column, and is a function of the changes, the contract, the calendar
// and the county's pseudonym key alone, so that a replay says the same (I3).
package normalise

import (
	"fmt"
	"strings"
	"time"

	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// Plan is a contract made ready to run. It is not safe for concurrent use.
type Plan struct {
	contract *contract.Dataset
	hasher   *pseudonym.Hasher
	calendar Calendar
	zone     *time.Location
	emits    []emitPlan
	moments  []bool // fields that become a timestamp of the warehouse
}

// Calendar knows for which years the working days are published.
type Calendar interface {
	Published(year int) bool
}

type emitPlan struct {
	emit    contract.Emit
	table   *canonical.Table
	key     []int // fields of the emit's own key
	when    int   // field of the condition, or -1
	in      map[string]bool
	columns []columnPlan // one for each column of the table
	space   string       // of record ids
	roles   []int        // fields whose presence makes a mention worth a record
}

type columnPlan struct {
	fields []int // source fields; none for a constant or a column that others assign
	value  *string
}

// Compile makes a plan of a contract that has been proven.
func Compile(d *contract.Dataset, hasher *pseudonym.Hasher, cal Calendar) (*Plan, error) {
	zone, err := time.LoadLocation(d.Zone)
	if err != nil {
		return nil, fmt.Errorf("contract of %s: time zone %q is not known", d.Name, d.Zone)
	}
	p := &Plan{contract: d, hasher: hasher, calendar: cal, zone: zone, moments: make([]bool, len(d.Fields))}
	for _, e := range d.Emits {
		table, ok := canonical.Lookup(e.Table)
		if !ok {
			return nil, fmt.Errorf("contract of %s: table %q is not in the county's model", d.Name, e.Table)
		}
		p.emits = append(p.emits, p.compileEmit(e, table))
	}
	return p, nil
}

func (p *Plan) compileEmit(e contract.Emit, table *canonical.Table) emitPlan {
	at := func(name string) int { i, _ := p.contract.Field(name); return i }
	plan := emitPlan{emit: e, table: table, when: -1, columns: make([]columnPlan, len(table.Columns))}
	// A record that is not one per source record is the county's, so the dataset is not part of what names it
	// twice: the same key from one dataset is one record.
	plan.space = strings.Join([]string{"record", p.contract.Name, e.Table, e.Role}, "/")
	for _, k := range e.Key {
		plan.key = append(plan.key, at(k))
	}
	if e.When != nil {
		plan.when = at(e.When.Field)
		if !e.When.Present {
			plan.in = map[string]bool{}
			for _, v := range e.When.In {
				plan.in[v] = true
			}
		}
	}
	for name, v := range e.Columns {
		i, _ := table.Column(name)
		switch {
		case v.Const != nil:
			plan.columns[i].value = v.Const
		case len(v.Fields) > 0:
			for _, f := range v.Fields {
				plan.columns[i].fields = append(plan.columns[i].fields, at(f))
			}
		default:
			plan.columns[i].fields = []int{at(v.Field)}
		}
		if table.Columns[i].Type == canonical.Timestamp {
			for _, f := range plan.columns[i].fields {
				p.moments[f] = true
			}
		}
		if table.Mention != canonical.NoMention {
			plan.roles = append(plan.roles, plan.columns[i].fields...)
		}
	}
	return plan
}

// Apply normalises one change batch. The batch stood at the given sequence and was stored at arrived.
func (p *Plan) Apply(b *change.Batch, sequence uint64, arrived time.Time) *Result {
	n := b.Len()
	s := &state{plan: p, batch: b, n: n, arrived: arrived, bad: make([]bool, n), result: &Result{Noted: map[Note]int{}}}
	s.takeApart()
	s.drifted()
	s.parse()
	s.check()
	s.covered = make([]bool, n)
	for i := range p.emits {
		s.emit(&p.emits[i], sequence)
	}
	s.leftOver()
	s.result.Fields = s.columns
	return s.result
}

// leftOver sets aside the rows that no emit took, and that say of no record that it is gone: they would vanish (I4).
func (s *state) leftOver() {
	for i := range s.n {
		if s.usable(i) && !s.covered[i] {
			s.reject(i, "", "not_mapped", "no emit of the contract applies to the row; add one, or widen its when:")
		}
	}
}

// state is one Apply.
type state struct {
	plan    *Plan
	batch   *change.Batch
	n       int
	arrived time.Time
	bad     []bool // rejected rows
	deleted []bool // rows that say that their record is gone
	covered []bool // rows that became a canonical row, or its tombstone
	columns []*Column
	result  *Result
}

func (s *state) reject(row int, field, code, message string) {
	if s.bad[row] {
		return // the first reason is the one that is told
	}
	s.bad[row] = true
	s.result.Rejected = append(s.result.Rejected, Rejection{Row: row, Field: field, Code: code, Message: message})
}

// takeApart sets aside the rows that carry no values: the malformed and the deletions.
func (s *state) takeApart() {
	s.deleted = make([]bool, s.n)
	for i := range s.n {
		switch s.batch.Op(i) {
		case change.Delete:
			s.deleted[i] = true
		case change.Snapshot, change.Create, change.Update:
		case change.Malformed:
			s.reject(i, "", "malformed", s.batch.Problem(i))
		default:
			s.reject(i, "", "unknown_operation", "the change's operation is not known to this version of shire; run a newer one")
		}
	}
}

// usable tells whether a row's values are to be looked at.
func (s *state) usable(i int) bool { return !s.bad[i] && !s.deleted[i] }

// emit makes the canonical rows of one emit.
func (s *state) emit(e *emitPlan, sequence uint64) {
	r := &Rows{
		Table: e.table, Batch: s.batch, Sequence: sequence, Arrived: s.arrived, Role: e.emit.Role,
		PersonRole: e.emit.Person, OrganisationRole: e.emit.Organisation,
		RecordID: make([]pseudonym.ID, s.n), Deleted: make([]bool, s.n),
	}
	var key []string
	for i := range s.n {
		if s.bad[i] {
			continue
		}
		gone := s.deleted[i]
		if gone && len(e.key) > 0 {
			continue // the record is shared by several source rows; one of them going does not end it
		}
		if !gone && !s.applies(e, i) {
			if s.batch.Op(i) == change.Create || len(e.key) > 0 {
				continue
			}
			gone = true // an earlier version of the row may have applied
		}
		if len(e.key) > 0 {
			key = key[:0]
			for _, f := range e.key {
				key = append(key, s.keyText(f, i))
			}
			r.RecordID[i] = s.plan.hasher.ID(e.space, key...)
		} else {
			r.RecordID[i] = s.plan.hasher.ID(e.space, s.batch.Key(i))
		}
		r.Deleted[i] = gone
		r.Source = append(r.Source, int32(i))
		s.covered[i] = true
	}
	if len(r.Source) == 0 {
		return
	}
	r.Columns = make([]*Column, len(e.columns))
	for i := range e.columns {
		r.Columns[i] = s.column(e, i, r)
	}
	s.result.Tables = append(s.result.Tables, r)
}

// applies tells whether a row becomes a record of this emit: its condition holds and, for a mention, there is
// anything said about the party at all.
func (s *state) applies(e *emitPlan, i int) bool {
	if e.when >= 0 {
		c := s.columns[e.when]
		if e.in == nil {
			if !c.present(i) {
				return false
			}
		} else if c.Text == nil || !e.in[c.Text[i]] {
			return false
		}
	}
	if e.table.Mention == canonical.NoMention {
		return true
	}
	for _, f := range e.roles {
		if s.columns[f].present(i) {
			return true
		}
	}
	return false
}

func (c *Column) present(i int) bool {
	if c.Text != nil {
		return c.Text[i] != ""
	}
	return c.Valid != nil && c.Valid[i]
}

// keyText is a field's value as part of a key.
func (s *state) keyText(f, i int) string {
	c := s.columns[f]
	if c.Text != nil {
		return c.Text[i]
	}
	if !c.Valid[i] {
		return ""
	}
	return fmt.Sprint(c.Ints[i])
}

func (s *state) column(e *emitPlan, i int, r *Rows) *Column {
	plan, col := e.columns[i], e.table.Columns[i]
	switch {
	case col.Origin == canonical.Assigned:
		return nil
	case plan.value != nil:
		return &Column{Const: *plan.value}
	case len(plan.fields) == 0:
		if col.Type.Nullable() {
			return &Column{Ints: make([]int64, s.n), Valid: make([]bool, s.n)}
		}
		return &Column{}
	case col.Origin == canonical.Pseudonym:
		return s.pseudonyms(col.Name, plan.fields, r)
	}
	return s.convert(s.columns[plan.fields[0]], s.plan.contract.Fields[plan.fields[0]].Semantic.Kind(), col.Type)
}

// pseudonyms hashes what stands in the fields; a row in which the first of them is absent has none (I7). The space is
// the column's name in whatever table: a paper that is handed in has the pseudonym under which its issuer holds it.
func (s *state) pseudonyms(space string, fields []int, r *Rows) *Column {
	out := &Column{Text: make([]string, s.n)}
	parts := make([]string, len(fields))
	for _, i := range r.Source {
		if !s.columns[fields[0]].present(int(i)) || r.Deleted[i] {
			continue
		}
		for k, f := range fields {
			parts[k] = s.keyText(f, int(i))
		}
		out.Text[i] = s.plan.hasher.Text(space, parts...)
	}
	return out
}
