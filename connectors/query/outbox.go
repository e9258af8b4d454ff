package query

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
)

// outboxReader polls a table to which the department's system itself writes what it changed, a row for each change. Rows
// are read in the order of their ids and never touched.
//
// A missing id is that of a transaction that was taken back, or that is not committed yet. So a row behind a gap waits
// until it has been seen for gap_wait, and whatever began before it has come; rows wait side by side, not one after the
// other.
type outboxReader struct {
	*run
	spec    tableSettings
	dataset *contract.Dataset

	begun    bool
	upTo     int64 // every row up to this id has been read or passed
	seen     []sighting
	gaps     []gap // passed lately: a row that turns up in one came too late
	appended bool
	keyer    *connectors.Keyer
	columns  []string // that keyer is for
}

// sighting says when the rows up to an id were there.
type sighting struct {
	id int64
	at time.Time
}

// gap is a range of ids that were passed, both ends included.
type gap struct {
	From   int64 `json:"from"`
	To     int64 `json:"to"`
	Passed int64 `json:"passed"` // Unix seconds
}

// gapsKept bounds the gaps that are looked into again, and for how long (I10).
const (
	gapsKept    = 64
	gapsKeptFor = time.Hour
)

func (o *outboxReader) table() tableSettings { return o.spec }
func (o *outboxReader) again()               { o.begun = false }

func (o *outboxReader) resend(context.Context, []string) error {
	return o.repeatable(o.spec.dataset)
}

func (o *outboxReader) begin(ctx context.Context) error {
	if err := o.settle(ctx); err != nil {
		return err
	}
	resume, err := o.out.Resume(ctx, o.dataset.Name)
	if err != nil {
		return fmt.Errorf("find where to resume: %w", err)
	}
	saved, err := o.ledger.local(o.dataset.Name)
	if err != nil {
		return err
	}
	at, _ := parsePosition(resume) // I2
	if saved.Read && saved.Base == resume {
		at = saved.At // rows of other datasets were passed since
	}
	o.upTo, _ = strconv.ParseInt(at.ID, 10, 64)
	o.gaps, o.begun = saved.Gaps, true
	return nil
}

func (o *outboxReader) settle(ctx context.Context) error {
	if !o.appended {
		return nil
	}
	// I1: what is kept beside the bus moves only when the changes are safe.
	if err := o.out.Flush(ctx); err != nil {
		return err
	}
	o.appended = false
	return nil
}

// outbox is the table with its columns in the order in which they are selected.
type outbox struct {
	*statements
	id, op, payload, only int // places; -1
	key                   []int
}

func (o *outboxReader) look(ctx context.Context) (*outbox, error) {
	all, err := o.db.catalog(ctx, &o.spec)
	if err != nil {
		return nil, err
	}
	x := &outbox{statements: &statements{dialect: o.settings.dialect, table: o.settings.named(o.spec).quoted(o.settings.dialect)}}
	var missing []string
	add := func(name string) int {
		if name == "" {
			return -1
		}
		i := slices.IndexFunc(all, func(c column) bool { return c.name == name })
		if i < 0 {
			missing = append(missing, name)
			return -1
		}
		x.columns = append(x.columns, all[i])
		return len(x.columns) - 1
	}
	s := o.spec.outbox
	x.id, x.op, x.payload, x.only = add(s.id), add(s.op), add(s.payload), add(s.only.column)
	for _, name := range s.key {
		x.key = append(x.key, add(name))
	}
	if missing != nil {
		return nil, refuse("no_such_column", "the table %s has no column %s; write it under outbox: as the database's catalog does: %s", o.spec.name, strings.Join(missing, ", "), namesOf(all))
	}
	x.statements.key = []*column{&x.columns[x.id]}
	x.mark = x.statements.key[0]
	if x.mark.kind != integer && x.mark.kind != decimal {
		return nil, refuse("unfit_outbox", "the column %s of the table %s is of type %s; the id of an outbox is a whole number that rises", s.id, o.spec.name, x.mark.declared)
	}
	return x, nil
}

// newestID asks for the last row there is.
func (x *outbox) newestID() statement {
	return statement{text: "SELECT " + x.text(x.mark, "MAX("+x.quote(x.mark.name)+")") + " FROM " + x.table}
}

// within asks whether the ids have a row.
func (x *outbox) within(g gap) statement {
	v := &values{dialect: x.dialect}
	c := x.quote(x.mark.name)
	where := c + " >= " + v.add(x.mark, strconv.FormatInt(g.From, 10)) + " AND " + c + " <= " + v.add(x.mark, strconv.FormatInt(g.To, 10))
	return statement{"SELECT " + x.counted() + " FROM " + x.table + " WHERE " + where, v.args}
}

// poll reads the rows that may be read. A run that does not follow waits for those behind gaps.
func (o *outboxReader) poll(ctx context.Context) error {
	if !o.begun {
		if err := o.begin(ctx); err != nil {
			return err
		}
	}
	x, err := o.look(ctx)
	if err != nil {
		return err
	}
	for {
		held, err := o.pass(ctx, x)
		if err != nil {
			return err
		}
		if err := o.settle(ctx); err != nil {
			return err
		}
		if err := o.lateRows(ctx, x); err != nil {
			return err
		}
		if err := o.ledger.setLocal(o.dataset.Name, local{Read: true, Base: o.out.Safe(o.dataset.Name), At: position{ID: strconv.FormatInt(o.upTo, 10)}, Gaps: o.gaps}); err != nil {
			return err
		}
		if !held || o.follow {
			return nil
		}
		o.wait(ctx, min(o.settings.poll, o.spec.outbox.gapWait), nil)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// pass reads up to the end, or up to a gap that has to be waited for.
func (o *outboxReader) pass(ctx context.Context, x *outbox) (held bool, err error) {
	if err := o.sight(ctx, x); err != nil {
		return false, err
	}
	k := chunk{most: o.settings.chunkRows}
	shape := &shape{statements: x.statements}
	for more := true; more; {
		var rows []row
		rows, more, err = k.read(ctx, o.db, &o.spec, shape, func(n int) statement { return x.all(behind([]string{strconv.FormatInt(o.upTo, 10)}), n) })
		if err != nil {
			return false, err
		}
		for _, r := range rows {
			id, err := strconv.ParseInt(r.values[x.id], 10, 64)
			if err != nil {
				return false, refuse("unfit_outbox", "the table %s has an id that is no whole number of 64 bits", o.spec.name)
			}
			if id > o.upTo+1 {
				if !o.seenLongEnough(id) {
					return true, nil
				}
				o.passed(gap{o.upTo + 1, id - 1, o.now().Unix()})
			}
			if err := o.say(ctx, x, r, id); err != nil {
				return false, err
			}
			o.upTo = id
		}
	}
	return false, nil
}

// sight notes when the newest row was there.
func (o *outboxReader) sight(ctx context.Context, x *outbox) error {
	text, err := o.db.one(ctx, x.newestID(), &o.spec)
	if err != nil {
		return err
	}
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil // an empty table
	}
	if n := len(o.seen); n == 0 || o.seen[n-1].id < id {
		o.seen = append(o.seen, sighting{id, o.now()})
	}
	// What every row up to upTo was seen for is of no more interest.
	for len(o.seen) > 1 && o.seen[0].id <= o.upTo {
		o.seen = o.seen[1:]
	}
	return nil
}

func (o *outboxReader) seenLongEnough(id int64) bool {
	for _, s := range o.seen {
		if s.id >= id {
			return o.now().Sub(s.at) >= o.spec.outbox.gapWait
		}
	}
	return false
}

func (o *outboxReader) passed(g gap) {
	if g.From == 1 && o.upTo == 0 {
		return // what came before the first row is no gap
	}
	o.gaps = append(o.gaps, g)
	if len(o.gaps) > gapsKept {
		o.gaps = o.gaps[1:]
	}
}

// lateRows looks into the gaps that were passed. A row that is there now was overtaken by later ones, so saying it would
// take its record back; it is told instead (I4).
func (o *outboxReader) lateRows(ctx context.Context, x *outbox) error {
	o.gaps = slices.DeleteFunc(o.gaps, func(g gap) bool { return o.now().Sub(time.Unix(g.Passed, 0)) > gapsKeptFor })
	for i, g := range o.gaps {
		n, err := o.db.number(ctx, x.within(g))
		if err != nil {
			return err
		}
		if n > 0 {
			o.tell(o.spec.dataset, o.spec.name, "late_outbox_row", fmt.Sprintf("%d rows with ids from %d to %d of %s were committed later than gap_wait (%s) after younger ones and were not read; raise gap_wait, and write their changes to the outbox again", n, g.From, g.To, o.spec.name, o.spec.outbox.gapWait))
			o.gaps = slices.Delete(o.gaps, i, i+1)
			return nil
		}
	}
	return nil
}

// ops are what departments call them.
var ops = map[string]change.Op{
	"": change.Update, "c": change.Create, "i": change.Create, "create": change.Create, "insert": change.Create,
	"u": change.Update, "update": change.Update, "d": change.Delete, "delete": change.Delete, "r": change.Snapshot, "s": change.Snapshot, "snapshot": change.Snapshot,
}

// say appends a row, if it is of this dataset.
func (o *outboxReader) say(ctx context.Context, x *outbox, r row, id int64) error {
	if x.only >= 0 && !o.spec.outbox.only.holds(r.values[x.only], r.null[x.only]) {
		return nil
	}
	columns, c := o.change(x, r)
	c.Row, c.Position = id, position{ID: strconv.FormatInt(id, 10)}.text()
	o.appended = true
	return o.out.Append(ctx, o.dataset.Name, o.spec.name, columns, c)
}

// change makes a change of a row; one that cannot be used says why.
func (o *outboxReader) change(x *outbox, r row) (columns []string, c change.Change) {
	payload := r.values[x.payload]
	broken := func(problem string) ([]string, change.Change) {
		return nil, change.Change{Op: change.Malformed, Problem: problem, Raw: printable([]string{payload})}
	}
	if problem := unusable(r); problem != "" {
		return broken(problem)
	}
	c.Op = change.Update
	if x.op >= 0 {
		op, ok := ops[strings.ToLower(strings.TrimSpace(r.values[x.op]))]
		if !ok {
			return broken("the outbox names an operation that is none of create, update, delete and snapshot")
		}
		c.Op = op
	}
	fields := map[string]*string{}
	if !r.null[x.payload] && strings.TrimSpace(payload) != "" {
		var err error
		if fields, err = decodePayload(payload); err != nil {
			return broken(err.Error())
		}
	} else if c.Op != change.Delete {
		return broken("the payload is empty")
	}
	for i, at := range x.key {
		name := o.keyColumn(i, fields)
		if v := r.values[at]; !r.null[at] {
			fields[name] = &v
		}
	}
	columns = slices.Sorted(maps.Keys(fields))
	c.Values, c.Null = make([]string, len(columns)), make([]bool, len(columns))
	for i, name := range columns {
		if v := fields[name]; v == nil {
			c.Null[i] = true
		} else {
			c.Values[i] = *v
		}
	}
	if o.keyer == nil || !slices.Equal(columns, o.columns) {
		keyer, err := connectors.NewKeyer(o.dataset, columns)
		if err != nil {
			return broken("the payload lacks the key: " + err.Error())
		}
		o.keyer, o.columns = keyer, columns
	}
	key, problem := o.keyer.Key(c.Values)
	if problem != "" {
		return broken(problem)
	}
	c.Key = key
	if c.Op == change.Delete {
		c.Values, c.Null = nil, nil
	}
	return o.columns, c
}

// keyColumn is the name that the i-th field of the key has in the payload, or else in the contract.
func (o *outboxReader) keyColumn(i int, fields map[string]*string) string {
	at, _ := o.dataset.Field(o.dataset.Key[i])
	names := o.dataset.Fields[at].SourceNames()
	for _, name := range names {
		if _, there := fields[name]; there {
			return name
		}
	}
	return names[0]
}

// decodePayload makes columns of the members of a JSON object: a text is its value, null is NULL, and everything else is
// its own text. The error holds nothing of the payload.
func decodePayload(payload string) (map[string]*string, error) {
	if !utf8.ValidString(payload) {
		return nil, errors.New("the payload is not UTF-8")
	}
	d := json.NewDecoder(strings.NewReader(payload))
	var members map[string]json.RawMessage
	if d.Decode(&members) != nil || members == nil {
		return nil, errors.New("the payload is not a JSON object")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("more follows the payload's JSON object")
	}
	fields := make(map[string]*string, len(members))
	for name, raw := range members {
		var s string
		switch {
		case string(raw) == "null":
			fields[name] = nil
			continue
		case raw[0] == '"':
			if err := json.Unmarshal(raw, &s); err != nil {
				return nil, errors.New("the payload is not a JSON object")
			}
		default:
			var b bytes.Buffer
			if err := json.Compact(&b, raw); err != nil {
				return nil, errors.New("the payload is not a JSON object")
			}
			s = b.String()
		}
		fields[name] = &s
	}
	return fields, nil
}
