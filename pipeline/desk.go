package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"

	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/identity"
	"github.com/shirecounty/shire/pipeline/identity/review"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// DeskOptions are what a desk works with.
type DeskOptions struct {
	Bus *bus.Bus
	// Identities gives the state of identities as it was last kept; release ends its use.
	Identities func() (m *identity.Matching, release func(), err error)
	// Loaded returns when the flow has loaded everything up to a sequence: Flow.Drain, or what waits for another process.
	Loaded func(ctx context.Context, sequence uint64) error
}

// Desk is where people decide about identities: a verdict is a change like any other. It goes to the bus, and holds from
// where it stands there on; so it is part of the stream from which everything can be made again.
//
// A verdict that contradicts earlier ones is refused before it is published. Two processes may decide at once, and none of
// them overlooks what the other says: each has read everything that stands on the subject before it asks whether its
// verdict can hold, and the bus refuses it when something came in between (I2).
type Desk struct {
	opt  DeskOptions
	turn chan struct{} // holds one: verdicts of this process are taken one by one
}

var _ review.Desk = (*Desk)(nil)

// NewDesk makes a desk.
func NewDesk(o DeskOptions) *Desk { return &Desk{opt: o, turn: make(chan struct{}, 1)} }

// Always is the Identities of a process that has the state open.
func Always(m *identity.Matching) func() (*identity.Matching, func(), error) {
	return func() (*identity.Matching, func(), error) { return m, func() {}, nil }
}

// Queue lists what waits for a person.
func (d *Desk) Queue(ctx context.Context, about string, limit int) (items []review.Item, total int, err error) {
	err = d.look(ctx, about, func(m *identity.Matching) error {
		items, total = m.Partition(about).Queue(limit)
		return nil
	})
	return items, total, err
}

// Case shows one pair.
func (d *Desk) Case(ctx context.Context, about string, a, b pseudonym.ID) (c *review.Case, err error) {
	err = d.look(ctx, about, func(m *identity.Matching) error {
		if c = m.Partition(about).Case(a, b); c == nil {
			return review.ErrUnknown
		}
		return nil
	})
	return c, err
}

func (d *Desk) look(ctx context.Context, about string, fn func(*identity.Matching) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !slices.Contains(parties, about) {
		return &review.Mistake{Message: fmt.Sprintf("verdicts are about a person or an organisation, and not about %q", about)}
	}
	m, release, err := d.opt.Identities()
	if err != nil {
		return err
	}
	defer release()
	return fn(m)
}

var parties = []string{identity.Person, identity.Organisation}

// Decide makes a verdict and returns when it holds. The error may be a *review.Mistake, a *review.Contradiction or
// review.ErrUnknown; then nothing was published.
func (d *Desk) Decide(ctx context.Context, v review.Verdict) error {
	v = v.InOrder()
	if err := v.Prove(); err != nil {
		return err
	}
	may := func(m *identity.Matching) error {
		p := m.Partition(v.About)
		if p.Case(v.A, v.B) == nil {
			return review.ErrUnknown
		}
		if chain := p.Against(v.A, v.B, v.Decision); len(chain) > 0 {
			return contradiction(v, chain)
		}
		return nil
	}
	if err := d.publish(ctx, v.About, may, verdictChange(change.Update, v)); err != nil {
		return err
	}
	return d.look(ctx, v.About, func(m *identity.Matching) error {
		if m.Partition(v.About).Verdict(v.A, v.B) == nil {
			return errors.New("the verdict was published and does not hold; see whether it waits: shire quarantine list --dataset " + contract.Verdicts)
		}
		return nil
	})
}

// Withdraw takes a verdict back and returns when it no longer holds.
func (d *Desk) Withdraw(ctx context.Context, about string, a, b pseudonym.ID, by string) error {
	v := review.Verdict{About: about, A: a, B: b, Reviewer: by, At: time.Now().UTC()}.InOrder()
	if v.Reviewer == "" || utf8.RuneCountInString(v.Reviewer) > review.MostReviewer {
		return &review.Mistake{Message: fmt.Sprintf("whoever takes a verdict back gives a name of at most %d characters", review.MostReviewer)}
	}
	may := func(m *identity.Matching) error {
		// Its records may be gone since.
		if m.Partition(about).Verdict(v.A, v.B) == nil {
			return review.ErrUnknown
		}
		return nil
	}
	return d.publish(ctx, about, may, verdictChange(change.Delete, v))
}

// publish puts a change of a verdict on the bus, if it may be, and returns when it is loaded.
func (d *Desk) publish(ctx context.Context, about string, may func(*identity.Matching) error, c change.Change) error {
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	w, err := d.opt.Bus.ChangesWriter(ctx, d.opt.Bus.ChangesSubject(contract.OwnDepartment, contract.Verdicts))
	if err != nil {
		return err
	}
	for {
		last, _ := w.Last()
		if err := d.opt.Loaded(ctx, last); err != nil {
			return err
		}
		if err := d.look(ctx, about, may); err != nil {
			return err
		}
		sequence, err := publishOwn(ctx, w, contract.Verdicts, verdictColumns, c)
		switch {
		case errors.Is(err, bus.ErrFenced): // somebody else decided meanwhile: perhaps about these two
			if err := w.Reload(ctx); err != nil {
				return err
			}
		case err != nil:
			return err
		default:
			return d.opt.Loaded(ctx, sequence)
		}
	}
}

var verdictColumns = []string{"party", "record_a", "record_b", "verdict", "reviewer", "decided_at", "reason"}

// verdictChange is what the bus is told. A deletion says who took the verdict back.
func verdictChange(op change.Op, v review.Verdict) change.Change {
	a, b := v.A.String(), v.B.String()
	c := change.Change{
		Op: op, Key: strings.Join([]string{v.About, a, b}, change.KeySeparator), Row: 1, Time: v.At,
		Values: []string{v.About, a, b, v.Decision, v.Reviewer, v.At.UTC().Format(time.RFC3339), v.Reason},
		Null:   make([]bool, len(verdictColumns)),
	}
	c.Null[3], c.Null[6] = v.Decision == "", v.Reason == ""
	return c
}

// publishOwn publishes changes of one of Shire's own datasets as one message.
func publishOwn(ctx context.Context, w *bus.Writer, dataset string, columns []string, changes ...change.Change) (uint64, error) {
	b := change.NewBuilder(contract.OwnDepartment, contract.OwnDepartment, dataset, dataset, columns)
	defer b.Release()
	for _, c := range changes {
		b.Append(c)
	}
	batch := b.Build()
	defer batch.Record.Release()
	data, err := batch.Encode()
	if err != nil {
		return 0, err
	}
	h := nats.Header{}
	h.Set(bus.HeaderRows, strconv.Itoa(len(changes)))
	return w.Publish(ctx, h, data)
}

// contradiction says which earlier verdicts rule a verdict out. Records go by their ids, which are pseudonyms (I7).
func contradiction(v review.Verdict, chain []review.Verdict) error {
	en, zh := make([]string, len(chain)), make([]string, len(chain))
	for i, c := range chain {
		day := c.At.Format(time.DateOnly)
		en[i] = fmt.Sprintf("%s and %s are %s (%s)", c.A, c.B, wordsOf[c.Decision].en, day)
		zh[i] = fmt.Sprintf("%s 与 %s 为%s（%s）", c.A, c.B, wordsOf[c.Decision].zh, day)
	}
	return &review.Contradiction{
		Message: fmt.Sprintf("the two cannot be %s while these verdicts stand: %s; withdraw one of them first", wordsOf[v.Decision].en, strings.Join(en, "; ")),
		ZH:      fmt.Sprintf("以下结论有效时，不能判定为%s：%s。请先撤回其中一项。", wordsOf[v.Decision].zh, strings.Join(zh, "；")),
	}
}

var wordsOf = map[string]struct{ en, zh string }{
	review.Same: {"the same", "同一主体"}, review.Different: {"different", "不同主体"}, review.Unsure: {"unsure", "不能确定"},
}
