package portal

import (
	"time"

	"github.com/shirecounty/shire/schemas/metrics"
)

// Definition describes one metric to readers: what the API shows of a metrics.Definition.
type Definition struct {
	Name        string        `json:"name"`
	Version     int           `json:"version"`
	Label       metrics.Text  `json:"label"`
	Description metrics.Text  `json:"description"`
	LeavesOut   *metrics.Text `json:"leaves_out,omitempty" jsonschema:"description=What is not counted"`
	Theme       string        `json:"theme,omitempty" jsonschema:"description=What it is about: one of the themes of the pages"`
	Kind        string        `json:"kind" jsonschema:"enum=simple,enum=ratio,enum=derived,enum=survival"`
	Unit        string        `json:"unit" jsonschema:"enum=share,enum=seconds,enum=working_days,enum=cases,enum=papers,enum=visits,enum=points,description=Of value and of p90; a share is of 1"`
	Better      string        `json:"better" jsonschema:"enum=up,enum=down"`
	View        string        `json:"view" jsonschema:"description=Where an analyst finds it in SQL"`
	Dimensions  []string      `json:"dimensions" jsonschema:"description=What by and the filters may name"`
	MinimumCell int           `json:"minimum_cell" jsonschema:"description=Groups with fewer units are suppressed"`
	MaximumOpen float64       `json:"maximum_open,omitempty" jsonschema:"description=With a larger share of open ones the figure is not estimable"`
	Beside      string        `json:"beside,omitempty" jsonschema:"description=The metric without which this one must not be read"`
	Coverage    string        `json:"coverage,omitempty" jsonschema:"description=What of mart.coverage says how much of the truth it is counted over"`
	Grade       string        `json:"grade,omitempty" jsonschema:"description=Grade of the derived data after GB/T 43697"`
	Formula     string        `json:"formula,omitempty" jsonschema:"description=Of a derived metric: over the sums of other metrics"`
	Inputs      []string      `json:"inputs,omitempty" jsonschema:"description=Of a derived metric: what it is derived from"`

	// Its definition in SQL, over the columns of From.
	From        string `json:"from,omitempty" jsonschema:"description=The view that it is counted over"`
	Where       string `json:"where,omitempty" jsonschema:"description=The rows that count"`
	Time        string `json:"time,omitempty" jsonschema:"description=The time whose month is the cohort"`
	Numerator   string `json:"numerator,omitempty"`
	Denominator string `json:"denominator,omitempty"`
	Duration    string `json:"duration,omitempty"`
	Event       string `json:"event,omitempty" jsonschema:"description=Whether it has ended; else it is censored"`
	Refused     string `json:"refused,omitempty" jsonschema:"description=When there can be no figure"`
}

func definitionOf(d *metrics.Definition) Definition {
	var leavesOut *metrics.Text
	if d.LeavesOut.Zh != "" {
		leavesOut = &d.LeavesOut
	}
	return Definition{
		Name: d.Name, Version: d.Version, Label: d.Label, Description: d.Description, LeavesOut: leavesOut, Theme: d.Theme, Kind: d.Kind, Unit: d.Unit, Better: d.Better,
		View: "metrics." + d.Name, Dimensions: d.DimensionNames(), MinimumCell: d.MinimumCell, MaximumOpen: d.MaximumOpen, Beside: d.Beside, Coverage: d.Coverage,
		Grade: d.Grade, Formula: d.Formula, Inputs: d.InputNames(),
		From: d.From, Where: d.Where, Time: d.Time, Numerator: d.Numerator, Denominator: d.Denominator, Duration: d.Duration, Event: d.Event, Refused: d.Because(),
	}
}

// County is which county this node serves and what its data covers.
type County struct {
	Division   string     `json:"division" jsonschema:"description=Six-digit division code after GB/T 2260"`
	NameZh     string     `json:"name_zh"`
	NameEn     string     `json:"name_en"`
	TimeZone   string     `json:"time_zone"`
	Version    string     `json:"version" jsonschema:"description=Of this program"`
	AsOf       *time.Time `json:"as_of" jsonschema:"description=The latest time that any case or incident speaks of"`
	FirstMonth string     `json:"first_month" jsonschema:"description=First month with cases: 2026-07"`
	LastMonth  string     `json:"last_month" jsonschema:"description=Last complete month"`
	Empty      bool       `json:"empty" jsonschema:"description=Nothing is loaded yet"`
	Generation uint64     `json:"generation" jsonschema:"description=Changes with every completed load"`
	Review     bool       `json:"review,omitempty" jsonschema:"description=Identities are reviewed at /review"`
	Jobs       bool       `json:"jobs,omitempty" jsonschema:"description=Jobs are shown at /jobs"`
	Evaluation bool       `json:"evaluation,omitempty" jsonschema:"description=What the county did is judged at /evaluation"`

	Catalogue   bool `json:"catalogue,omitempty" jsonschema:"description=What can be shared is shown at /catalogue"`
	Requests    bool `json:"requests,omitempty" jsonschema:"description=Departments ask each other for data at /sharing"`
	Supervision bool `json:"supervision,omitempty" jsonschema:"description=Supervisors search the log of accesses at /supervision"`
	Window      bool `json:"window,omitempty" jsonschema:"description=Clerks see at /window what an applicant need not hand in"`
}

// Labels names the values of the dimensions department and item.
type Labels struct {
	Departments []metrics.Label `json:"departments"`
	Items       []metrics.Label `json:"items"`
}

// States of the flow, of a source and of an engine.
const (
	Starting = "starting"
	Running  = "running"
	Degraded = "degraded" // works, but something needs a person or is being tried again
	Paused   = "paused"
	Failed   = "failed"
	Stopped  = "stopped"
)

// Status is the health of the flow, from the sources to the warehouse.
type Status struct {
	State                 string           `json:"state" jsonschema:"enum=starting,enum=running,enum=degraded,enum=paused,enum=failed,enum=stopped"`
	Problem               string           `json:"problem,omitempty" jsonschema:"description=What is wrong and what to do; a sentence"`
	LagMessages           uint64           `json:"lag_messages" jsonschema:"description=Messages on the bus that are not in the warehouse"`
	LagRows               uint64           `json:"lag_rows" jsonschema:"description=Changes in those messages"`
	OldestUnloadedSeconds float64          `json:"oldest_unloaded_seconds" jsonschema:"description=Age of the oldest of them"`
	LastLoadAt            *time.Time       `json:"last_load_at"`
	LoadedRows            uint64           `json:"loaded_rows"`
	Quarantined           uint64           `json:"quarantined" jsonschema:"description=Rows that wait in quarantine"`
	ByOwner               []OwnerStatus    `json:"by_owner" jsonschema:"description=Quarantined rows by who has to mend them"`
	Identities            []IdentityStatus `json:"identities" jsonschema:"description=What is known of persons and organisations; as of the last half minute"`
	Sources               []SourceStatus   `json:"sources"`
	Drift                 []DriftStatus    `json:"drift" jsonschema:"description=Changes of the sources' columns that somebody should look at"`
	Engines               []EngineStatus   `json:"engines"`
	Share                 *ShareStatus     `json:"sharing,omitempty" jsonschema:"description=How far the records to share are; absent when the county shares none or the node is stopped"`
	Generation            uint64           `json:"generation" jsonschema:"description=Changes with every completed load; set by the portal"`
}

// ShareStatus is how far the records to share are behind the bus.
type ShareStatus struct {
	LagMessages uint64  `json:"lag_messages" jsonschema:"description=Messages on the bus that are not among the records to share; as of the last second"`
	LagSeconds  float64 `json:"lag_seconds" jsonschema:"description=For how long the oldest of them has been missing"`
	Problem     string  `json:"problem,omitempty" jsonschema:"description=Why nothing is shared at the moment"`
}

// OwnerStatus is how many rows wait in quarantine for one owner.
type OwnerStatus struct {
	Department string `json:"department"`
	OwnerZh    string `json:"owner_zh"`
	OwnerEn    string `json:"owner_en"`
	Rows       uint64 `json:"rows"`
}

// IdentityStatus is how many records there are about persons or organisations, and how many of these.
type IdentityStatus struct {
	About   string `json:"about" jsonschema:"enum=person,enum=organisation"`
	Records int    `json:"records"`
	Parties int    `json:"parties" jsonschema:"description=Persons or organisations that the records are about"`
	Waiting int    `json:"waiting" jsonschema:"description=Pairs of records that wait for a reviewer"`
}

// SourceStatus is the state of one source.
type SourceStatus struct {
	Name         string     `json:"name"`
	Kind         string     `json:"kind"`
	State        string     `json:"state"`
	LastChangeAt *time.Time `json:"last_change_at"`
	Problem      string     `json:"problem,omitempty"`
}

// DriftStatus is a change of a source's columns.
type DriftStatus struct {
	Source   string    `json:"source"`
	Dataset  string    `json:"dataset"`
	Column   string    `json:"column"`
	Code     string    `json:"code" jsonschema:"enum=drift_new_column,enum=drift_lost_column,enum=drift_changed_type"`
	Reaction string    `json:"reaction" jsonschema:"enum=evolve,enum=freeze,enum=quarantine,description=What the dataset's contract asks for"`
	Since    time.Time `json:"since"`
	Message  string    `json:"message" jsonschema:"description=What happened and what to do; a sentence"`
}

// EngineStatus is the state of an engine or of the disk.
type EngineStatus struct {
	Name    string `json:"name"`
	State   string `json:"state"`
	Problem string `json:"problem,omitempty"`
}

// Alive is the answer of /healthz and /readyz.
type Alive struct {
	Status string `json:"status" jsonschema:"enum=ok"`
}
