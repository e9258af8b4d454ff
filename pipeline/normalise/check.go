package normalise

import (
	"fmt"

	"github.com/shirecounty/shire/schemas/calendar"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/semantic"
)

// check applies the contract's checks to the rows that are still usable.
func (s *state) check() {
	for _, c := range s.plan.contract.Checks {
		holds := s.condition(c)
		for i := range s.n {
			if !s.usable(i) {
				continue
			}
			if field, code, message := holds(i); code != "" {
				s.reject(i, field, code, message)
			}
		}
	}
}

// verdict names the field, the code and the sentence of a row that fails; the code is empty when it holds.
type verdict func(i int) (field, code, message string)

func (s *state) condition(c contract.Check) verdict {
	switch {
	case len(c.NotBefore) == 2:
		later, earlier := c.NotBefore[0], c.NotBefore[1]
		message := fmt.Sprintf("check %s: %s is before %s", c.Name, later, earlier)
		return func(i int) (string, string, string) {
			a, okA := s.micros(later, i)
			b, okB := s.micros(earlier, i)
			if okA && okB && a < b {
				return later, "out_of_order", message
			}
			return "", "", ""
		}
	case len(c.NotAfterSource) > 0:
		return s.each(c.NotAfterSource, func(field string, i int) (string, string) {
			written := s.batch.Time(i)
			if written.IsZero() {
				written = s.arrived // the source does not say; it cannot have known of what came after it arrived
			}
			if v, ok := s.micros(field, i); ok && v > written.UnixMicro() {
				return "in_future", fmt.Sprintf("check %s: %s is later than the row itself", c.Name, field)
			}
			return "", ""
		})
	case len(c.WorkingCalendar) > 0:
		return s.each(c.WorkingCalendar, func(field string, i int) (string, string) { return s.published(c, field, i) })
	case len(c.AnyOf) > 0:
		message := fmt.Sprintf("check %s: none of %v is given", c.Name, c.AnyOf)
		return func(i int) (string, string, string) {
			for _, name := range c.AnyOf {
				if f, _ := s.plan.contract.Field(name); s.columns[f].present(i) {
					return "", "", ""
				}
			}
			return c.AnyOf[0], "missing", message
		}
	default:
		b := c.Between
		message := fmt.Sprintf("check %s: %s is not between %d and %d", c.Name, b.Field, b.Min, b.Max)
		f, _ := s.plan.contract.Field(b.Field)
		return func(i int) (string, string, string) {
			if col := s.columns[f]; col.Valid != nil && col.Valid[i] && (col.Ints[i] < b.Min || col.Ints[i] > b.Max) {
				return b.Field, "out_of_range", message
			}
			return "", "", ""
		}
	}
}

func (s *state) each(fields []string, fails func(field string, i int) (code, message string)) verdict {
	return func(i int) (string, string, string) {
		for _, f := range fields {
			if code, message := fails(f, i); code != "" {
				return f, code, message
			}
		}
		return "", "", ""
	}
}

// published holds back a row whose legal time cannot be counted: better a row that waits, with the reason, than
// working days counted by a calendar that nobody has published.
func (s *state) published(c contract.Check, field string, i int) (code, message string) {
	v, ok := s.micros(field, i)
	if !ok {
		return "", ""
	}
	year := calendar.Date(s.localDay(v)).Year()
	if s.plan.calendar.Published(year) {
		return "", ""
	}
	return "calendar_unpublished", fmt.Sprintf("check %s: %s stands in %d, whose working calendar is not published; retry once it is", c.Name, field, year)
}

// micros is a date or time as microseconds; a date is its first moment in the contract's time zone.
func (s *state) micros(field string, i int) (int64, bool) {
	f, _ := s.plan.contract.Field(field)
	c := s.columns[f]
	if !c.Valid[i] {
		return 0, false
	}
	if s.plan.contract.Fields[f].Semantic.Kind() == semantic.Date {
		return s.firstMoment(c.Ints[i]), true
	}
	return c.Ints[i], true
}
