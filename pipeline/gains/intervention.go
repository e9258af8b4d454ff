package gains

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/shirecounty/shire/schemas/metrics"
)

// Where chooses cases by their groups; an empty list is every value.
type Where struct {
	Departments []string `json:"departments,omitempty" yaml:"departments"`
	Divisions   []string `json:"divisions,omitempty" yaml:"divisions"`
	Items       []string `json:"items,omitempty" yaml:"items"`
	Kinds       []string `json:"kinds,omitempty" yaml:"kinds"`
	Channels    []string `json:"channels,omitempty" yaml:"channels"`
}

// Exclusion is what does not count, and why.
type Exclusion struct {
	Where Where  `json:"where" yaml:"where"`
	From  string `json:"from,omitempty" yaml:"from"` // first month, 2026-02; from the beginning when empty
	To    string `json:"to,omitempty" yaml:"to"`     // last month; to the end when empty
	Why   string `json:"why" yaml:"why"`
}

// Windows are the months that are compared.
type Windows struct {
	Before   int `json:"before" yaml:"before"`     // months before the start
	After    int `json:"after" yaml:"after"`       // months from the start, Settling included
	Settling int `json:"settling" yaml:"settling"` // months from the start that are left out, while it settles in
}

// The clusters within which what happens to one case may happen to all: whole clusters are drawn again, never cases.
const (
	ByDepartment = "department"
	ByDivision   = "division"
)

// Intervention is something that the county did, registered with its claim before the result is seen.
type Intervention struct {
	Name          string            `json:"name" yaml:"name"`
	Title         metrics.Text      `json:"title" yaml:"title"`
	What          metrics.Text      `json:"what" yaml:"what"`
	Scope         Where             `json:"scope" yaml:"scope"`               // where it was done; what else there is compares
	Since         string            `json:"since" yaml:"since"`               // first day, 2026-03-01
	Starts        map[string]string `json:"starts,omitempty" yaml:"starts"`   // cluster -> first day, where it is another
	Cluster       string            `json:"cluster,omitempty" yaml:"cluster"` // ByDepartment when empty
	Claim         Claim             `json:"claim" yaml:"claim"`               // what is claimed
	Metric        string            `json:"metric" yaml:"metric"`             // the metric it claims to move
	MetricVersion int               `json:"metric_version" yaml:"metric_version"`
	Cohort        Where             `json:"cohort" yaml:"cohort"` // the cases that count, in scope or to compare
	Exclusions    []Exclusion       `json:"exclusions,omitempty" yaml:"exclusions"`
	Windows       Windows           `json:"windows" yaml:"windows"`
	RegisteredAt  time.Time         `json:"registered_at" yaml:"registered_at"`
	// SeenAt is when its result was first asked for; nil while nobody has. It is no part of the hash.
	SeenAt *time.Time `json:"seen_at,omitempty" yaml:"seen_at"`
}

// Text is the registration as JSON: what is hashed, and what a register keeps of it. The same registration has the same text.
func (v Intervention) Text() []byte {
	v.SeenAt, v.RegisteredAt = nil, v.RegisteredAt.UTC().Truncate(time.Microsecond)
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("gains: the registration has no text: %v", err)) // its fields all have one
	}
	return text
}

// Hash is the SHA-256 of the registration's text, by which a report can be held against what was registered.
func (v Intervention) Hash() string {
	sum := sha256.Sum256(v.Text())
	return hex.EncodeToString(sum[:])
}

// Months are the windows' first month, the first whole month after the first start, and the windows' last month. Starts of their own
// count whether anything is there or not, so the windows of a result may be shorter. The registration has to be right: see Check.
func (v Intervention) Months() (first, start, last metrics.Month) {
	begun, full := v.start("")
	end := full
	for cluster := range v.Starts {
		b, f := v.start(cluster)
		begun, full, end = min(begun, b), min(full, f), max(end, f)
	}
	return (begun - month(v.Windows.Before)).calendar(), full.calendar(), (end + month(v.Windows.After) - 1).calendar()
}

// Late tells whether the result had been seen before it was registered. That is allowed and said for ever.
func (v Intervention) Late() bool { return v.SeenAt != nil && v.SeenAt.Before(v.RegisteredAt) }

// longest is the most months that a window may have.
const longest = 240

// Check says in a sentence what is wrong with a registration; nil when it can be evaluated.
func (v Intervention) Check() error {
	bad := func(format string, values ...any) error {
		return fmt.Errorf("the intervention %q: "+format, append([]any{v.Name}, values...)...)
	}
	if v.Name == "" {
		return bad("it has no name; give it a short one")
	}
	if !slices.Contains(Claims, v.Claim) {
		return bad("the claim is %q; write one of %v", v.Claim, Claims)
	}
	if v.Cluster != "" && v.Cluster != ByDepartment && v.Cluster != ByDivision {
		return bad("the clusters are %q; write %s or %s", v.Cluster, ByDepartment, ByDivision)
	}
	if _, err := parseDay(v.Since); err != nil {
		return bad("since is %q; write its first day as 2026-03-01", v.Since)
	}
	for cluster, day := range v.Starts {
		if _, err := parseDay(day); err != nil {
			return bad("it starts at %q on %q; write the first day as 2026-03-01", cluster, day)
		}
	}
	w := v.Windows
	if w.Before < 1 || w.After < 1 || w.Before > longest || w.After > longest || w.Settling < 0 || w.Settling >= w.After {
		return bad("the windows are %d months before and %d after, %d of them to settle in; give 1 to %d, and fewer to settle in than there are after",
			w.Before, w.After, w.Settling, longest)
	}
	for _, e := range v.Exclusions {
		for _, m := range []string{e.From, e.To} {
			if _, err := metrics.ParseMonth(m); m != "" && err != nil {
				return bad("an exclusion: %w", err)
			}
		}
		if e.Why == "" {
			return bad("an exclusion gives no reason; write why: ...")
		}
	}
	return nil
}

func parseDay(s string) (time.Time, error) {
	day, err := time.Parse(time.DateOnly, s)
	if err == nil && (day.Year() < 1900 || day.Year() > 2200) {
		err = fmt.Errorf("the year %d", day.Year())
	}
	return day, err
}

// place is where a row belongs: what [Where] and strata are told by.
type place struct{ department, division, item, kind, channel string }

func (w Where) holds(p place) bool {
	in := func(list []string, value string) bool { return len(list) == 0 || slices.Contains(list, value) }
	return in(w.Departments, p.department) && in(w.Divisions, p.division) && in(w.Items, p.item) &&
		in(w.Kinds, p.kind) && in(w.Channels, p.channel)
}

func (v *Intervention) cluster(p place) string {
	if v.Cluster == ByDivision {
		return p.division
	}
	return p.department
}

// excluded tells whether a row does not count.
func (v *Intervention) excluded(p place, m month) bool {
	if !v.Cohort.holds(p) {
		return true
	}
	for _, e := range v.Exclusions {
		within := func(text string, ok func(month) bool) bool {
			limit, err := metrics.ParseMonth(text)
			return err != nil || ok(monthIndex(limit))
		}
		if e.Where.holds(p) && within(e.From, func(from month) bool { return m >= from }) && within(e.To, func(to month) bool { return m <= to }) {
			return true
		}
	}
	return false
}

// start is when it starts for a cluster: the month that its first day is in, and the first month that is wholly after it.
func (v *Intervention) start(cluster string) (begun, full month) {
	text := v.Since
	if own, ok := v.Starts[cluster]; ok {
		text = own
	}
	day, _ := parseDay(text) // checked
	begun = monthOf(day)
	if full = begun; day.Day() > 1 {
		full++
	}
	return begun, full
}
