package connectors

import (
	"context"
	"strings"
	"time"
)

// Inbox holds what a department sent by itself, in the order of its arrival, until it is read and for a while longer: for
// as long as a message is kept, the same one cannot come in again.
type Inbox interface {
	// State is how the inbox stands now.
	State(ctx context.Context) (InboxState, error)
	// StoredAt is when the message with this sequence came in; the zero time when it is kept no longer.
	StoredAt(ctx context.Context, sequence uint64) (time.Time, error)
	// Read calls fn with the messages of the dataset in order. With follow it goes on until ctx ends and then returns nil;
	// without, it returns nil at the inbox's present end. A message is valid during the call only.
	Read(ctx context.Context, dataset string, from InboxStart, follow bool, fn func(InboxMessage) error) error
	// Forget removes the messages of the dataset that came in before a time, up to a sequence and with it.
	Forget(ctx context.Context, dataset string, through uint64, before time.Time) error
}

// InboxState is an inbox's identity, which is another one when the inbox was lost and made anew, and its newest sequence.
type InboxState struct {
	ID   string
	Last uint64
}

// InboxStart is where reading begins: behind a time when there is one, else behind a sequence; the zero value is the
// beginning.
type InboxStart struct {
	Behind     uint64
	BehindTime time.Time
}

// InboxMessage is one message of an inbox as it was sent.
type InboxMessage struct {
	Sequence uint64
	Stored   time.Time
	Header   map[string][]string
	Data     []byte
}

// InboxSubjects are where the events of a dataset are published; the * stands for what tells one event from the others.
func InboxSubjects(county, department, dataset string) string {
	return strings.Join([]string{"inbox", county, department, dataset, "*"}, ".")
}
