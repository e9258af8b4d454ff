package statement

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shirecounty/shire/jobs"
)

// moments are the names of the times that every run gives, builtin those of all that it gives.
var (
	moments = []string{"from", "to", "due"}
	builtin = append(slices.Clone(moments), "run", "job", "attempt")
)

// escape writes a text as ClickHouse reads the value of a parameter: as a field of a tab-separated file.
var escape = strings.NewReplacer(`\`, `\\`, "\t", `\t`, "\n", `\n`, "\r", `\r`, "\x00", `\0`, "\b", `\b`, "\f", `\f`)

// bind gives the text that the server gets, and the values that it puts in the places of the parameters: they are never
// part of the text. A moment that stands there as several types becomes a parameter for each: a server has one value for a
// name.
func bind(st Statement, t jobs.Task) (text string, values map[string]string, err error) {
	values = map[string]string{}
	types := map[string][]string{}
	done := 0
	for _, p := range st.Parameters {
		value, given := t.Parameters[p.Name]
		switch p.Name {
		case "run":
			value, given = t.Run, true
		case "job":
			value, given = t.Job, true
		case "attempt":
			value, given = strconv.Itoa(t.Attempt), true
		case "from":
			value, given = moment(t.From, p.Type)
		case "to":
			value, given = moment(t.To, p.Type)
		case "due":
			value, given = moment(t.Due, p.Type)
		}
		if !given {
			return "", nil, fmt.Errorf("line %d: the run has no value for {%s:%s}", p.Line, p.Name, p.Type)
		}
		name := p.Name
		if slices.Contains(moments, name) {
			n := slices.Index(types[name], p.Type)
			if n < 0 {
				n = len(types[name])
				types[name] = append(types[name], p.Type)
			}
			if n > 0 {
				name = fmt.Sprintf("%s$%d", name, n) // no parameter of a job has such a name
			}
		}
		text += st.Text[done:p.at] + name
		done = p.at + len(p.Name)
		values[name] = escape.Replace(value)
	}
	return text + st.Text[done:], values, nil
}

// isMoment tells whether a parameter of the type can take a time.
func isMoment(columnType string) bool {
	_, ok := moment(time.Unix(0, 0), columnType)
	return ok
}

// moment writes a time for a parameter of the type: for DateTime the seconds since 1970, which are the same in every
// time zone; for Date the day in the zone of the job.
func moment(t time.Time, columnType string) (text string, ok bool) {
	if t.IsZero() {
		return "", false
	}
	switch base, _, _ := strings.Cut(columnType, "("); strings.TrimSpace(base) {
	case "DateTime":
		return fmt.Sprintf("%010d", t.Unix()), true // fewer digits would be read as a part of a date
	case "DateTime64":
		return fmt.Sprintf("%010d.%09d", t.Unix(), t.Nanosecond()), true
	case "Date", "Date32":
		return t.Format(time.DateOnly), true
	case "String":
		return t.Format(time.RFC3339), true
	}
	return "", false
}
