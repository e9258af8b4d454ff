package pipeline

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/shirecounty/shire/pipeline/audit"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/serving"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/pseudonym"
	"github.com/shirecounty/shire/schemas/sharing"
)

// CorrectionsOptions are what corrections work with; all are required.
type CorrectionsOptions struct {
	Bus      *bus.Bus
	World    func() sharing.World
	Requests func(context.Context) ([]*sharing.Request, error)
	Records  interface {
		Get(pseudonym.ID) (*serving.Record, error)
		Version(pseudonym.ID) (uint64, error)
	}
	Accesses interface {
		Record(context.Context, audit.Access) error
	}
	Due    func(reported time.Time) (sharing.Deadline, error) // the owner's limit for an answer
	Key    []byte                                             // of the county's pseudonyms; what is proposed is sealed with one made of it
	Hasher *pseudonym.Hasher                                  // becomes the corrections' own
	Log    *slog.Logger
}

// Corrections is where users of data report errors to its owner (校核). As with [Exchange], what they do is a change like any other, and two
// processes may act at once (I2). What is proposed, and why, is on the bus sealed (I7).
type Corrections struct {
	opt  CorrectionsOptions
	aead cipher.AEAD

	mu      sync.Mutex // one act, or one look at what is new, at a time
	through uint64
	all     map[string]*sharing.ErrorReport
	sealed  map[string][]string // what was said with each act
}

// NewCorrections makes them.
func NewCorrections(o CorrectionsOptions) (*Corrections, error) {
	key, err := hkdf.Key(sha256.New, o.Key, nil, "shire corrections", 32)
	if err != nil {
		return nil, fmt.Errorf("the key of corrections cannot be made: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	c := &Corrections{opt: o, all: map[string]*sharing.ErrorReport{}, sealed: map[string][]string{}}
	c.aead, err = cipher.NewGCM(block)
	return c, err
}

// Said is what people said about an error: personal, and shown to the two departments alone.
type Said struct {
	Proposed string `json:"proposed,omitempty"` // what the value should be
	Note     string `json:"note,omitempty"`     // why, in the words of who reported
	Reason   string `json:"reason,omitempty"`   // of a refusal
}

// Report is an error that a user of data found.
type Report struct {
	Department, Clerk string
	Dataset, Field    string
	Record            pseudonym.ID
	Said
}

// Bounds of what may be said, in characters.
const (
	mostName = 100
	mostSaid = 2000
)

func proveSaid(clerk string, s Said) error {
	if n := utf8.RuneCountInString(clerk); strings.TrimSpace(clerk) == "" || n > mostName {
		return &sharing.Refusal{Code: "name_missing", Text: "whoever acts gives a name of at most 100 characters", Zh: "请写明经办人姓名，不超过 100 个字"}
	}
	for _, text := range []string{s.Proposed, s.Note, s.Reason} {
		if utf8.RuneCountInString(text) > mostSaid || !utf8.ValidString(text) {
			return &sharing.Refusal{Code: "too_long", Text: "the proposed value, the note and the reason have at most 2000 characters each", Zh: "建议值、说明和理由各不超过 2000 个字"}
		}
	}
	return nil
}

// Report reports an error. The error is a *sharing.Refusal when it may not be reported; then nothing was published.
func (c *Corrections) Report(ctx context.Context, r Report) (*sharing.ErrorReport, error) {
	if err := proveSaid(r.Clerk, r.Said); err != nil {
		return nil, err
	}
	if r.Proposed == "" && r.Note == "" {
		return nil, &sharing.Refusal{Code: "value_missing", Text: "a report says what the value should be, or what is wrong with it", Zh: "请写明正确的值，或说明错在何处"}
	}
	e := sharing.CorrectionEvent{Correction: uuid.NewString(), Act: sharing.Report, Department: r.Department, Dataset: r.Dataset, Field: r.Field, Record: r.Record.String()}
	record, err := c.opt.Records.Get(r.Record)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if record != nil && record.Dataset == r.Dataset {
		e.Seen, e.Version = c.digest(e.Correction, record.Value(r.Field)), record.Version
	}
	return c.do(ctx, e, r.Clerk, r.Said)
}

// Answer accepts a report, or refuses it with a reason, in the owner's name. The error is as of Report.
func (c *Corrections) Answer(ctx context.Context, id, department, clerk string, accept bool, reason string) (*sharing.ErrorReport, error) {
	said := Said{Reason: reason}
	if err := proveSaid(clerk, said); err != nil {
		return nil, err
	}
	act := sharing.Accept
	if !accept {
		if act = sharing.Refuse; strings.TrimSpace(reason) == "" {
			return nil, &sharing.Refusal{Code: "reason_missing", Text: "a refusal needs a reason", Zh: "不予更正须说明理由"}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.do(ctx, sharing.CorrectionEvent{Correction: id, Act: act, Department: department}, clerk, said)
}

// Listed is a report as one of its two departments sees it in a list: nothing personal.
type Listed struct {
	sharing.ErrorReport
	Deadline *sharing.Deadline // of the owner's answer, while it is waited for; nil when the calendar does not reach so far
	Overdue  bool
}

// List are the reports that a department made, or that were made to it, the oldest first; all for the lead department.
func (c *Corrections) List(ctx context.Context, department string, today time.Time) ([]Listed, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.catchUp(ctx); err != nil {
		return nil, err
	}
	lead := c.opt.World().Lead
	out := []Listed{}
	for _, id := range slices.Sorted(maps.Keys(c.all)) {
		one := c.all[id]
		if department == "" || department != one.From && department != one.Owner && department != lead {
			continue
		}
		l := Listed{ErrorReport: *one}
		if one.State == sharing.Reported {
			if d, err := c.opt.Due(one.Reported); err == nil {
				l.Deadline, l.Overdue = &d, today.Format(time.DateOnly) > d.Due.String()
			}
		}
		out = append(out, l)
	}
	slices.SortStableFunc(out, func(a, b Listed) int { return a.Reported.Compare(b.Reported) })
	return out, nil
}

// Read is what was said about an error, for one of the two departments: first what was reported. It is in the log of accesses before it is
// returned (I8). Whether there is a report of another department's is not told.
func (c *Corrections) Read(ctx context.Context, id, department, clerk string) ([]Said, error) {
	if err := proveSaid(clerk, Said{}); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.catchUp(ctx); err != nil {
		return nil, err
	}
	one := c.all[id]
	if one == nil || department != one.From && department != one.Owner {
		return nil, &sharing.Refusal{Code: "unknown_report", Text: "there is no such report", Zh: "没有这条异议"}
	}
	err := c.opt.Accesses.Record(ctx, audit.Access{At: time.Now().UTC(), Caller: department, Clerk: clerk, Purpose: "correction", CaseNumber: id,
		Fields: []string{one.Field}, Decision: "granted", Reason: "correction of record " + one.Record})
	if err != nil {
		return nil, err
	}
	var out []Said
	for i, text := range c.sealed[id] {
		s, err := c.unseal(id, i+1, text)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// Run closes reports that were accepted once the owner's record has changed in the field, until ctx ends.
func (c *Corrections) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if err := c.Close(ctx); err != nil && ctx.Err() == nil {
			c.opt.Log.Warn("it cannot be told at the moment which reported errors were corrected; it is tried again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Close closes those reports whose records have changed. What a killed process had not closed, the next one does.
func (c *Corrections) Close(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.catchUp(ctx); err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(c.all)) {
		one := c.all[id]
		if one.State != sharing.Accepted {
			continue
		}
		changed, err := c.changed(one)
		if err != nil {
			return err
		}
		if !changed {
			continue
		}
		e := sharing.CorrectionEvent{Correction: id, Act: sharing.Correct, Department: contract.OwnDepartment}
		var no *sharing.Refusal // another process was first
		if _, err := c.do(ctx, e, contract.OwnDepartment, Said{}); err != nil && !errors.As(err, &no) {
			return err
		}
	}
	return nil
}

// changed tells whether the value that was said to be wrong is there no more, in a later version of the record: a store that was made anew
// with another contract changes no version.
func (c *Corrections) changed(one *sharing.ErrorReport) (bool, error) {
	id, err := pseudonym.Parse(one.Record)
	if err != nil {
		return false, nil // nobody can have reported it here
	}
	version, err := c.opt.Records.Version(id)
	if err != nil || version <= one.Version {
		return false, err
	}
	record, err := c.opt.Records.Get(id)
	if err != nil {
		return false, err
	}
	return record == nil || c.digest(one.ID, record.Value(one.Field)) != one.Seen, nil
}

func (c *Corrections) digest(id, value string) string {
	return c.opt.Hasher.Text("correction/"+id, value)
}

// place binds what is sealed to where it stands.
func place(id string, number int) []byte { return fmt.Appendf(nil, "%s/%d", id, number) }

func (c *Corrections) seal(id string, number int, s Said) (string, error) {
	if s == (Said{}) {
		return "", nil
	}
	text, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	nonce := make([]byte, c.aead.NonceSize())
	rand.Read(nonce) // never fails
	return base64.StdEncoding.EncodeToString(c.aead.Seal(nonce, nonce, text, place(id, number))), nil
}

func (c *Corrections) unseal(id string, number int, text string) (s Said, err error) {
	if text == "" {
		return s, nil
	}
	sealed, err := base64.StdEncoding.DecodeString(text)
	if err == nil && len(sealed) < c.aead.NonceSize() {
		err = errors.New("it is cut off")
	}
	var plain []byte
	if err == nil {
		n := c.aead.NonceSize()
		plain, err = c.aead.Open(nil, sealed[:n], sealed[n:], place(id, number))
	}
	if err == nil {
		err = json.Unmarshal(plain, &s)
	}
	if err != nil {
		return Said{}, fmt.Errorf("what was said about the report %s cannot be opened: it was changed, or the county's key is another one", id)
	}
	return s, nil
}
