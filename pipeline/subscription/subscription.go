// Package subscription sends departments the changes of what they were granted: CloudEvents, by signed webhook, to be taken by
// whoever checks what connectors/push checks, or into the department's outbox on NATS, to be read by a user of its own.
//
// An event says what a record is now, as far as it may be shown at the moment of sending: never what it was before. So a version
// that was followed by another before it was sent is not sent any more, what waited for long is as fresh as what did not, and
// the order of a record's events is that of its versions. A record that changed in nothing that is shown gives no event: that
// something else of it changed is nobody's business.
//
// A subscription has no clerk and no case of its own. Of a dataset about people or organisations it is sent what they are shown of
// it who have an open case at the department: changes of the records of its applicants, as sharing.Decide answers for that case (I8). Of a
// dataset about nobody it is sent what is granted.
//
// # How it fails
//
//   - Any process dies at any instant: the position is behind the last message of which everything was sent or parked, so that
//     at most the events of one message are sent again, with the ids that they had.
//   - The receiver does not answer, or is not well: it is tried again, ever more slowly, for as long as ParkAfter says. Then, or at
//     once when it says that the event itself is wrong, the record is parked, and the next one's turn comes. A parked record waits
//     until it is sent by command or because it changed again.
//   - The receiver says that it is gone for good (410): nothing more is sent, and nothing passed over, until a person says so.
//   - Nobody reads an outbox: it takes no more than it may hold, which is as if a webhook did not answer, and what lay there too
//     long is taken out and parked. What lies there is looked at all the time, and removed when it may not be shown any more.
//   - The bus, the audit log, the store of records or identity is away: nothing is sent until it is back.
//   - Two processes serve one subscription: the position is fenced, so that one of them begins anew from where the other is.
package subscription

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/shirecounty/shire/pipeline/audit"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/serving"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/pseudonym"
	"github.com/shirecounty/shire/schemas/sharing"
)

// Records is the store of records to share.
type Records interface {
	// Position is the sequence up to which the bus is there.
	Position() uint64
	Get(id pseudonym.ID) (*serving.Record, error)
	// Version is the newest version of a record that is there, also of one that is gone; 0 when there never was one.
	Version(id pseudonym.ID) (uint64, error)
	ByMentions(mentions []pseudonym.ID) ([]*serving.Record, error)
}

// Identities tells whose a mention is today, and which mentions a party has.
type Identities interface {
	Of(person bool, id pseudonym.ID) (party pseudonym.ID, mentions []pseudonym.ID, ok bool)
}

// Requests tells the requests as they stand at this moment: what was revoked a moment ago is revoked.
type Requests interface {
	Requests(ctx context.Context) ([]*sharing.Request, error)
}

// Accesses is the audit log.
type Accesses interface {
	Record(ctx context.Context, a audit.Access) error
}

// Options of a service; all are required but those of which another thing is said.
type Options struct {
	County     string // division code
	Replicas   int
	Bus        *bus.Bus
	NATS       *nats.Conn
	Records    Records
	Identities Identities
	Requests   Requests
	Accesses   Accesses
	Contracts  contract.Set
	Hasher     *pseudonym.Hasher // becomes the service's own

	Transport http.RoundTripper // the usual one when nil
	Clock     func() time.Time  // time.Now when nil
	FirstWait time.Duration     // after a first failure; 1 s when 0
	Log       *slog.Logger
}

// Service serves a county's subscriptions.
type Service struct {
	Options
	book   *Book
	web    *http.Client
	mu     sync.Mutex // guards the hasher
	behead func(step string) error

	opening   sync.Mutex
	limits    map[string]bus.OutboxLimits // by department
	tendEvery time.Duration               // an outbox is looked at
	idle      time.Duration               // the bus is waited for before other things are looked at
}

// How long things may take.
const (
	sendTimeout = 15 * time.Second
	longestWait = 5 * time.Minute
	longestFull = 10 * time.Second // between tries while the outbox is full
)

// New opens the state of the county's subscriptions.
func New(ctx context.Context, o Options) (*Service, error) {
	book, err := OpenBook(ctx, o.NATS, o.County, o.Replicas)
	if err != nil {
		return nil, err
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.FirstWait == 0 {
		o.FirstWait = time.Second
	}
	if o.Transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		t.MaxResponseHeaderBytes = 64 << 10
		t.MaxIdleConnsPerHost = 1
		o.Transport = t
	}
	s := &Service{Options: o, book: book, behead: func(string) error { return nil }, limits: map[string]bus.OutboxLimits{}, tendEvery: time.Second, idle: time.Second}
	s.web = &http.Client{Transport: o.Transport, Timeout: sendTimeout,
		// What is personal goes where county.yaml says and nowhere else, whatever the receiver answers.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return s, nil
}

// Run serves the subscriptions until ctx ends. It returns an error only when a secret cannot be read or used; then nothing was
// sent.
func (s *Service) Run(ctx context.Context, list []county.Subscription) error {
	var workers []*worker
	for _, c := range list {
		w, err := s.worker(c)
		if err != nil {
			return err
		}
		workers = append(workers, w)
		s.limits[c.Department] = limits(list, c.Department)
	}
	var running sync.WaitGroup
	for _, w := range workers {
		running.Go(func() { w.run(ctx) })
	}
	running.Wait()
	return nil
}

func (s *Service) hash(fn func(*pseudonym.Hasher) string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fn(s.Hasher)
}

func (s *Service) recordID(dataset, key string) (id pseudonym.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return serving.RecordID(s.Hasher, dataset, key)
}

// HashedFor is how a value is shown to a department under the mask "hashed": the same value gives the same text to one department, and
// another one to the next, so that two of them cannot put together what neither was granted.
func HashedFor(h *pseudonym.Hasher, department, value string) string {
	return h.Text("shared/"+department, value)
}
