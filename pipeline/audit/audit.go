// Package audit is the log of accesses to personal data: who asked for whose records, why, and what was decided. It is
// written before anything is read (I8), and nobody can change it without its showing.
//
// The log is a JetStream stream. Each entry holds the hash of the one before; signed checkpoints say from time to time how
// far the chain had come. audit.accesses in ClickHouse is a projection of it, for people to read.
//
// # How it fails
//
//   - JetStream is away or slow: Record returns an error within maxWait, and whoever asked shows nothing.
//   - An acknowledgement is lost: the block that was sent is looked for behind the one it had to follow, where it stands or
//     can never stand any more. An access that was acknowledged is in the log once; one that was not is there once at most.
//   - Two processes write: both want the same place in the chain, and the server gives it to one. The other reads the
//     chain's new end and goes on from there.
//   - ClickHouse is away: accesses are written all the same, and the projection catches up.
//   - The machine loses its power and the stream its end (docs/durability.md): the next start puts back what the projection
//     has of it.
//   - Somebody changes the log: Verify names the first entry that is not as it was written. What a forger with the hash
//     alone could make anew, he cannot sign; what is cut off behind the last checkpoint, a copy of a checkpoint elsewhere
//     shows, or the projection.
package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shirecounty/shire/schemas/pseudonym"
)

// Stream is the name of the log's stream.
const Stream = "AUDIT"

// Access is one look at personal records, or a look that was refused.
type Access struct {
	At         time.Time
	Caller     string
	Clerk      string // name of the official; only a pseudonym of it is written
	Purpose    string
	ItemCode   string
	CaseNumber string
	Persons    []pseudonym.ID // whose records are shown; an entry for each
	Fields     []string
	Decision   string
	Reason     string // never quotes a value (I7)
}

// entries are an access as entries that have no place in the chain yet.
func (a *Access) entries(h *pseudonym.Hasher) []Entry {
	persons := a.Persons
	if len(persons) == 0 {
		persons = []pseudonym.ID{{}}
	}
	clerk := h.Text("clerk", a.Clerk)
	out := make([]Entry, len(persons))
	for i, p := range persons {
		out[i] = Entry{At: a.At.UTC().Truncate(time.Microsecond), Caller: a.Caller, Clerk: clerk, Purpose: a.Purpose,
			ItemCode: a.ItemCode, CaseNumber: a.CaseNumber, Person: p, Fields: a.Fields, Decision: a.Decision, Reason: a.Reason}
	}
	return out
}

// Place is how far a chain goes: the number and hash of its last entry, 0 and "" before the first.
type Place struct {
	Sequence uint64 `json:"sequence"`
	Hash     string `json:"hash"`
}

// stream opens the log's stream, and makes it where there is none.
func stream(ctx context.Context, js jetstream.JetStream, replicas int) (jetstream.Stream, error) {
	s, err := js.Stream(ctx, Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		s, err = js.CreateStream(ctx, jetstream.StreamConfig{
			Name: Stream, Subjects: []string{"audit.>"}, Description: "accesses to personal data: a tamper-evident chain",
			Retention: jetstream.LimitsPolicy, Storage: jetstream.FileStorage, Replicas: max(replicas, 1),
			// No limit: what is old goes by retention's cut alone, which purges; nothing is ever deleted from within. Direct
			// reads could be answered by a replica that does not know the chain's end yet.
			Discard: jetstream.DiscardNew, DenyDelete: true, Compression: jetstream.S2Compression,
		})
	}
	if err != nil {
		return nil, fmt.Errorf("the stream %s cannot be opened: %w", Stream, err)
	}
	return s, nil
}

// subjects of a county: blocks of entries, and what is signed.
func entriesSubject(county string) string { return "audit." + county }
func signedSubject(county string) string  { return "audit." + county + ".signed" }

// isWrongSequence tells the server's answer to a message that does not follow the one it says it follows.
func isWrongSequence(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence
}

// final tells errors that waiting does not mend.
func final(err error) bool {
	return errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrAuthorization)
}
