package jobs

import (
	"context"
	"errors"
	"io"
	"time"
)

// ErrConflict says that an entry is not at the revision that a writer knew.
var ErrConflict = errors.New("the entry was changed by somebody else")

// Entry is one value of the ledger.
type Entry struct {
	Key      string
	Value    []byte // nil when it was deleted
	Revision uint64 // grows with each write; 0 when there is no entry
}

// Entries are small values under names, changed by compare-and-set.
type Entries interface {
	// Get reads an entry; of one that does not exist, Revision is 0.
	Get(ctx context.Context, key string) (Entry, error)
	// Put writes a value if the entry is at a revision; 0: if there is none. The error wraps [ErrConflict] when it is not.
	Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	// Delete removes an entry, whatever its revision.
	Delete(ctx context.Context, key string) error
	// Watch tells every entry and then every change until ctx ends, one after the other. When it has told all that there were
	// at first, it tells an Entry without a key.
	Watch(ctx context.Context, fn func(Entry)) error
}

// History keeps how runs stand: the report with the highest Event of each.
type History interface {
	// Report keeps a report. An older one than is kept does nothing.
	Report(ctx context.Context, r Run) error
	// Last is how the run of a job for a due time stands; nil when there is none, or it is no longer kept.
	Last(ctx context.Context, job, id string) (*Run, error)
	// Runs are the newest runs of a job, the newest first; of all jobs when job is empty.
	Runs(ctx context.Context, job string, most int) ([]Run, error)
}

// Logs keeps what runs print.
type Logs interface {
	// Append adds lines to the log of a run.
	Append(ctx context.Context, job, id string, lines []Line) error
	// Lines tells the lines of a run in their order. With follow it goes on telling until ctx ends.
	Lines(ctx context.Context, job, id string, follow bool, fn func(Line) error) error
}

// Line is one line of a run's output.
type Line struct {
	At      time.Time `json:"at"`
	Attempt int       `json:"attempt"`
	Text    string    `json:"text"`
}

// Ledger is all that the scheduler keeps; package jobs/ledger has it on JetStream.
type Ledger interface {
	Entries
	History
	Logs
}

var _ io.Writer = (*output)(nil)

// Names of entries.
const (
	jobPrefix  = "job."
	nodePrefix = "node."
)
