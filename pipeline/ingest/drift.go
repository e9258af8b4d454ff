package ingest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
)

// guard watches over the columns of one dataset: what its source has is compared with what was accepted for it, and the
// contract says what comes of a difference.
//
// New columns are seen in the changes themselves. That a column is lost, or has another type, only a source can tell that
// says what its columns are (Outlet.Shape): in a list of JSON records, a member that is not there may well come again.
type guard struct {
	source   string
	dataset  *contract.Dataset
	keep     func(context.Context, bus.Shape) error
	notify   func(connectors.Event)
	accepted bus.Shape

	declared []connectors.Column // what the source says of its columns; nil when it says nothing
	seen     []string            // columns of the changes that come now
	carried  []change.Drift      // by the batches that are built now
}

// FrozenError says that the contract does not let a source go on with the columns that it has now.
type FrozenError struct {
	Source, Dataset string
	Drift           change.Drift
}

func (e *FrozenError) Error() string {
	return fmt.Sprintf("source %s, dataset %s: %s; the source stands still before the first change that has it, nothing is lost. %s, raise the contract's version and start again",
		e.Source, e.Dataset, happened(e.Drift), remedy(e.Drift))
}

// mostColumns and mostDrift bound what is remembered of a source whose column names are data (I10).
const (
	mostColumns = 5000
	mostDrift   = 100
)

func (o *outlet) newGuard(ctx context.Context, d *contract.Dataset) (*guard, error) {
	accepted, err := o.bus.Shape(ctx, d.Name)
	if err != nil {
		return nil, err
	}
	g := &guard{source: o.source, dataset: d, accepted: accepted, notify: o.notify}
	g.keep = func(ctx context.Context, s bus.Shape) error { return o.bus.KeepShape(ctx, d.Name, s) }
	// Who changed the contract has looked at what had gone on by then. What waits or stands still is looked at again as soon
	// as the source says what it has.
	before := len(g.accepted.Drift)
	g.accepted.Drift = slices.DeleteFunc(g.accepted.Drift, func(d bus.Drifted) bool {
		return d.Contract != g.dataset.Hash && (d.Reaction == string(contract.Evolve) || g.dataset.OnDrift(d.Drift, nil) == "")
	})
	if len(g.accepted.Drift) != before {
		if err := g.keep(ctx, g.accepted); err != nil {
			return nil, err
		}
	}
	for _, d := range g.accepted.Drift {
		g.tell(d, false)
	}
	return g, nil
}

// carry looks at the columns of a change that is to be published.
func (g *guard) carry(ctx context.Context, columns []string) error {
	if g.seen != nil && sameColumns(columns, g.seen) {
		return nil
	}
	before := g.seen
	g.seen = slices.Clone(columns)
	if err := g.look(ctx); err != nil {
		g.seen = before // it is looked at again, however often it is tried
		return err
	}
	return nil
}

// declare looks at what the source says of its columns.
func (g *guard) declare(ctx context.Context, columns []connectors.Column) error {
	if g.declared != nil && slices.Equal(columns, g.declared) {
		return nil
	}
	declared, seen := g.declared, g.seen
	g.declared, g.seen = append([]connectors.Column{}, columns...), nil
	if err := g.look(ctx); err != nil {
		g.declared, g.seen = declared, seen
		return err
	}
	return nil
}

// look compares and draws the conclusions: what the contract lets pass is accepted, what has to wait is carried by the
// batches from now on, and what freezes is the error.
func (g *guard) look(ctx context.Context) error {
	names, types := g.present()
	next := bus.Shape{Columns: maps.Clone(g.accepted.Columns), Drift: slices.Clone(g.accepted.Drift)}
	if next.Columns == nil {
		next.Columns = map[string]string{} // the first time: whatever there is is what there is
		for _, name := range names {
			next.Columns[name] = types[name]
		}
		g.carried = nil
		return g.accept(ctx, next)
	}
	for name, is := range types {
		if was, known := next.Columns[name]; known && was == "" && is != "" {
			next.Columns[name] = is // nothing was known of its type
		}
	}
	var carried []change.Drift
	var frozen *FrozenError
	stands := map[change.Drift]bool{}
	for _, d := range g.differences(names, types) {
		reaction := g.dataset.OnDrift(d, names)
		switch reaction {
		case "":
			apply(&next, d, types)
			forget(&next, d.Column)
			continue
		case contract.Evolve:
			apply(&next, d, types)
			forget(&next, d.Column)
		case contract.Freeze:
			if frozen == nil {
				frozen = &FrozenError{Source: g.source, Dataset: g.dataset.Name, Drift: d}
			}
			fallthrough
		default:
			stands[d] = true
			carried = append(carried, d)
		}
		g.remember(&next, d, reaction)
	}
	if g.declared != nil { // then what is not there any more is over
		next.Drift = slices.DeleteFunc(next.Drift, func(d bus.Drifted) bool {
			return d.Reaction != string(contract.Evolve) && !stands[d.Drift]
		})
	}
	if err := g.accept(ctx, next); err != nil {
		return err
	}
	if frozen != nil {
		return frozen
	}
	g.carried = carried
	return nil
}

// present is what the source has now: the names in its order, and the types that are known.
func (g *guard) present() (names []string, types map[string]string) {
	types = map[string]string{}
	for _, c := range g.declared {
		if _, twice := types[c.Name]; !twice {
			names = append(names, c.Name)
		}
		types[c.Name] = c.Type
	}
	for _, name := range g.seen {
		if _, there := types[name]; !there {
			names, types[name] = append(names, name), ""
		}
	}
	return names, types
}

// differences between what was accepted and what is there, in an order that does not depend on chance.
func (g *guard) differences(names []string, types map[string]string) []change.Drift {
	var found []change.Drift
	for _, name := range names {
		was, known := g.accepted.Columns[name]
		switch {
		case !known:
			found = append(found, change.Drift{Code: change.NewColumn, Column: name})
		case was != "" && types[name] != "" && was != types[name]:
			found = append(found, change.Drift{Code: change.ChangedType, Column: name, Was: was, Is: types[name]})
		}
	}
	if g.declared != nil {
		for _, name := range slices.Sorted(maps.Keys(g.accepted.Columns)) {
			if _, there := types[name]; !there {
				found = append(found, change.Drift{Code: change.LostColumn, Column: name})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b change.Drift) int { return cmp.Compare(a.Code, b.Code) })
	return found
}

// apply accepts a difference.
func apply(s *bus.Shape, d change.Drift, types map[string]string) {
	switch {
	case d.Code == change.LostColumn:
		delete(s.Columns, d.Column)
	case d.Code == change.ChangedType || len(s.Columns) < mostColumns:
		s.Columns[d.Column] = types[d.Column]
	}
}

// forget takes back what was remembered of a column.
func forget(s *bus.Shape, column string) {
	s.Drift = slices.DeleteFunc(s.Drift, func(d bus.Drifted) bool { return d.Column == column })
}

// remember notes a difference that somebody should look at, once.
func (g *guard) remember(s *bus.Shape, d change.Drift, r contract.Reaction) {
	for _, known := range s.Drift {
		if known.Drift == d && known.Reaction == string(r) {
			return
		}
	}
	forget(s, d.Column)
	if len(s.Drift) >= mostDrift {
		s.Drift = s.Drift[1:]
	}
	s.Drift = append(s.Drift, bus.Drifted{Drift: d, Reaction: string(r), Since: time.Now().UTC(), Contract: g.dataset.Hash})
}

// accept keeps a shape, and tells what is new about it.
func (g *guard) accept(ctx context.Context, next bus.Shape) error {
	before := g.accepted
	if maps.Equal(before.Columns, next.Columns) && before.Columns != nil && slices.Equal(before.Drift, next.Drift) {
		return nil
	}
	if err := g.keep(ctx, next); err != nil {
		return err
	}
	g.accepted = next
	for _, d := range before.Drift {
		if !slices.Contains(next.Drift, d) {
			g.tell(d, true)
		}
	}
	for _, d := range next.Drift {
		if !slices.Contains(before.Drift, d) {
			g.tell(d, false)
		}
	}
	return nil
}

func (g *guard) tell(d bus.Drifted, solved bool) {
	e := connectors.Event{
		Dataset: g.dataset.Name, Unit: d.Column, Problem: d.Code, Solved: solved,
		Notice:  d.Reaction != string(contract.Freeze), // what waits in quarantine was read
		Message: DriftMessage(d),
	}
	g.notify(e)
}

// DriftMessage says what happened and what to do.
func DriftMessage(d bus.Drifted) string {
	since := happened(d.Drift) + " since " + d.Since.Format(time.DateOnly)
	switch contract.Reaction(d.Reaction) {
	case contract.Freeze:
		return since + "; the source stands still. " + remedy(d.Drift) + ", and start again"
	case contract.Wait:
		return since + "; its rows wait in quarantine. " + remedy(d.Drift) + ", then shire quarantine retry --reason " + d.Code
	}
	switch d.Code {
	case change.NewColumn:
		return since + " and goes to no field; claim it in headers: of one, or list it under drift: accepted:"
	case change.LostColumn:
		return since + "; if a field needs it, write what it is called now into headers:, else raise the contract's version"
	}
	return since + "; look at the type of its field, then raise the contract's version"
}

// happened says what a drift is. A column's name is the source's own, and no value (I7).
func happened(d change.Drift) string {
	switch d.Code {
	case change.NewColumn:
		return fmt.Sprintf("the column %.60q is new", d.Column)
	case change.LostColumn:
		return fmt.Sprintf("the column %.60q is gone", d.Column)
	}
	return fmt.Sprintf("the column %.60q is %.40s, which was %.40s,", d.Column, d.Is, d.Was)
}

// remedy says what to write in the contract to go on.
func remedy(d change.Drift) string {
	switch d.Code {
	case change.NewColumn:
		return "Claim it in headers: of a field, list it under drift: accepted:, or write drift: {new_columns: evolve}"
	case change.LostColumn:
		return "Write what it is called now into headers: of its field, list it under drift: accepted:, or write drift: {lost_columns: evolve}"
	}
	return "Check the type of its field and list the column under drift: accepted:, or write drift: {changed_types: evolve}"
}
