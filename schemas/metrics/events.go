package metrics

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The parts of the events behind a figure.
const (
	PartAll     = ""
	PartCounted = "counted" // those that add to the numerator; of a survival metric those that have ended
	PartRest    = "rest"    // those that are counted over and add nothing to the numerator; of a survival metric those that have not ended
)

// Parts lists them, without the whole.
var Parts = []string{PartCounted, PartRest}

// How many events are listed when nobody says how many, how many at most, and how far down the list anybody may page (I10).
const (
	EventsLimit   = 50
	MostEvents    = 200
	DeepestEvents = 10_000
)

// EventsQuery asks for the events behind a figure (I9). Of the Query, By and Compare are not taken.
type EventsQuery struct {
	Query
	Part  string // "" or one of the Parts
	Skip  int    // so many from the top are left out
	Limit int    // 0: [EventsLimit]
}

// Events are what a figure is made of: the rows of mart that are counted, with what each of them adds. The longest come first where the
// figure is a time, else the latest. Where the figure is suppressed there are none.
type Events struct {
	Metric  string        `json:"metric"`
	Version int           `json:"version"`
	Of      string        `json:"of"`   // the metric whose events they are: of a derived metric the one that it is derived from
	View    string        `json:"view"` // where an analyst finds them
	From    string        `json:"from"`
	To      string        `json:"to"`
	AsOf    string        `json:"as_of"`
	Known   string        `json:"known,omitempty"`
	Figure  Row           `json:"figure"` // that they make
	Columns []EventColumn `json:"columns"`
	Skip    int           `json:"skip"`
	More    bool          `json:"more"` // there are more after these
	Rows    []Event       `json:"rows"`
}

// EventColumn is a column of mart that tells about an event.
type EventColumn struct {
	Name string `json:"name"`
	Type string `json:"type"` // text, number, day (2006-01-02) or time (RFC 3339, UTC)
}

// Event is one of them.
type Event struct {
	At          string   `json:"at"`     // RFC 3339, UTC: by which it belongs to its month
	Fields      []string `json:"fields"` // one for each of the Columns, "" where it is not known
	Numerator   float64  `json:"numerator"`
	Denominator float64  `json:"denominator"`
	Duration    *float64 `json:"duration,omitempty"` // of a survival metric, in its unit; up to now while it has not ended
	Ended       *bool    `json:"ended,omitempty"`
}

// evidence is what is shown of the rows of a view. I7: neither the pseudonyms of people and documents nor anything that somebody wrote in
// their own words.
type evidence struct {
	key     string   // tells the rows apart
	columns []string // always; name:type, where text needs none
	more    []string // where the definition speaks of them
}

var evidences = map[string]evidence{
	"mart.cases": {
		key:     "record",
		columns: []string{"case_number", "department", "item_code", "channel", "applied_at:time"},
		more: []string{"accepted_at:time", "closed_at:time", "delivered_at:time", "promised_days:number", "statutory_days:number", "legal_days:number",
			"stopped_days:number", "visits:number", "supplements:number"},
	},
	"mart.submissions": {
		key:     "record",
		columns: []string{"case_number", "department", "item_code", "material_name", "submitted_at:time", "method", "repeat"},
	},
	"mart.avoidable_submissions": {
		key:     "record",
		columns: []string{"case_number", "department", "item_code", "material_code", "submitted_at:time", "method", "avoidable", "held_in"},
	},
	"mart.ratings": {
		key:     "record",
		columns: []string{"case_number", "department", "item_code", "rated_at:time", "score:number"},
	},
	"mart.incidents": {
		key:     "record",
		columns: []string{"incident_number", "department", "category", "origin", "division", "reported_at:time", "closed_at:time"},
		more:    []string{"reopened:number"},
	},
	"mart.council_decisions": {
		key:     "record",
		columns: []string{"decision", "department", "division", "topic", "decided_at:time"},
		more:    []string{"due_on:day", "carried_out_on:day", "published_on:day", "entitled:number", "attended:number"},
	},
	"mart.training_participations": {
		key:     "record",
		columns: []string{"training", "kind", "department", "attended_at:time"},
		more:    []string{"satisfaction:number", "points_before:number", "points_after:number", "practised_on:day"},
	},
	"mart.sharing_answers": {
		key:     "record",
		columns: []string{"request", "department", "asking", "dataset", "sharing_type", "asked_at:time"},
		more:    []string{"due_on:day", "ended_at:time", "answer", "working_days:number"},
	},
	"mart.coverage": {
		key:     "(subject, department, month)",
		columns: []string{"subject", "department", "month:day", "captured:number", "reported:number"},
	},
}

// behind are the columns that a column is computed from.
var behind = map[string]string{
	"on_time": "promised_days legal_days closed_at", "overdue": "promised_days legal_days closed_at", "legal_days": "accepted_at closed_at stopped_days",
	"citizen_seconds": "delivered_at",
}

var word = regexp.MustCompile(`[a-z_]+`)

// evidence of the metric: the columns, and what tells the rows apart.
func (d *Definition) evidence() (key string, columns []EventColumn) {
	e, ok := evidences[d.From]
	if !ok { // a metric of somebody's own, over a view that no other is counted over
		var dimensions []string
		for _, name := range d.DimensionNames() {
			dimensions = append(dimensions, d.Dimensions[name])
		}
		e = evidence{key: "(" + strings.Join(append(slices.Clone(dimensions), d.Time), ", ") + ")", columns: dimensions}
	}
	mentioned := word.FindAllString(strings.Join([]string{d.Where, d.Numerator, d.Denominator, d.Units, d.Duration, d.Event}, " "), -1)
	if strings.Contains(d.Numerator, "'supplement'") {
		mentioned = append(mentioned, "supplements")
	}
	for _, name := range slices.Clone(mentioned) {
		mentioned = append(mentioned, strings.Fields(behind[name])...)
	}
	for i, spec := range slices.Concat(e.columns, e.more) {
		name, kind, typed := strings.Cut(spec, ":")
		if i >= len(e.columns) && !slices.Contains(mentioned, name) {
			continue
		}
		if !typed {
			kind = "text"
		}
		columns = append(columns, EventColumn{name, kind})
	}
	return e.key, columns
}

// Behind is the metric whose events are behind the figures of d: d itself, or the one that it is derived from. The error is an [InputError].
func (d *Definition) Behind() (*Definition, error) {
	if d.Kind != Derived {
		return d, nil
	}
	if len(d.inputs) != 1 {
		return nil, &InputError{Message: d.Name + " is derived from several metrics, each with events of its own", Do: "ask for those of " + strings.Join(d.InputNames(), " or ")}
	}
	return d.inputs[0], nil
}

// InputNames are the metrics that d is derived from; none where it is not derived.
func (d *Definition) InputNames() (names []string) {
	for _, input := range d.inputs {
		names = append(names, input.Name)
	}
	return names
}

// Statement writes the statement for the events of a metric, which has to be an [Definition.Behind]. Its columns are at (DateTime64),
// fields (Array(String)), numerator, denominator (Float64), duration (Nullable(Float64)) and ended (UInt8); it gives one row more than the
// limit where there are more. The error is an [InputError].
//
// What an event adds is what the metric's own aggregates say of it alone, so that what is listed adds up to the figure by construction (I9).
func (q EventsQuery) Statement(d *Definition, zone *time.Location) (sql string, args []any, err error) {
	if q.Limit == 0 {
		q.Limit = EventsLimit
	}
	if q.Limit < 1 || q.Limit > MostEvents || q.Skip < 0 || q.Skip+q.Limit > DeepestEvents {
		return "", nil, &InputError{Message: fmt.Sprintf("%d events after the first %d cannot be listed", q.Limit, q.Skip),
			Do: fmt.Sprintf("ask for up to %d, of the first %d; a filter or a shorter period brings others to the top", MostEvents, DeepestEvents)}
	}
	if q.Part != PartAll && !slices.Contains(Parts, q.Part) {
		return "", nil, &InputError{Message: fmt.Sprintf("there is no part %q", q.Part), Do: "write counted or rest, or leave it out"}
	}
	q.By, q.Compare, q.Quantile = "", "", 0
	_, args, err = d.Query(q.Query, zone) // what it binds is bound here too
	if err != nil {
		return "", nil, err
	}
	key, columns := d.evidence()
	where := d.filter(d.chosen(slices.Sorted(maps.Keys(q.Filters))))
	sums, order := d.contribution()
	if d.Kind == Survival {
		where += " AND (" + d.Duration + ") IS NOT NULL"
	}
	having := map[string]string{PartAll: "counted OR rest", PartCounted: "counted", PartRest: "rest"}[q.Part]
	fields := make([]string, len(columns))
	for i, c := range columns {
		fields[i] = c.expression()
	}
	// The rows are found by their keys alone, so that a large cohort costs little memory (I10).
	found := fmt.Sprintf("SELECT key FROM (SELECT %s AS key, %s AS at, %s FROM %s WHERE %s GROUP BY key, at%s HAVING %s ORDER BY %s, key LIMIT %d OFFSET %d)",
		key, d.Time, sums, d.From, where, d.alone(), having, order, q.Limit+1, q.Skip)
	sql = fmt.Sprintf("SELECT assumeNotNull(at), fields, numerator, denominator, duration, ended\nFROM\n(\n    SELECT %s AS key, %s AS at, [%s] AS fields, %s\n    FROM %s\n    WHERE %s AND %s IN (%s)\n    GROUP BY key, at, fields%s\n)\nORDER BY %s, key",
		key, d.Time, strings.Join(fields, ", "), sums, d.From, where, key, found, d.alone(), order)
	sql, args = q.AsKnown(sql, args...)
	return sql, args, nil
}

// contribution selects what one event adds, whether it counts and whether it is of the rest; and says in which order they come.
func (d *Definition) contribution() (columns, order string) {
	if d.Kind == Survival {
		return fmt.Sprintf("1. AS numerator, 1. AS denominator, toNullable(toFloat64(%s)) AS duration, toUInt8(ifNull(%s, 0)) AS ended, ended = 1 AS counted, ended = 0 AS rest", d.Duration, d.Event),
			"duration DESC, at DESC"
	}
	denominator, units := d.Denominator, d.Units
	if d.Kind == Simple {
		denominator = d.Units
	}
	if units == "" {
		units = denominator
	}
	return fmt.Sprintf("toFloat64(ifNull(%s, 0)) AS numerator, toFloat64(ifNull(%s, 0)) AS denominator, CAST(NULL, 'Nullable(Float64)') AS duration, toUInt8(1) AS ended, "+
		"numerator != 0 AS counted, numerator = 0 AND (denominator != 0 OR toFloat64(ifNull(%s, 0)) != 0) AS rest", d.Numerator, denominator, units), "at DESC"
}

// alone are the further columns by which one event of a survival metric is a group.
func (d *Definition) alone() string {
	if d.Kind == Survival {
		return ", duration, ended"
	}
	return ""
}

func (c EventColumn) expression() string {
	switch c.Type {
	case "time":
		return fmt.Sprintf("if(%[1]s IS NULL, '', concat(formatDateTime(assumeNotNull(%[1]s), '%%Y-%%m-%%dT%%H:%%i:%%S', 'UTC'), 'Z'))", c.Name)
	case "text":
		return "toString(" + c.Name + ")"
	default:
		return "ifNull(toString(" + c.Name + "), '')"
	}
}

// EventColumns are what is told about each event of the metric.
func (d *Definition) EventColumns() []EventColumn {
	_, columns := d.evidence()
	return columns
}
