package normalise

import (
	"fmt"
	"time"

	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/semantic"
)

// parse reads every field of the contract from the source columns.
func (s *state) parse() {
	fields := s.plan.contract.Fields
	byField, _ := s.plan.contract.Resolve(s.batch.Columns())
	s.columns = make([]*Column, len(fields))
	for i := range fields {
		c := &Column{}
		if fields[i].Semantic.Kind() == semantic.Text {
			c.Text = make([]string, s.n)
		} else {
			c.Ints, c.Valid = make([]int64, s.n), make([]bool, s.n)
		}
		s.columns[i] = c
		if byField[i] >= 0 {
			s.parseField(&fields[i], c, s.batch.Values(byField[i]))
		} else if fields[i].Required {
			s.rejectAll(fields[i].Name, "missing_column", fmt.Sprintf("the source has no column for the required field %s; it looked for %q", fields[i].Name, fields[i].SourceNames()))
		}
	}
}

func (s *state) rejectAll(field, code, message string) {
	for i := range s.n {
		if s.usable(i) {
			s.reject(i, field, code, message)
		}
	}
}

// parseField runs one tight loop for each kind of value.
func (s *state) parseField(f *contract.Field, c *Column, values *array.String) {
	var parse func(i int, v string) *semantic.Problem
	switch t := f.Semantic.(type) {
	case semantic.TextType:
		parse = func(i int, v string) (p *semantic.Problem) { c.Text[i], p = t.ParseText(v); return p }
	case semantic.DateType:
		parse = func(i int, v string) *semantic.Problem {
			d, p := t.ParseDate(v)
			c.Ints[i], c.Valid[i] = int64(d), p == nil
			return p
		}
	case semantic.TimestampType:
		parse = func(i int, v string) (p *semantic.Problem) {
			c.Ints[i], p = t.ParseTimestamp(v)
			c.Valid[i] = p == nil
			return p
		}
	case semantic.IntegerType:
		parse = func(i int, v string) (p *semantic.Problem) {
			c.Ints[i], p = t.ParseInteger(v)
			c.Valid[i] = p == nil
			return p
		}
	case semantic.DecimalType:
		parse = func(i int, v string) (p *semantic.Problem) {
			c.Ints[i], p = t.ParseDecimal(v)
			c.Valid[i] = p == nil
			return p
		}
	case semantic.BooleanType:
		parse = func(i int, v string) *semantic.Problem {
			b, p := t.ParseBoolean(v)
			if b {
				c.Ints[i] = 1
			}
			c.Valid[i] = p == nil
			return p
		}
	default:
		panic(fmt.Sprintf("normalise: semantic type %s has no parser of its kind", f.Type)) // a defect of package semantic
	}
	kind := f.Semantic.Kind()
	at, _ := s.plan.contract.Field(f.Name)
	moment := s.plan.moments[at]
	for i := range s.n {
		if !s.usable(i) {
			continue
		}
		var p *semantic.Problem
		if values.IsNull(i) || values.Value(i) == "" {
			p = absent
		} else {
			if p = parse(i, values.Value(i)); p == nil && moment && !s.holds(c.Ints[i], kind) {
				p = outside
			}
		}
		if p != nil {
			s.settle(f, c, i, p)
		}
	}
}

var absent = &semantic.Problem{Code: semantic.CodeEmpty}

// What the warehouse's times hold: DateTime64 begins with 1900, and the driver counts nanoseconds in 64 bits on the way.
// A later year would arrive as an earlier one without a word.
var (
	firstMicros = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
	lastMicros  = time.Date(2262, 4, 11, 0, 0, 0, 0, time.UTC).UnixMicro()
	outside     = &semantic.Problem{Code: semantic.CodeOutOfRange, Message: "the time lies outside 1900-01-01 to 2262-04-10 (UTC), which the warehouse's times cannot hold"}
)

// holds tells whether a date or time that becomes a time of the warehouse fits into one.
func (s *state) holds(v int64, kind semantic.Kind) bool {
	if kind == semantic.Date {
		v = s.firstMoment(v)
	}
	return v >= firstMicros && v < lastMicros
}

// settle decides what a value that is not valid costs: nothing where it only says "not known", the value where
// the field is lenient, the row otherwise.
func (s *state) settle(f *contract.Field, c *Column, i int, p *semantic.Problem) {
	if c.Text != nil {
		c.Text[i] = ""
	} else {
		c.Ints[i], c.Valid[i] = 0, false
	}
	unknown := p.Code == semantic.CodeEmpty || p.Code == semantic.CodePlaceholder
	switch {
	case f.Required && unknown:
		s.reject(i, f.Name, "missing", fmt.Sprintf("the required field %s is empty", f.Name))
	case unknown:
	case f.Lenient:
		s.result.Noted[Note{f.Name, p.Code}]++
	default:
		s.reject(i, f.Name, p.Code, fmt.Sprintf("field %s: %s", f.Name, p.Message))
	}
}

const dayMicros = int64(24 * time.Hour / time.Microsecond)

// convert fits a field's column to a canonical column of another kind of time.
func (s *state) convert(c *Column, from semantic.Kind, to canonical.Type) *Column {
	switch {
	case from == semantic.Date && to == canonical.Timestamp:
		return s.mapTimes(c, s.firstMoment)
	case from == semantic.Timestamp && to == canonical.Date:
		return s.mapTimes(c, s.localDay)
	}
	return c
}

func (s *state) mapTimes(c *Column, fn func(int64) int64) *Column {
	out := &Column{Ints: make([]int64, s.n), Valid: c.Valid}
	for i, v := range c.Ints {
		if c.Valid[i] {
			out.Ints[i] = fn(v)
		}
	}
	return out
}

// localDay is the day of a moment in the contract's time zone, counted from 1970-01-01.
func (s *state) localDay(micros int64) int64 {
	_, offset := time.UnixMicro(micros).In(s.plan.zone).Zone()
	local := micros + int64(offset)*1_000_000
	day := local / dayMicros
	if local%dayMicros < 0 {
		day--
	}
	return day
}

// firstMoment is the first moment of a day in the contract's time zone, in microseconds.
func (s *state) firstMoment(day int64) int64 {
	y, m, d := time.Unix(day*86400, 0).UTC().Date()
	return time.Date(y, m, d, 0, 0, 0, 0, s.plan.zone).UnixMicro()
}
