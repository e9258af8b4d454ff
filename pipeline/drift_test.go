package pipeline_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
)

// drifted publishes rows with a new column and without the old one, as the outlet marks them.
func (r *rig) drifted(drift []change.Drift, columns []string, rows ...change.Change) uint64 {
	r.t.Helper()
	b := change.NewBuilder("source", "hall", r.dataset, "u.csv", columns)
	defer b.Release()
	b.Drift = drift
	for _, c := range rows {
		b.Append(c)
	}
	data, err := b.Build().Encode()
	if err != nil {
		r.t.Fatal(err)
	}
	sequence, err := r.writer.Publish(r.t.Context(), nats.Header{bus.HeaderRows: {fmt.Sprint(len(rows))}}, data)
	if err != nil {
		r.t.Fatal(err)
	}
	return sequence
}

// under is the dataset's contract with rules for drift and, if given, another header for the item.
func (r *rig) under(version int, rules, itemHeaders string) contract.Set {
	r.t.Helper()
	text := string(slices.Collect(maps.Values(r.contract(version)))[0].Text)
	text = strings.Replace(text, "fields:\n", "drift: {"+rules+"}\nfields:\n", 1)
	if itemHeaders != "" {
		text = strings.Replace(text, "{name: item,", "{name: item, headers: ["+itemHeaders+"],", 1)
	}
	d, err := contract.Parse("c.yaml", []byte(text), "Asia/Shanghai")
	if err != nil {
		r.t.Fatal(err)
	}
	return contract.Set{d.Name: d}
}

// A column that was renamed: its rows wait, deletions do not, and what was loaded stays. When the contract has the new name,
// they are loaded with their values, in their place in time.
func TestRowsWithDriftWait(t *testing.T) {
	r := newRig(t)
	r.publish(row(change.Create, "1", "a", "1"), row(change.Create, "2", "b", "1"), row(change.Create, "3", "c", "1"))
	renamed := []string{"number", "card", "service", "closed", "visits"}
	drift := []change.Drift{{Code: change.LostColumn, Column: "item"}}
	last := r.drifted(drift, renamed, row(change.Update, "1", "new a", "2"), row(change.Delete, "2", "", ""), row(change.Update, "3", "new c", "2"))
	r.loadThrough(r.contract(1), last)
	if got := r.cases(); got != "1=a/v1/1 3=c/v1/1" {
		t.Errorf("the cases are %q", got)
	}
	if got := r.held(); got != "waiting:drift_lost_column:item waiting:drift_lost_column:item" {
		t.Errorf("in quarantine %q", got)
	}
	again := func(set contract.Set) {
		t.Helper()
		last, err := pipeline.Requeue(t.Context(), r.bus, r.waiting(), "")
		if err != nil {
			t.Fatal(err)
		}
		r.loadThrough(set, last)
	}
	// Another rule, and no answer to this one.
	again(r.under(1, "new_columns: freeze", ""))
	if got := r.held(); got != "waiting:drift_lost_column:item waiting:drift_lost_column:item" {
		t.Errorf("not mended, in quarantine %q", got)
	}
	// The changes may have expired meanwhile: what was said of them is kept with their bytes.
	r.expire(last)
	again(r.contract(1))
	if got := len(r.waiting()); got != 2 {
		t.Errorf("%d wait after their changes expired", got)
	}
	var err error
	if r.writer, err = r.bus.ChangesWriter(t.Context(), r.bus.ChangesSubject("hall", r.dataset)); err != nil {
		t.Fatal(err)
	}
	newest := r.drifted(nil, renamed, row(change.Update, "3", "newest c", "3"))
	set := r.under(2, "", "item, service")
	r.loadThrough(set, newest)
	again(set)
	if got := r.cases(); got != "1=new a/v2/2 3=newest c/v2/3" {
		t.Errorf("the cases are %q", got)
	}
	if got := len(r.waiting()); got != 0 {
		t.Errorf("in quarantine %q", r.held())
	}
}

func TestEachDriftWaitsByItsRule(t *testing.T) {
	columns := []string{"number", "card", "item", "closed", "visits", "extra"}
	for name, c := range map[string]struct {
		drift        change.Drift
		rules        string
		held, mended string
	}{
		"new":                {change.Drift{Code: change.NewColumn, Column: "extra"}, "new_columns: quarantine", "waiting:drift_new_column:", "new_columns: quarantine, accepted: [extra]"},
		"new, evolves":       {change.Drift{Code: change.NewColumn, Column: "extra"}, "new_columns: evolve", "", ""},
		"new, frozen by now": {change.Drift{Code: change.NewColumn, Column: "extra"}, "new_columns: freeze", "waiting:drift_new_column:", "new_columns: evolve"},
		"type":               {change.Drift{Code: change.ChangedType, Column: "visits", Was: "int", Is: "text"}, "changed_types: quarantine", "waiting:drift_changed_type:visits", "changed_types: evolve"},
		"lost, accepted":     {change.Drift{Code: change.LostColumn, Column: "closed"}, "accepted: [closed]", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			last := r.drifted([]change.Drift{c.drift}, columns, row(change.Create, "1", "a", "1"))
			r.loadThrough(r.under(1, c.rules, ""), last)
			if got := r.held(); got != c.held {
				t.Errorf("in quarantine %q", got)
			}
			if c.held != "" {
				last, err := pipeline.Requeue(t.Context(), r.bus, r.waiting(), "")
				if err != nil {
					t.Fatal(err)
				}
				r.loadThrough(r.under(1, c.mended, ""), last)
			}
			if got := r.cases(); got != "1=a/v1/1" || len(r.waiting()) != 0 {
				t.Errorf("the cases are %q, in quarantine %q", got, r.held())
			}
		})
	}
}
