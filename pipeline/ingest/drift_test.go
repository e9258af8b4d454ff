package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
)

const driftContract = `dataset: a
department: hall
owner: {zh: 甲, en: A}
title: {zh: 甲, en: A}
version: 1
key: [id]
sharing: {type: unconditional}
%sfields:
  - {name: id, type: text, sensitivity: internal}
  - {name: name, headers: [name, full_name], type: text, sensitivity: internal}
emits:
  - table: cases
    columns: {case_number: id, department: {value: hall}, item_code: {value: X}, item_name: name}
`

// drifting is a source whose columns are those that a test says, under a contract with rules for drift. Each call of read is
// a process of its own.
type drifting struct {
	t     *testing.T
	bus   *bus.Bus
	rules string
	last  *Source
	rows  int
}

// read has the source say one row with these columns: names, or names with types; a leading + says that it declares them.
func (d *drifting) read(columns ...string) error {
	d.t.Helper()
	return d.script(func(ctx context.Context, out connectors.Outlet) error { return d.say(ctx, out, columns) })
}

func declaration(columns []string) (declared []connectors.Column) {
	for _, c := range columns {
		if name, kind, _ := strings.Cut(c, " "); name != "+" {
			declared = append(declared, connectors.Column{Name: name, Type: kind})
		}
	}
	return declared
}

func (d *drifting) say(ctx context.Context, out connectors.Outlet, columns []string) error {
	var names, values []string
	for _, c := range declaration(columns) {
		names, values = append(names, c.Name), append(values, "v")
	}
	if columns[0] == "+" {
		if err := out.Shape(ctx, "a", declaration(columns)); err != nil {
			return err
		}
	}
	d.rows++
	return out.Append(ctx, "a", "u", names, row(d.rows, values...))
}

func (d *drifting) script(fn func(context.Context, connectors.Outlet) error) error {
	d.t.Helper()
	c, err := contract.Parse("a.yaml", fmt.Appendf(nil, driftContract, d.rules), "Asia/Shanghai")
	if err != nil {
		d.t.Fatal(err)
	}
	d.last, err = NewSource(Options{Bus: d.bus, Contracts: contract.Set{"a": c}, Limits: never, Log: slog.New(slog.DiscardHandler),
		Config: county.Source{Name: "test", Kind: "scripted", Datasets: []string{"a"}, With: map[string]any{
			"run": func(ctx context.Context, _ connectors.Settings, out connectors.Outlet, _ bool) error {
				return fn(ctx, out)
			},
		}}})
	if err != nil {
		d.t.Fatal(err)
	}
	_, err = d.last.Run(d.t.Context())
	return err
}

// stands is the drift that is kept, briefly: code/column/reaction.
func (d *drifting) stands() string {
	d.t.Helper()
	s, err := d.bus.Shape(d.t.Context(), "a")
	if err != nil {
		d.t.Fatal(err)
	}
	var out []string
	for _, x := range s.Drift {
		out = append(out, strings.TrimPrefix(x.Code, "drift_")+"/"+x.Column+"/"+x.Reaction)
	}
	told := map[string]bool{}
	for _, p := range d.last.Status().Problems {
		told[strings.TrimPrefix(p.Problem, "drift_")+"/"+p.Unit] = true
	}
	for _, x := range out {
		if name, _, _ := strings.Cut(x[strings.Index(x, "/")+1:], "/"); !told[x[:strings.Index(x, "/")]+"/"+name] {
			d.t.Errorf("%s is kept and not told: %+v", x, d.last.Status().Problems)
		}
	}
	if len(told) != len(out) {
		d.t.Errorf("%v is told, %v is kept", told, out)
	}
	return strings.Join(out, " ")
}

// carried is the drift that each message carries.
func (d *drifting) carried() string {
	batches, _ := messages(d.t, d.bus, "a")
	var out []string
	for _, b := range batches {
		var all []string
		for _, x := range b.Drift {
			all = append(all, strings.TrimPrefix(x.Code, "drift_")+"/"+x.Column)
		}
		out = append(out, fmt.Sprint(b.Len(), all))
	}
	return strings.Join(out, " ")
}

func newDrifting(t *testing.T, rules string) *drifting {
	d := &drifting{t: t, bus: open(t)}
	d.rule(rules)
	return d
}

func (d *drifting) rule(rules string) {
	if d.rules = ""; rules != "" {
		d.rules = "drift: {" + rules + "}\n"
	}
}

func (d *drifting) ok(columns ...string) {
	d.t.Helper()
	if err := d.read(columns...); err != nil {
		d.t.Fatal(err)
	}
}

func (d *drifting) expect(stands, carried string) {
	d.t.Helper()
	if got := d.stands(); got != stands {
		d.t.Errorf("%q stands, not %q", got, stands)
	}
	if got := d.carried(); got != carried {
		d.t.Errorf("the messages carry %q, not %q", got, carried)
	}
}

func TestDriftGoesOn(t *testing.T) {
	d := newDrifting(t, "lost_columns: evolve")
	d.ok("+", "id int", "name text", "note text")
	d.expect("", "1 []")
	d.ok("+", "id int", "name text", "note text", "phone text")
	d.expect("new_column/phone/evolve", "1 [] 1 []")
	d.ok("+", "id int", "name text", "note text", "phone text") // it is not new any more, and still shown
	d.expect("new_column/phone/evolve", "1 [] 1 [] 1 []")
	d.ok("+", "id bigint", "name text", "phone text")
	d.expect("new_column/phone/evolve changed_type/id/evolve lost_column/note/evolve", "1 [] 1 [] 1 [] 1 []")
	// Who changes the contract has looked at it.
	d.rule("lost_columns: evolve, new_columns: evolve")
	d.ok("+", "id bigint", "name text", "phone text")
	d.expect("", "1 [] 1 [] 1 [] 1 [] 1 []")
	d.ok("+", "id bigint", "phone text")
	d.expect("lost_column/name/evolve", "1 [] 1 [] 1 [] 1 [] 1 [] 1 []")
	d.ok("+", "id bigint", "name text", "phone text") // back again
	d.expect("", "1 [] 1 [] 1 [] 1 [] 1 [] 1 [] 1 []")
}

func TestDriftWaits(t *testing.T) {
	d := newDrifting(t, "new_columns: quarantine, changed_types: quarantine")
	d.ok("+", "id int", "name text")
	d.ok("+", "id int", "name text", "phone text")
	d.expect("new_column/phone/quarantine", "1 [] 1 [new_column/phone]")
	// It goes on waiting, over restarts, until the contract knows the column.
	d.ok("+", "id int", "name text", "phone text")
	d.expect("new_column/phone/quarantine", "1 [] 1 [new_column/phone] 1 [new_column/phone]")
	d.rule("new_columns: quarantine, changed_types: quarantine, accepted: [phone]")
	d.ok("+", "id int", "name text", "phone text")
	d.expect("", "1 [] 1 [new_column/phone] 1 [new_column/phone] 1 []")
	// A type and a column at once, and both back.
	d.ok("+", "id text", "phone text")
	d.expect("changed_type/id/quarantine lost_column/name/quarantine", "1 [] 1 [new_column/phone] 1 [new_column/phone] 1 [] 1 [changed_type/id lost_column/name]")
	d.ok("+", "id int", "name text", "phone text")
	d.expect("", "1 [] 1 [new_column/phone] 1 [new_column/phone] 1 [] 1 [changed_type/id lost_column/name] 1 []")
	// A column under another name that the contract knows is no drift.
	d.ok("+", "id int", "full_name text", "phone text")
	d.expect("", "1 [] 1 [new_column/phone] 1 [new_column/phone] 1 [] 1 [changed_type/id lost_column/name] 1 [] 1 []")
}

// By default, what a field needs must not go unnoticed: the rows wait.
func TestLostColumnsWaitByDefault(t *testing.T) {
	d := newDrifting(t, "")
	d.ok("+", "id", "name", "x")
	d.ok("+", "id", "x")
	d.expect("lost_column/name/quarantine", "1 [] 1 [lost_column/name]")
	d.ok("+", "id", "name")
	d.expect("lost_column/x/evolve", "1 [] 1 [lost_column/name] 1 []")
}

// Of a source that does not say what its columns are, none is lost.
func TestSourceThatDeclaresNothing(t *testing.T) {
	d := newDrifting(t, "new_columns: quarantine")
	d.ok("id", "name")
	d.ok("id")
	d.ok("id", "phone")
	d.ok("id", "name")
	d.expect("new_column/phone/quarantine", "1 [] 1 [] 1 [new_column/phone] 1 []")
	d.rule("new_columns: quarantine, accepted: [phone]")
	d.ok("id")
	d.expect("", "1 [] 1 [] 1 [new_column/phone] 1 [] 1 []")
}

func TestDriftFreezes(t *testing.T) {
	for name, c := range map[string]struct {
		rules, mended string
		before, after []string
		want          string
	}{
		"new":             {"new_columns: freeze", "new_columns: freeze, accepted: [phone]", []string{"+", "id int", "name text"}, []string{"+", "id int", "name text", "phone text"}, `"phone" is new`},
		"new, undeclared": {"new_columns: freeze", "", []string{"id", "name"}, []string{"id", "name", "phone"}, `"phone" is new`},
		"lost":            {"lost_columns: freeze", "lost_columns: evolve", []string{"+", "id int", "name text"}, []string{"+", "id int"}, `"name" is gone`},
		"type":            {"changed_types: freeze", "changed_types: freeze, accepted: [id]", []string{"+", "id int", "name text"}, []string{"+", "id text", "name text"}, `"id" is text, which was int`},
		"both":            {"new_columns: freeze, lost_columns: quarantine", "", []string{"+", "id", "name"}, []string{"+", "id", "phone"}, `"phone" is new`},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDrifting(t, c.rules)
			d.ok(c.before...)
			for range 2 { // it does not wear off
				err := d.script(func(ctx context.Context, out connectors.Outlet) error {
					for range 3 {
						if err := d.say(ctx, out, c.before); err != nil {
							return err
						}
					}
					if err := d.say(ctx, out, c.after); err != nil {
						if d.say(ctx, out, c.after) == nil { // a connector that does not hear
							t.Error("the second attempt was taken")
						}
						if c.after[0] == "+" && out.Shape(ctx, "a", declaration(c.after)) == nil {
							t.Error("the columns were taken when they were declared again")
						}
						return errors.Join(out.Flush(ctx), err)
					}
					return errors.New("the changed columns were taken")
				})
				var frozen *FrozenError
				if !errors.As(err, &frozen) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "drift:") {
					t.Fatalf("%v", err)
				}
				if st := d.last.Status(); st.State != "failed" || !strings.Contains(st.Message, c.want) {
					t.Errorf("status %+v", st)
				}
				if !strings.Contains(d.stands(), "/freeze") {
					t.Errorf("%q stands", d.stands())
				}
			}
			if got := d.carried(); got != "1 [] 3 [] 3 []" {
				t.Errorf("on the bus: %s", got)
			}
			d.rule(c.mended)
			d.ok(c.after...)
			if got := d.stands(); strings.Contains(got, "freeze") {
				t.Errorf("%q stands", got)
			}
		})
	}
}

// A deletion says nothing of columns, and neither does a row that could not be read.
func TestDeletionsHaveNoColumns(t *testing.T) {
	d := newDrifting(t, "new_columns: freeze")
	d.ok("id", "name")
	err := d.script(func(ctx context.Context, out connectors.Outlet) error {
		return errors.Join(
			out.Append(ctx, "a", "u", []string{"id", "other"}, change.Change{Op: change.Delete, Key: "1", Position: "d"}),
			out.Append(ctx, "a", "u", []string{"id", "other"}, change.Change{Op: change.Malformed, Raw: "r", Problem: "p", Position: "m"}))
	})
	if err != nil {
		t.Fatal(err)
	}
	err = d.script(func(ctx context.Context, out connectors.Outlet) error { // and the row behind them is not taken unseen
		if err := out.Append(ctx, "a", "u", []string{"id", "other"}, change.Change{Op: change.Delete, Key: "1", Position: "d"}); err != nil {
			return err
		}
		return out.Append(ctx, "a", "u", []string{"id", "other"}, row(9, "v", "v"))
	})
	var frozen *FrozenError
	if !errors.As(err, &frozen) {
		t.Errorf("%v", err)
	}
}

// Messages are cut where the drift begins, also in the middle of a run.
func TestDriftWithinARun(t *testing.T) {
	d := newDrifting(t, "changed_types: quarantine")
	err := d.script(func(ctx context.Context, out connectors.Outlet) error {
		for _, kind := range []string{"int", "int", "text", "text", "int"} {
			if err := d.say(ctx, out, []string{"+", "id " + kind, "name text"}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	d.expect("", "2 [] 2 [changed_type/id] 1 []")
}

// I10: column names that are data do not fill the bucket.
func TestColumnsWithoutEnd(t *testing.T) {
	d := newDrifting(t, "")
	err := d.script(func(ctx context.Context, out connectors.Outlet) error {
		for i := range 60 {
			columns := []string{"id"}
			for k := range 100 {
				columns = append(columns, fmt.Sprintf("c%d", 100*i+k))
			}
			if err := d.say(ctx, out, columns); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.bus.Shape(t.Context(), "a")
	if err != nil || len(s.Columns) > mostColumns || len(s.Drift) > mostDrift {
		t.Errorf("%d columns, %d of drift, %v", len(s.Columns), len(s.Drift), err)
	}
	if !slices.ContainsFunc(s.Drift, func(x bus.Drifted) bool { return x.Column == "c5999" }) {
		t.Error("the newest is not shown")
	}
}
