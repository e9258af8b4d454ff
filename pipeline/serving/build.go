package serving

import (
	"strconv"
	"strings"
	"time"

	"github.com/shirecounty/shire/pipeline/normalise"
	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/pseudonym"
	"github.com/shirecounty/shire/schemas/semantic"
)

// RecordID is where a department's record stands.
func RecordID(h *pseudonym.Hasher, dataset, key string) pseudonym.ID {
	return h.ID("served/"+dataset, key)
}

// NumberID is where the number of a person or an organisation stands, in the form in which contracts read it.
func NumberID(h *pseudonym.Hasher, person bool, number string) pseudonym.ID {
	if number == "" {
		return pseudonym.ID{}
	}
	if person {
		return h.ID("number/person", number)
	}
	return h.ID("number/organisation", number)
}

// Changes are what the rows of one message become here. Rows that were refused change nothing: the record stays as it was, as
// in the warehouse.
func Changes(h *pseudonym.Hasher, c *contract.Dataset, b *change.Batch, r *normalise.Result, sequence uint64, received time.Time) []Change {
	n := b.Len()
	refused := make([]bool, n)
	for _, rejection := range r.Rejected {
		refused[rejection.Row] = true
	}
	out := make([]Change, n)
	for i := range n {
		if refused[i] {
			continue
		}
		record := &Record{ID: RecordID(h, c.Name, b.Key(i)), Version: b.Version(sequence, i)}
		out[i] = Change{Record: record, Gone: b.Op(i) == change.Delete}
		if out[i].Gone {
			continue
		}
		record.Dataset, record.Source, record.SourceTime, record.Received, record.Contract = c.Name, b.Source, b.Time(i), received, c.Hash
		for k, column := range r.Fields {
			if !shared(c, k) {
				continue // what nobody may be given need not lie here
			}
			if text := fieldText(column, c.Fields[k].Semantic, i); text != "" {
				record.Fields = append(record.Fields, Field{c.Fields[k].Name, text})
			}
		}
	}
	for _, t := range r.Tables {
		fill(h, t, out)
	}
	kept := out[:0]
	for _, c := range out {
		if c.Record != nil {
			kept = append(kept, c)
		}
	}
	return kept
}

// shared tells whether a field may be given to anybody at all.
func shared(c *contract.Dataset, field int) bool {
	if t := c.Fields[field].Sharing; t != "" {
		return t != "none"
	}
	return c.Sharing.Type != "none"
}

// fill adds what a table of the county's model says of the records.
func fill(h *pseudonym.Hasher, t *normalise.Rows, out []Change) {
	text := func(name string) func(i int) string {
		k, _ := t.Table.Column(name)
		if k < 0 || t.Columns[k] == nil {
			return func(int) string { return "" }
		}
		return t.Columns[k].TextAt
	}
	moment := func(name string) func(i int) time.Time {
		k, _ := t.Table.Column(name)
		c := t.Columns[k]
		return func(i int) time.Time {
			if c == nil || c.Valid == nil || !c.Valid[i] {
				return time.Time{}
			}
			return time.UnixMicro(c.Ints[i]).UTC()
		}
	}
	day := func(name string) func(i int) int32 {
		k, _ := t.Table.Column(name)
		c := t.Columns[k]
		return func(i int) int32 {
			if c == nil || c.Valid == nil || !c.Valid[i] {
				return 0
			}
			return int32(c.Ints[i])
		}
	}
	var add func(i int, r *Record)
	switch {
	case t.Table.Mention == canonical.PersonMention:
		number, division := text("id_number"), text("division")
		add = func(i int, r *Record) {
			r.Mentions = append(r.Mentions, Mention{Person: true, Role: t.Role, Record: t.RecordID[i], Number: NumberID(h, true, number(i))})
			if r.Division == "" {
				r.Division = division(i)
			}
		}
	case t.Table.Mention == canonical.OrganisationMention:
		number, division := text("organisation_code"), text("division")
		add = func(i int, r *Record) {
			r.Mentions = append(r.Mentions, Mention{Role: t.Role, Record: t.RecordID[i], Number: NumberID(h, false, number(i))})
			if r.Division == "" {
				r.Division = division(i)
			}
		}
	case t.Table.Name == "cases":
		number, department, item, opened, closed := text("case_number"), text("department"), text("item_code"), moment("applied_at"), moment("closed_at")
		add = func(i int, r *Record) {
			r.Case = &Case{Number: number(i), Department: department(i), Item: item(i), Opened: opened(i), Closed: closed(i)}
		}
	case t.Table.Name == "holdings":
		material, issuer, status, issued, from, until := text("material_code"), text("issuer"), text("status"), moment("issued_at"), day("valid_from"), day("valid_until")
		role := t.PersonRole
		if role == "" {
			role = t.OrganisationRole
		}
		add = func(i int, r *Record) {
			r.Holdings = append(r.Holdings, Holding{Material: material(i), Issuer: issuer(i), Status: status(i), IssuedAt: issued(i), From: from(i), Until: until(i), Role: role})
		}
	default:
		return
	}
	for _, i := range t.Source {
		if c := out[i]; c.Record != nil && !c.Gone && !t.Deleted[i] {
			add(int(i), c.Record)
		}
	}
}

// fieldText is a field's value as text; "" when it is absent.
func fieldText(c *normalise.Column, t semantic.Type, i int) string {
	if c.Text != nil {
		return c.Text[i]
	}
	if c.Valid == nil || !c.Valid[i] {
		return ""
	}
	v := c.Ints[i]
	switch t.Kind() {
	case semantic.Date:
		return semantic.FormatDate(int32(v))
	case semantic.Timestamp:
		return semantic.FormatTimestamp(v)
	case semantic.Boolean:
		return strconv.FormatBool(v == 1)
	case semantic.Decimal:
		return decimal(v, t.(semantic.DecimalType).Scale())
	}
	return strconv.FormatInt(v, 10)
}

// decimal writes a number of units of 10^-scale.
func decimal(v int64, scale int) string {
	if scale == 0 {
		return strconv.FormatInt(v, 10)
	}
	sign := ""
	digits := strconv.FormatInt(v, 10)
	if v < 0 {
		sign, digits = "-", digits[1:]
	}
	if len(digits) <= scale {
		digits = strings.Repeat("0", scale+1-len(digits)) + digits
	}
	return sign + digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
}
