package sharing

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"

	"github.com/shirecounty/shire/schemas/calendar"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/document"
)

//go:embed rules/cn.yaml
var national embed.FS

// Limit names a deadline of sharing.
type Limit string

// The deadlines, each in working days after the day of the event that starts it.
const (
	ReplyUnconditional Limit = "reply_unconditional" // the owner's answer to a request for what is shared unconditionally
	ReplyConditional   Limit = "reply_conditional"   // the owner's answer to a request for what is shared on conditions
	Delivery           Limit = "delivery"            // what was approved can be read
	Correction         Limit = "correction"          // the owner's answer to a report of an error (校核)
	Catalogue          Limit = "catalogue"           // the catalogue says what has changed
)

// Limits lists the deadlines.
var Limits = []Limit{ReplyUnconditional, ReplyConditional, Delivery, Correction, Catalogue}

// rulesFile is one jurisdiction's table.
type rulesFile struct {
	Jurisdiction contract.Text `yaml:"jurisdiction"`
	Versions     []version     `yaml:"versions"`
}

// version is what a jurisdiction sets from a day on. A limit that it does not name is that of the layer below.
type version struct {
	InForce            string `yaml:"in_force"`
	Source             string `yaml:"source"`
	ReplyUnconditional *int   `yaml:"reply_unconditional"`
	ReplyConditional   *int   `yaml:"reply_conditional"`
	Delivery           *int   `yaml:"delivery"`
	Correction         *int   `yaml:"correction"`
	Catalogue          *int   `yaml:"catalogue"`

	from calendar.Date
}

func (v *version) days(l Limit) *int {
	switch l {
	case ReplyUnconditional:
		return v.ReplyUnconditional
	case ReplyConditional:
		return v.ReplyConditional
	case Delivery:
		return v.Delivery
	case Correction:
		return v.Correction
	case Catalogue:
		return v.Catalogue
	}
	return nil
}

// Rules are the deadlines of a jurisdiction in layers: the nation, the province, the county. A layer may set tighter limits
// than the one below, and no looser ones.
type Rules struct{ layers []rulesFile }

// Deadline is when something has to be done, and who says so.
type Deadline struct {
	Limit        Limit
	Days         int // working days
	Due          calendar.Date
	Jurisdiction contract.Text
	Source       string // the rule
}

// National is the layer of the state's rules.
func National() fs.FS {
	sub, err := fs.Sub(national, "rules")
	if err != nil {
		panic(err) // the name is a constant of this package
	}
	return sub
}

// LoadRules reads the layers in their order, the nation first; files are the *.yaml at the top of each. The error is document.Problems.
func LoadRules(layers ...fs.FS) (*Rules, error) {
	r := &Rules{}
	for _, layer := range layers {
		names, err := fs.Glob(layer, "*.yaml")
		if err != nil {
			return nil, fmt.Errorf("list the rules of sharing: %w", err)
		}
		for _, name := range names {
			data, err := fs.ReadFile(layer, name)
			if err != nil {
				return nil, fmt.Errorf("read the rules of sharing: %w", err)
			}
			if err := r.add(name, data); err != nil {
				return nil, err
			}
		}
	}
	return r, nil
}

func (r *Rules) add(name string, data []byte) error {
	var f rulesFile
	doc, err := document.Parse(name, data, &f)
	if err != nil {
		return err
	}
	var problems document.Problems
	if f.Jurisdiction.Zh == "" || f.Jurisdiction.En == "" {
		problems = append(problems, doc.At("$.jurisdiction", "the jurisdiction needs its name in both languages", "write jurisdiction: {zh: …, en: …}"))
	}
	for i := range f.Versions {
		v, path := &f.Versions[i], fmt.Sprintf("$.versions[%d]", i)
		if v.from, err = calendar.ParseDate(v.InForce); err != nil {
			problems = append(problems, doc.At(path+".in_force", err.Error(), "write the day as 2025-08-01"))
			continue
		}
		if i > 0 && v.from <= f.Versions[i-1].from {
			problems = append(problems, doc.At(path+".in_force", "the versions stand in the order in which they came into force", "put the older one first"))
		}
		if v.Source == "" {
			problems = append(problems, doc.At(path, "a rule needs its source", "name the law or rule in source:"))
		}
		for _, l := range Limits {
			days := v.days(l)
			if days == nil {
				if len(r.layers) == 0 && i == 0 {
					problems = append(problems, doc.At(path, fmt.Sprintf("the nation's first rules have to set %s", l), "write the working days"))
				}
				continue
			}
			if *days < 1 {
				problems = append(problems, doc.At(path+"."+string(l), "a limit is at least one working day", "write 1 or more"))
				continue
			}
			if below, ok := r.in(v.from, l); ok && *days > below.Days {
				problems = append(problems, doc.At(path+"."+string(l),
					fmt.Sprintf("%d working days are more than the %d of %s (%s): a limit may be tightened, not loosened", *days, below.Days, below.Jurisdiction.En, below.Source),
					fmt.Sprintf("write %d or less", below.Days)))
			}
		}
	}
	if len(problems) > 0 {
		return problems
	}
	r.layers = append(r.layers, f)
	return nil
}

// in is the tightest limit on a day, of all layers: a lower layer that is tightened later binds at once.
func (r *Rules) in(day calendar.Date, l Limit) (Deadline, bool) {
	best, found := Deadline{Limit: l}, false
	for _, layer := range slices.Backward(r.layers) { // of equals, the nearest to the county is named
		days, source := 0, ""
		for i := range layer.Versions {
			v := &layer.Versions[i]
			if v.from > day {
				break
			}
			if d := v.days(l); d != nil {
				days, source = *d, v.Source
			}
		}
		if days > 0 && (!found || days < best.Days) {
			best.Days, best.Source, best.Jurisdiction, found = days, source, layer.Jurisdiction, true
		}
	}
	return best, found
}

// Standing is a limit as it is from a day on, until the next one of the same name.
type Standing struct {
	Deadline // without the day that it is due
	From     calendar.Date
}

// Table is every limit with the days from which on it was another: what [Rules.Due] goes by, for those who read tables.
func (r *Rules) Table() []Standing {
	var days []calendar.Date
	for _, layer := range r.layers {
		for i := range layer.Versions {
			days = append(days, layer.Versions[i].from)
		}
	}
	slices.Sort(days)
	var table []Standing
	for _, l := range Limits {
		for _, day := range slices.Compact(days) {
			d, ok := r.in(day, l)
			if last := len(table) - 1; ok && (last < 0 || table[last].Deadline != d) {
				table = append(table, Standing{d, day})
			}
		}
	}
	return table
}

// Due is the last day of a limit that an event on a day starts. The rules in force on that day decide. The error is a
// calendar.UnpublishedError when the calendar does not reach so far.
func (r *Rules) Due(l Limit, day calendar.Date, c *calendar.Calendar) (Deadline, error) {
	d, ok := r.in(day, l)
	if !ok {
		return d, fmt.Errorf("no rules on sharing are in force on %s; they begin later", day)
	}
	due, err := c.AddWorkdays(day, d.Days)
	d.Due = due
	return d, err
}
