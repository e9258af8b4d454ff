package county

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/shirecounty/shire/schemas/document"
)

var (
	parameterShape = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)
	template       = regexp.MustCompile(`\{\{\s*([^{}]*?)\s*\}\}`)
)

// moments are the names that a run fills in by itself.
var moments = []string{"from", "to", "due"}

// layouts are the ways to write a moment.
var layouts = map[string]string{"": time.RFC3339, "date": time.DateOnly, "month": "2006-01", "time": "2006-01-02 15:04:05"}

// Fill fills the templates of parameters in: the moments of a run in a time zone, and other parameters. The error names
// the parameter.
func Fill(parameters map[string]string, from, to, due time.Time, zone *time.Location) (map[string]string, error) {
	f := filler{parameters: parameters, moments: map[string]time.Time{"from": from.In(zone), "to": to.In(zone), "due": due.In(zone)}, filled: map[string]string{}, open: map[string]bool{}}
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		if _, err := f.parameter(name); err != nil {
			return nil, fmt.Errorf("parameter %s: %w", name, err)
		}
	}
	return f.filled, nil
}

type filler struct {
	parameters map[string]string
	moments    map[string]time.Time
	filled     map[string]string
	open       map[string]bool // being filled
}

// longestParameter bounds what parameters that name each other may grow to (I10).
const longestParameter = 64 << 10

func (f *filler) parameter(name string) (string, error) {
	if text, done := f.filled[name]; done {
		return text, nil
	}
	if f.open[name] {
		return "", fmt.Errorf("it stands within itself")
	}
	f.open[name] = true
	defer delete(f.open, name)
	var failed error
	text := template.ReplaceAllStringFunc(f.parameters[name], func(found string) string {
		text, err := f.value(strings.TrimSpace(found[2 : len(found)-2]))
		if err != nil && failed == nil {
			failed = err
		}
		return text
	})
	if failed == nil && len(text) > longestParameter {
		failed = fmt.Errorf("it is longer than %d bytes", longestParameter)
	}
	if failed != nil {
		return "", failed
	}
	f.filled[name] = text
	return text, nil
}

func (f *filler) value(name string) (string, error) {
	moment, form, _ := strings.Cut(name, ".")
	if at, ok := f.moments[moment]; ok {
		layout, known := layouts[form]
		if !known {
			return "", fmt.Errorf("{{%s}} is not known; write {{%s}}, {{%s.date}}, {{%s.time}} or {{%s.month}}", name, moment, moment, moment, moment)
		}
		return at.Format(layout), nil
	}
	if _, ok := f.parameters[name]; ok {
		return f.parameter(name)
	}
	known := append(slices.Collect(maps.Keys(f.parameters)), moments...)
	return "", fmt.Errorf("{{%s}} is neither from, to, due nor a parameter; %s", name, document.DidYouMean(name, known))
}

func (j *Job) proveParameters(fail func(path, do, format string, args ...any)) {
	if len(j.Parameters) > 100 {
		fail(".parameters", "keep to 100", "job %s has %d parameters", j.Name, len(j.Parameters))
	}
	for _, name := range slices.Sorted(maps.Keys(j.Parameters)) {
		at := ".parameters." + name
		if err := ProveParameter(name); err != nil {
			fail(at, "use another name, of lower-case letters, digits and _", "job %s: %v", j.Name, err)
			continue
		}
		f := filler{parameters: j.Parameters, moments: map[string]time.Time{"from": {}, "to": {}, "due": {}}, filled: map[string]string{}, open: map[string]bool{}}
		if _, err := f.parameter(name); err != nil {
			message, do, _ := strings.Cut(err.Error(), "; ")
			fail(at, do, "job %s: parameter %s: %s", j.Name, name, message)
		}
	}
}

// ProveParameter tells what is wrong with the name of a parameter.
func ProveParameter(name string) error {
	if slices.Contains(moments, name) {
		return fmt.Errorf("%q is filled in by the run itself", name)
	}
	if !parameterShape.MatchString(name) {
		return fmt.Errorf("%q is not the name of a parameter", name)
	}
	return nil
}
