package audit

import "fmt"

// Kind is what is wrong with a log.
type Kind string

// What can be wrong.
const (
	Edited             Kind = "edited"
	Deleted            Kind = "deleted"
	Inserted           Kind = "inserted"
	Reordered          Kind = "reordered"
	TruncatedEnd       Kind = "truncated_end"
	TruncatedBeginning Kind = "truncated_beginning"
	WrongSignature     Kind = "signature"
	WrongProjection    Kind = "projection" // audit.accesses says something else
)

// Finding is something that is wrong, and where.
type Finding struct {
	Kind     Kind   `json:"kind"`
	Sequence uint64 `json:"sequence"` // the first entry that is not as it was written; of a statement, the entry it speaks of
	What     string `json:"what"`     // a sentence
}

// Report is what a verification found.
type Report struct {
	Entries     uint64    `json:"entries"` // that were read
	First       uint64    `json:"first"`
	Last        uint64    `json:"last"`
	Hash        string    `json:"hash"`        // of the last one
	Checkpoints int       `json:"checkpoints"` // that were proven against the entries
	Signed      uint64    `json:"signed"`      // the last entry that a checkpoint speaks of
	CutThrough  uint64    `json:"cut_through"` // what retention took away
	Behind      uint64    `json:"behind"`      // entries that audit.accesses does not have yet
	Findings    []Finding `json:"findings"`    // the first bad entry first
}

// OK tells whether nothing is wrong.
func (r *Report) OK() bool { return len(r.Findings) == 0 }

// Err is nil when nothing is wrong, and else a *BrokenError.
func (r *Report) Err() error {
	if r.OK() {
		return nil
	}
	return &BrokenError{r.Findings[0], len(r.Findings)}
}

// BrokenError says that the log is not as it was written.
type BrokenError struct {
	First Finding
	Count int
}

func (e *BrokenError) Error() string {
	text := fmt.Sprintf("the audit log is not as it was written: %s", e.First.What)
	if e.Count > 1 {
		text += fmt.Sprintf(" (and %d findings more)", e.Count-1)
	}
	return text
}
