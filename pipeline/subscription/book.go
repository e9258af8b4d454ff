package subscription

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shirecounty/shire/schemas/pseudonym"
)

// Bucket is where the state of subscriptions is kept.
const Bucket = "SUBSCRIPTIONS"

// Book is the state of a county's subscriptions: how far each has come, what it was sent last of each record, and what is parked. It
// holds ids and digests that tell nothing to who lacks the county's key (I7). Commands write to it as well as the service.
//
//	COUNTY.NAME.DATASET.position         see position
//	COUNTY.NAME.DATASET.sent.RECORD      see sent
//	COUNTY.NAME.DATASET.parked.RECORD    see Parked
//	COUNTY.NAME.DATASET.trouble          see Trouble
//	COUNTY.NAME.DATASET.again            see again
//	COUNTY.NAME.DATASET.outbox           see outboxState
type Book struct {
	kv     jetstream.KeyValue
	county string
}

// position is how far a subscription has come.
type position struct {
	Bus      string    `json:"bus"`      // whose sequences they are
	Sequence uint64    `json:"sequence"` // of the last message of which everything was sent or parked
	Since    time.Time `json:"since"`    // when the subscription began
}

// sent is what a receiver knows of a record. It is written before each attempt, as unsure, and after it.
type sent struct {
	Version  uint64     `json:"version"`
	Digest   string     `json:"digest"`            // of what was shown
	Unsure   bool       `json:"unsure"`            // whether the receiver has it: nobody noted how the attempt ended
	Known    bool       `json:"known"`             // the receiver has taken some version
	Waiting  uint64     `json:"waiting,omitempty"` // the message in the outbox that is not known to be read
	Gone     bool       `json:"gone,omitempty"`    // which says that the record is deleted
	Parties  []sentWith `json:"parties,omitempty"`
	Division string     `json:"division,omitempty"`
}

// sentWith is whom the record was about: who it is gone for when it is deleted.
type sentWith struct {
	Person bool         `json:"person"`
	Party  pseudonym.ID `json:"party"`
}

// Parked is a record whose newest version could not be sent.
type Parked struct {
	Record  pseudonym.ID `json:"record"`
	Reason  string       `json:"reason"` // for people; quotes nothing that the receiver said
	Tries   int          `json:"tries"`
	Since   time.Time    `json:"since"`
	Dropped *Dropped     `json:"dropped,omitempty"`
}

// Dropped says who gave a parked record up, and why.
type Dropped struct {
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
}

// Trouble is why a subscription does not get on.
type Trouble struct {
	Reason string       `json:"reason"`
	Record pseudonym.ID `json:"record"`
	Tries  int          `json:"tries"`
	Since  time.Time    `json:"since"`
	Next   time.Time    `json:"next,omitzero"` // when it is tried again
	Held   bool         `json:"held"`          // the receiver said that it is gone: only a person lets it go on
}

// again is the order to send what is parked, and to go on where the subscription is held.
type again struct {
	At     time.Time    `json:"at"`
	Record pseudonym.ID `json:"record"` // all when zero
}

// Follows names a subscription's state: of another dataset, a subscription of the same name is another one.
type Follows struct{ Name, Dataset string }

// OpenBook opens the state and makes it where there is none.
func OpenBook(ctx context.Context, nc *nats.Conn, county string, replicas int) (*Book, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("JetStream is not usable: %w", err)
	}
	kv, err := js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: Bucket, Description: "how far each subscription has come, and what is parked", Replicas: max(replicas, 1), Storage: jetstream.FileStorage,
	})
	if err != nil {
		return nil, fmt.Errorf("the bucket %s cannot be opened: %w", Bucket, err)
	}
	return &Book{kv, county}, nil
}

func (b *Book) key(f Follows, rest ...string) string {
	return strings.Join(append([]string{b.county, f.Name, f.Dataset}, rest...), ".")
}

// get reads an entry into v; revision is 0 when there is none.
func (b *Book) get(ctx context.Context, key string, v any) (revision uint64, err error) {
	e, err := b.kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return 0, nil
	}
	if err == nil {
		revision, err = e.Revision(), json.Unmarshal(e.Value(), v)
	}
	if err != nil {
		return 0, fmt.Errorf("the state %s of a subscription cannot be read: %w", key, err)
	}
	return revision, nil
}

// put writes an entry, whatever was there.
func (b *Book) put(ctx context.Context, key string, v any) error {
	text, err := json.Marshal(v)
	if err == nil {
		_, err = b.kv.Put(ctx, key, text)
	}
	if err != nil {
		return fmt.Errorf("the state %s of a subscription cannot be written: %w", key, err)
	}
	return nil
}

// swap writes an entry that is still as it was at a revision, 0 for none.
func (b *Book) swap(ctx context.Context, key string, v any, was uint64) (revision uint64, err error) {
	text, err := json.Marshal(v)
	if err == nil && was == 0 {
		revision, err = b.kv.Create(ctx, key, text)
	} else if err == nil {
		revision, err = b.kv.Update(ctx, key, text, was)
	}
	if err != nil {
		return 0, fmt.Errorf("the state %s of a subscription cannot be written, or another process wrote it: %w", key, err)
	}
	return revision, nil
}

func (b *Book) remove(ctx context.Context, key string, options ...jetstream.KVDeleteOpt) error {
	if err := b.kv.Purge(ctx, key, options...); err != nil {
		return fmt.Errorf("the state %s of a subscription cannot be written: %w", key, err)
	}
	return nil
}

// Parked lists what is parked of a subscription, by record; those that were dropped too, which are kept until the record changes again.
func (b *Book) Parked(ctx context.Context, f Follows) ([]Parked, error) {
	keys, err := b.keys(ctx, b.key(f, "parked", "*"))
	if err != nil {
		return nil, err
	}
	var out []Parked
	for _, k := range keys {
		var p Parked
		revision, err := b.get(ctx, k, &p)
		if err != nil {
			return nil, err
		}
		if revision > 0 { // else it was sent meanwhile
			out = append(out, p)
		}
	}
	return out, nil
}

func (b *Book) keys(ctx context.Context, filter string) (keys []string, err error) {
	list, err := b.kv.ListKeysFiltered(ctx, filter)
	if err != nil {
		return nil, fmt.Errorf("the state of subscriptions cannot be listed: %w", err)
	}
	for k := range list.Keys() {
		keys = append(keys, k)
	}
	return keys, nil
}

// Progress is how a subscription stands.
type Progress struct {
	Started  time.Time `json:"started,omitzero"` // zero when it was never served
	Position uint64    `json:"position"`         // message of the bus
	Parked   int       `json:"parked"`
	Dropped  int       `json:"dropped"`
	Trouble  *Trouble  `json:"trouble,omitempty"`
}

// Progress tells how a subscription stands.
func (b *Book) Progress(ctx context.Context, f Follows) (Progress, error) {
	var at position
	var t Trouble
	if _, err := b.get(ctx, b.key(f, "position"), &at); err != nil {
		return Progress{}, err
	}
	out := Progress{Started: at.Since, Position: at.Sequence}
	revision, err := b.get(ctx, b.key(f, "trouble"), &t)
	if err != nil {
		return out, err
	}
	if revision > 0 {
		out.Trouble = &t
	}
	list, err := b.Parked(ctx, f)
	for _, p := range list {
		if p.Dropped != nil {
			out.Dropped++
		} else {
			out.Parked++
		}
	}
	return out, err
}

// Known lists what the book has of subscriptions, also of those that county.yaml names no more.
func (b *Book) Known(ctx context.Context) ([]Follows, error) {
	keys, err := b.keys(ctx, b.county+".*.*.position")
	if err != nil {
		return nil, err
	}
	var out []Follows
	for _, k := range keys {
		if parts := strings.Split(k, "."); len(parts) == 4 {
			out = append(out, Follows{parts[1], parts[2]})
		}
	}
	return out, nil
}

// Retry orders that what is parked is sent, or one record of it, and that a subscription that is held goes on. The service does it.
func (b *Book) Retry(ctx context.Context, f Follows, record pseudonym.ID, now time.Time) error {
	return b.put(ctx, b.key(f, "again"), again{now, record})
}

// ErrNotParked says that a record is not parked.
var ErrNotParked = errors.New("the record is not parked: it was sent meanwhile, or never waited")

// Drop gives a parked record up. What was given up stays listed, with the reason, until the record changes again.
func (b *Book) Drop(ctx context.Context, f Follows, record pseudonym.ID, reason string, now time.Time) error {
	key := b.key(f, "parked", record.String())
	var p Parked
	revision, err := b.get(ctx, key, &p)
	if err != nil {
		return err
	}
	if revision == 0 {
		return ErrNotParked
	}
	p.Dropped = &Dropped{now, reason}
	_, err = b.swap(ctx, key, p, revision)
	return err
}
