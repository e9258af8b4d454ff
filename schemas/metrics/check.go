package metrics

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/shirecounty/shire/schemas/document"
)

var (
	validName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	validView = regexp.MustCompile(`^mart\.[a-z][a-z0-9_]*$`)
	// The columns of every view, and of what is prepared: a dimension cannot have their names.
	reserved = []string{"month", "by", "key", "numerator", "denominator", "units", "open", "value", "cases", "closed", "median", "median_lower",
		"median_upper", "p90", "p90_lower", "p90_upper", "closed_only_median", "still_open", "refused", "halves", "censored", "n", "finer"}
)

var kinds = []string{Simple, Ratio, Derived, Survival}

// takers are the kinds of metrics that take a key.
var takers = map[string][]string{
	"from": {Simple, Ratio, Survival}, "where": {Simple, Ratio, Survival}, "time": {Simple, Ratio, Survival},
	"numerator": {Simple, Ratio}, "denominator": {Ratio}, "units": {Simple, Ratio}, "open": {Simple, Ratio},
	"formula": {Derived}, "duration": {Survival}, "event": {Survival},
}

func (d *Definition) check(doc *document.Document) (problems document.Problems) {
	complain := func(path, message, do string) { problems = append(problems, doc.At(path, message, do)) }
	need := func(key, value string) {
		if strings.TrimSpace(value) == "" {
			complain("$."+key, key+" is missing", "write "+key+": ...")
		}
	}
	oneOf := func(key, value string, valid ...string) {
		if !slices.Contains(valid, value) {
			complain("$."+key, fmt.Sprintf("%s is %q", key, value), document.DidYouMean(value, valid))
		}
	}
	if !validName.MatchString(d.Name) || doc.File != d.Name+".yaml" {
		complain("$.metric", fmt.Sprintf("the metric is called %q", d.Name),
			"use lower-case letters, digits and _, and name the file after it")
	}
	if d.Version < 1 {
		complain("$.version", "the version is missing", "write version: 1, and raise it with every change")
	}
	need("label.zh", d.Label.Zh)
	need("label.en", d.Label.En)
	need("description.zh", d.Description.Zh)
	need("description.en", d.Description.En)
	if d.Theme != "" {
		oneOf("theme", d.Theme, Themes...)
	}
	if (d.LeavesOut.Zh == "") != (d.LeavesOut.En == "") {
		complain("$.leaves_out", "leaves_out is there in one language", "write leaves_out: {zh: ..., en: ...}")
	}
	if d.Kind != Derived {
		need("time", d.Time)
		if !validView.MatchString(d.From) {
			complain("$.from", fmt.Sprintf("from is %q", d.From), "name a view in mart, such as mart.cases")
		}
	}
	oneOf("kind", d.Kind, kinds...)
	given := map[string]string{"numerator": d.Numerator, "denominator": d.Denominator, "units": d.Units, "open": d.Open,
		"formula": d.Formula, "duration": d.Duration, "event": d.Event, "from": d.From, "where": d.Where, "time": d.Time}
	for _, key := range slices.Sorted(maps.Keys(given)) {
		if given[key] != "" && slices.Contains(kinds, d.Kind) && !slices.Contains(takers[key], d.Kind) {
			complain("$."+key, fmt.Sprintf("a metric of the kind %s has no %s", d.Kind, key), "leave it out; "+key+" is of the kinds "+strings.Join(takers[key], ", "))
		}
	}
	if (d.Open == "") != (d.MaximumOpen == 0) || d.MaximumOpen < 0 || d.MaximumOpen >= 1 {
		complain("$.open", "open and maximum_open go together", "write for example open: countIf(open) and maximum_open: 0.1, a share below 1")
	}
	if d.Settles < 0 || d.Settles > 730 || d.Settles > 0 && d.Kind != Ratio {
		complain("$.settles", fmt.Sprintf("settles is %d", d.Settles), "write of a ratio how many days after a month's end what it counts has happened, such as settles: 90")
	}
	switch d.Kind {
	case Simple:
		need("numerator", d.Numerator)
		need("units", d.Units)
		oneOf("unit", d.Unit, "cases", "papers", "visits", "points")
	case Ratio:
		need("numerator", d.Numerator)
		need("denominator", d.Denominator)
		oneOf("unit", d.Unit, Units...)
	case Derived:
		need("formula", d.Formula)
		oneOf("unit", d.Unit, Units...)
		var err error
		if d.formula, err = parseFormula(d.Formula); err != nil && d.Formula != "" {
			complain("$.formula", "the formula cannot be read: "+err.Error(), "write for example formula: 1 - promised_of_statutory")
		}
	case Survival:
		need("duration", d.Duration)
		need("event", d.Event)
		oneOf("unit", d.Unit, "seconds", "working_days")
		if d.MinimumEvents < 1 {
			complain("$.minimum_events", "minimum_events is missing", "write minimum_events: 5")
		}
	}
	if d.Refuse != nil {
		need("refuse.when", d.Refuse.When)
		need("refuse.because", d.Refuse.Because)
	}
	if len(d.Dimensions) == 0 {
		complain("$.dimensions", "there are no dimensions", "write for example dimensions: {department: department}")
	}
	for _, name := range d.DimensionNames() {
		if !validName.MatchString(name) || !validName.MatchString(d.Dimensions[name]) || slices.Contains(reserved, name) {
			complain("$.dimensions."+name, fmt.Sprintf("the dimension %q cannot be the column %q", name, d.Dimensions[name]),
				"use lower-case letters, digits and _, and none of "+strings.Join(reserved, ", "))
		}
	}
	if d.Coverage != "" && !validName.MatchString(d.Coverage) {
		complain("$.coverage", fmt.Sprintf("coverage is %q", d.Coverage), "name a subject of mart.coverage, such as cases")
	}
	oneOf("better", d.Better, "up", "down")
	oneOf("grade", d.Grade, "general", "important", "core")
	if d.MinimumCell < 1 {
		complain("$.minimum_cell", "minimum_cell is missing", "write minimum_cell: 5; 1 suppresses nothing")
	}
	return problems
}

// resolve finds the inputs of a derived metric.
func (d *Definition) resolve(set Set, doc *document.Document) (problems document.Problems) {
	if d.Kind != Derived || d.formula == nil {
		return nil
	}
	complain := func(path, message, do string) { problems = append(problems, doc.At(path, message, do)) }
	var additive []string
	for _, other := range set.All() {
		if other.Kind == Simple || other.Kind == Ratio {
			additive = append(additive, other.Name)
		}
	}
	d.inputs = nil
	for _, name := range d.formula.metrics() {
		if !slices.Contains(additive, name) {
			complain("$.formula", fmt.Sprintf("the formula refers to %q, which is no simple metric or ratio", name), document.DidYouMean(name, additive))
			continue
		}
		input := set[name]
		d.inputs = append(d.inputs, input)
		for _, dimension := range d.DimensionNames() {
			if _, ok := input.Dimensions[dimension]; !ok || d.Dimensions[dimension] != dimension {
				complain("$.dimensions."+dimension, fmt.Sprintf("a derived metric takes its dimensions from what it is derived from, and %s has no dimension %q", name, dimension),
					"write for example dimensions: {department: department}, with dimensions of "+name+": "+strings.Join(input.DimensionNames(), ", "))
			}
		}
	}
	if len(d.formula.metrics()) == 0 {
		complain("$.formula", "the formula refers to no metric", "write for example formula: 1 - promised_of_statutory")
	}
	return problems
}
