// Package connectors turns department systems into changes. A folder below it holds one kind of source.
// A connector keeps values as the source wrote them; it validates nothing but its own protocol.
package connectors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
)

// Connector reads one source.
type Connector interface {
	// Run reads what the source has beyond what the outlet says is already safe, and appends it to the outlet,
	// each dataset in source order. With follow it goes on until ctx ends and then returns nil; without, it
	// returns nil at the source's present end. An error ends the run; the caller decides on a retry.
	Run(ctx context.Context, out Outlet, follow bool) error
}

// Outlet is where a connector puts its changes. It packs them and publishes them to the bus.
type Outlet interface {
	// Resume is the position of the last change of the dataset that is safe; "" before the first (I2).
	Resume(ctx context.Context, dataset string) (change.Position, error)
	// Append adds changes in source order. It blocks while the buffer is full (I10). unit names what the rows
	// were read from, for people; columns are the source's own names, in the order of each change's values.
	// A dataset's buffer is sent when unit or columns differ from the append before.
	Append(ctx context.Context, dataset, unit string, columns []string, c change.Change) error
	// Shape tells what columns the dataset's source has, and their types where it has such, before the first change that has
	// them and whenever they change. A source that cannot say so need not; of it, nobody knows when a column is lost. An error
	// ends the run: the contract does not allow what changed.
	Shape(ctx context.Context, dataset string, columns []Column) error
	// Flush returns when everything appended is safe; only then may the source be told so (I1).
	Flush(ctx context.Context) error
	// Safe is the last position of the dataset that is known to be safe; it does not wait.
	Safe(dataset string) change.Position
	// History calls fn with the batches of the dataset on the bus, in order, after the given stream sequence.
	// Batches are valid during the call only.
	History(ctx context.Context, dataset string, after uint64, fn func(sequence uint64, b *change.Batch) error) error
}

// Column is a column of a source.
type Column struct {
	Name string `json:"name"`
	Type string `json:"type"` // in the source's own words: numeric(12,2), varchar(20); "" where it has no types
}

// Surveyor is a connector that can say what its source holds, beside its Run and without a lock on the source.
type Surveyor interface {
	// Survey calls fn with every record of the dataset as it now stands, and with those of the given keys alone when
	// there are any. What fn gets is valid during the call only, and carries no position.
	Survey(ctx context.Context, dataset string, keys []string, fn func(columns []string, c change.Change) error) error
}

// Resender is a connector that can say single records again while its Run goes on.
type Resender interface {
	// Resend has Run append the records with these keys as they now stand, as Snapshot, and as Delete those that the
	// source has no longer; both in an order with the changes in flight that leaves the newest as the last. It returns
	// when they are appended, or with the error of a Run that ended, or when ctx ends: without a Run it waits for one.
	Resend(ctx context.Context, dataset string, keys []string) error
}

// Keeper is a connector to which a message means more than its records.
type Keeper interface {
	// Keeps tells of a message, by the positions of its first and last change, that it has to stay on the bus although every
	// record in it was said anew since.
	Keeps(first, last change.Position) bool
}

// Settings is what a connector is made from.
type Settings struct {
	Source    county.Source
	Contracts contract.Set             // of this source's datasets
	StateDir  string                   // a folder of its own, for what it can rebuild from the source or the bus
	Resolve   func(path string) string // makes a path of county.yaml absolute
	Inbox     Inbox                    // of the source's department; nil where nothing is run
	Notify    func(Event)              // tells the operator; never nil
	Log       *slog.Logger             // never nil
}

// Event is something about a source that an operator has to see: a file refused, a column unknown.
type Event struct {
	Source  string `json:"source"`
	Dataset string `json:"dataset,omitempty"`
	Unit    string `json:"unit,omitempty"`   // a file, a table
	Problem string `json:"problem"`          // stable code: header_without_key, unknown_encoding ...
	Message string `json:"message"`          // a sentence: what happened, what to do
	Notice  bool   `json:"notice,omitempty"` // worth a look, but nothing was left unread
	Solved  bool   `json:"solved,omitempty"` // the problem of this unit is gone
}

// Factory makes a connector, or says what is wrong with its settings. The error is an input error.
type Factory func(Settings) (Connector, error)

var kinds = map[string]Factory{}

// Register makes a kind of connector known; called from the init function of its package.
func Register(kind string, f Factory) {
	if _, twice := kinds[kind]; twice {
		panic("connectors: kind " + kind + " is registered twice")
	}
	kinds[kind] = f
}

// Kinds lists the kinds that are compiled in.
func Kinds() []string { return slices.Sorted(maps.Keys(kinds)) }

// ErrUnknownKind is returned by New for a kind that is not compiled in.
var ErrUnknownKind = errors.New("unknown kind of connector")

// New makes the connector of a source.
func New(s Settings) (Connector, error) {
	f, ok := kinds[s.Source.Kind]
	if !ok {
		return nil, fmt.Errorf("source %s: %w %q", s.Source.Name, ErrUnknownKind, s.Source.Kind)
	}
	return f(s)
}
