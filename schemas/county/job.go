package county

import (
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/invopop/jsonschema"

	"github.com/shirecounty/shire/schemas/document"
)

// Job is something that runs by itself: at set times, after other jobs, or when a person asks.
//
// It is due by one of Schedule, Every and After, or by hand only when it has none of them.
type Job struct {
	Name         string            `yaml:"name" json:"name" jsonschema:"required,pattern=^[a-z][a-z0-9_-]{0\\,62}$"`
	Do           Do                `yaml:"do" json:"do" jsonschema:"required"`
	Schedule     string            `yaml:"schedule,omitempty" json:"schedule,omitempty" jsonschema:"description=minute hour day-of-month month day-of-week on the clock of the job's time zone"`
	Every        Duration          `yaml:"every,omitempty" json:"every,omitempty" jsonschema:"description=An interval that divides a day\\, counted from each midnight\\, or whole days such as 48h"`
	After        []string          `yaml:"after,omitempty" json:"after,omitempty" jsonschema:"description=Runs when all these jobs have ended well for the same due time"`
	TimeZone     string            `yaml:"time_zone,omitempty" json:"time_zone,omitempty" jsonschema:"description=The county's when absent"`
	Days         string            `yaml:"days,omitempty" json:"days,omitempty" jsonschema:"enum=any,enum=workday,enum=holiday,enum=first_workday_of_month,default=any,description=On which days of the working calendar it is due"`
	Missed       string            `yaml:"missed,omitempty" json:"missed,omitempty" jsonschema:"enum=skip,enum=once,enum=all,default=once,description=What becomes of due times that passed while no process was up or the job was paused"`
	MissedWithin Duration          `yaml:"missed_within,omitempty" json:"missed_within,omitempty" jsonschema:"description=Missed times that are older than this are not made up for"`
	MissedMost   int               `yaml:"missed_most,omitempty" json:"missed_most,omitempty" jsonschema:"minimum=1,maximum=200,default=100,description=How many missed times are made up for at most\\, the newest"`
	Overlap      string            `yaml:"overlap,omitempty" json:"overlap,omitempty" jsonschema:"enum=skip,enum=queue,enum=cancel,enum=allow,description=What becomes of a due time while a run of before still goes on; skip when absent\\, and queue after other jobs"`
	Retries      Retries           `yaml:"retries,omitempty" json:"retries,omitempty"`
	Timeout      Duration          `yaml:"timeout,omitempty" json:"timeout,omitempty" jsonschema:"default=24h,description=How long one attempt may take"`
	Parameters   map[string]string `yaml:"parameters,omitempty" json:"parameters,omitempty" jsonschema:"description=Values for the work; {{from}}\\, {{to}}\\, {{due}} (also with .date or .month) and {{another parameter}} are filled in"`
	Owner        string            `yaml:"owner,omitempty" json:"owner,omitempty" jsonschema:"description=Who looks after it"`
	Alert        Alert             `yaml:"alert,omitempty" json:"alert,omitempty"`

	Implicit bool           `yaml:"-" json:"-"` // it stands for the schedule of a source
	Zone     *time.Location `yaml:"-" json:"-"` // TimeZone, read
	Times    *Schedule      `yaml:"-" json:"-"` // Schedule, read; nil without one

	doc  *document.Document
	path string
}

// Policies on missed times.
const (
	MissedSkip = "skip"
	MissedOnce = "once"
	MissedAll  = "all"
)

// Policies on overlap.
const (
	OverlapSkip   = "skip"
	OverlapQueue  = "queue"
	OverlapCancel = "cancel"
	OverlapAllow  = "allow"
)

// Days of the working calendar.
const (
	DaysAny           = "any"
	DaysWorkday       = "workday"
	DaysHoliday       = "holiday"
	DaysFirstWorkdays = "first_workday_of_month"
)

// Retries says how often a run that failed is tried again. The n-th wait is Wait times 2^(n-1), give or take a fifth,
// and Longest at most.
type Retries struct {
	Most    int      `yaml:"most,omitempty" json:"most,omitempty" jsonschema:"minimum=0,maximum=100"`
	Wait    Duration `yaml:"wait,omitempty" json:"wait,omitempty" jsonschema:"default=1m"`
	Longest Duration `yaml:"longest,omitempty" json:"longest,omitempty" jsonschema:"default=1h"`
}

// Alert says when a webhook is told of a job.
type Alert struct {
	Webhook   string   `yaml:"webhook,omitempty" json:"webhook,omitempty" jsonschema:"description=http(s) address that is sent a POST with JSON; ${NAME} keeps a key in it out of the file"`
	OnFailure *bool    `yaml:"on_failure,omitempty" json:"on_failure,omitempty" jsonschema:"default=true,description=When a run failed and is not tried again"`
	LateAfter Duration `yaml:"late_after,omitempty" json:"late_after,omitempty" jsonschema:"description=When a run has not ended this long after it was due"`
	SilentFor Duration `yaml:"silent_for,omitempty" json:"silent_for,omitempty" jsonschema:"description=When no run has ended well for this long"`
}

// Failures tells whether failed runs are told.
func (a Alert) Failures() bool { return a.Webhook != "" && (a.OnFailure == nil || *a.OnFailure) }

// At makes a problem at the place of a YAML path below the job, such as ".after[1]".
func (j *Job) At(path, message, do string) *document.Problem {
	if j.doc == nil {
		return &document.Problem{File: "job " + j.Name, Message: message, Do: do}
	}
	return j.doc.At(j.path+path, message, do)
}

// Do is the work of a job: one kind, with settings that whoever knows the kind reads by [Job.Decode] or [Job.Settings].
type Do struct {
	Kind string

	node ast.Node // of the settings; nil when there are none
}

// UnmarshalYAML reads "kind: settings", or a kind alone.
func (d *Do) UnmarshalYAML(node ast.Node) error {
	switch n := node.(type) {
	case *ast.StringNode:
		d.Kind = n.Value
		return nil
	case *ast.MappingValueNode:
		return d.entry(n)
	case *ast.MappingNode:
		if len(n.Values) == 1 {
			return d.entry(n.Values[0])
		}
	}
	return document.Errorf(node, `a job does exactly one thing; write one kind of work with its settings, such as "do: {read: SOURCE}"`)
}

func (d *Do) entry(n *ast.MappingValueNode) error {
	d.Kind = n.Key.String()
	if _, null := n.Value.(*ast.NullNode); !null {
		d.node = n.Value
	}
	return nil
}

// MarshalJSON keeps the settings, which may name secrets, out of what is printed.
func (d Do) MarshalJSON() ([]byte, error) { return []byte(`"` + d.Kind + `"`), nil }

// MarshalYAML does the same.
func (d Do) MarshalYAML() ([]byte, error) { return []byte(d.Kind), nil }

// JSONSchema documents the notation for editors.
func (Do) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Description: "Exactly one kind of work, with its settings", Examples: []any{map[string]any{"read": "SOURCE"}}, OneOf: []*jsonschema.Schema{
		{Type: "object", AdditionalProperties: jsonschema.TrueSchema},
		{Type: "string"},
	}}
}

// Text is the settings where they are one word, such as the source in "read: SOURCE"; empty when they are not.
func (d Do) Text() string {
	if d.node == nil {
		return ""
	}
	return scalar(d.node)
}

// Empty tells whether the kind stands without settings.
func (d Do) Empty() bool { return d.node == nil }

// SettingsPath is where the settings stand below the job, for At.
func (d Do) SettingsPath() string { return ".do." + d.Kind }

// Decode reads the settings of the job's work strictly into a value. The error is document.Problems.
func (j *Job) Decode(into any) error {
	if j.Do.node == nil {
		return nil
	}
	if j.doc == nil {
		return document.Decode("job "+j.Name, j.Do.node, into)
	}
	return document.Decode(j.doc.File, j.Do.node, into)
}

// Settings are the settings of the job's work as a mapping, for those who read it key by key; a nil map when there are
// none. The error is document.Problems.
func (j *Job) Settings() (map[string]any, error) {
	var m map[string]any
	if err := j.Decode(&m); err != nil {
		return nil, document.Problems{j.At(j.Do.SettingsPath(), j.Do.Kind+" has no settings that can be read", "write them as keys below "+j.Do.Kind+":")}
	}
	return m, nil
}
