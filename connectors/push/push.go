// Package push takes what departments send by themselves: by webhook ([Door]) or by publishing to NATS as a user of their
// own ([Access]). Either way the events wait in the department's inbox, a stream on the bus, from which the connector
// reads them in order.
//
// An event is a CloudEvent (event.go) and says one change. The webhook refuses what can never be used, with the reason.
// Who publishes to NATS cannot be told; there the connector lets it go on to quarantine (I4).
//
// # How it fails
//
//   - Any process dies: the webhook has answered for what is in the inbox alone (I1), and the connector resumes behind the
//     last change on the bus (I2). A department that got no answer sends again; the inbox refuses what it has.
//   - The inbox is lost, or its newest part: the position does not fit any more, which is told; reading goes on with what
//     came in after the position's time.
package push

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
)

// Kind is what county.yaml calls it.
const Kind = "push"

func init() { connectors.Register(Kind, New) }

// Connector reads the datasets of one source from the department's inbox.
type Connector struct {
	connectors.Settings
	settings settings
	now      func() time.Time
}

var _ connectors.Connector = (*Connector)(nil)

// New makes the connector of a source of kind push. The error is document.Problems.
func New(s connectors.Settings) (connectors.Connector, error) {
	parsed, err := decodeSettings(s)
	if err != nil {
		return nil, err
	}
	return &Connector{Settings: s, settings: parsed, now: time.Now}, nil
}

// forgetEvery is how often a run that follows looks for what need not be kept any longer.
const forgetEvery = time.Hour

// Run implements connectors.Connector. Datasets have no order among each other.
func (c *Connector) Run(ctx context.Context, out connectors.Outlet, follow bool) error {
	if c.Inbox == nil {
		return fmt.Errorf("source %s: there is no inbox to read from", c.Source.Name)
	}
	all, running := errgroup.WithContext(ctx)
	for _, name := range c.Contracts.Names() {
		r := &reading{Connector: c, out: out, dataset: c.Contracts[name]}
		all.Go(func() error {
			err := r.run(running, follow)
			if follow && ctx.Err() != nil {
				return nil // what is not safe yet is in the inbox
			}
			if err != nil {
				return fmt.Errorf("source %s, dataset %s: %w", c.Source.Name, name, err)
			}
			return nil
		})
	}
	return all.Wait()
}

// reading is one run over one dataset.
type reading struct {
	*Connector
	out     connectors.Outlet
	dataset *contract.Dataset

	inbox   string   // its identity
	columns []string // of the change before
	keyer   *connectors.Keyer
	forgot  time.Time
}

func (r *reading) run(ctx context.Context, follow bool) error {
	start, err := r.begin(ctx)
	if err != nil {
		return err
	}
	err = r.Inbox.Read(ctx, r.dataset.Name, start, follow, func(m connectors.InboxMessage) error { return r.take(ctx, m) })
	if err != nil || follow {
		return err
	}
	if err := r.out.Flush(ctx); err != nil {
		return err
	}
	return r.forget(ctx)
}

// begin finds where reading goes on, and whether the inbox is the one that it was (I2).
func (r *reading) begin(ctx context.Context) (connectors.InboxStart, error) {
	r.forgot = r.now()
	var none connectors.InboxStart
	p, err := r.out.Resume(ctx, r.dataset.Name)
	if err != nil {
		return none, fmt.Errorf("find where to resume: %w", err)
	}
	state, err := r.Inbox.State(ctx)
	if err != nil {
		return none, err
	}
	r.inbox = state.ID
	at, ok := parsePosition(p)
	switch {
	case p == "":
		return none, nil
	case !ok:
		// Another kind of connector delivered the dataset before.
		return none, nil
	case at.inbox != state.ID:
		r.tell("inbox_replaced", fmt.Sprintf("the inbox was made anew after %s: what it held and was not read yet is lost; have the department send again what it sent since then, which does no harm where nothing was lost",
			at.stored.UTC().Format(time.RFC3339)))
		return none, nil
	}
	stored, err := r.Inbox.StoredAt(ctx, at.sequence)
	if err != nil {
		return none, err
	}
	if state.Last < at.sequence || !stored.IsZero() && !stored.Equal(at.stored) {
		r.tell("inbox_cut_off", fmt.Sprintf("the inbox has lost its newest part, from before %s on: what came in until it was started again and was not read yet is lost; have the department send again what it sent around that time, which does no harm where nothing was lost",
			at.stored.UTC().Format(time.RFC3339)))
		// Sequences are given anew; times are not.
		return connectors.InboxStart{BehindTime: at.stored}, nil
	}
	return connectors.InboxStart{Behind: at.sequence}, nil
}

func (r *reading) tell(problem, message string) {
	r.Notify(connectors.Event{Source: r.Source.Name, Dataset: r.dataset.Name, Problem: problem, Message: message})
}

// take appends one event's change.
func (r *reading) take(ctx context.Context, m connectors.InboxMessage) error {
	c, columns := r.change(m)
	c.Row, c.Position = int64(m.Sequence), position{r.inbox, m.Sequence, m.Stored}.String()
	if err := r.out.Append(ctx, r.dataset.Name, Kind, columns, c); err != nil {
		return err
	}
	if r.now().Sub(r.forgot) < forgetEvery {
		return nil
	}
	return r.forget(ctx)
}

// rawLimit bounds the text of an unusable event that goes to quarantine.
const rawLimit = 64 << 10

// raw is an event as it stood, its attributes before its data.
func raw(m connectors.InboxMessage) string {
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(m.Header)) {
		if binaryHeader(name) {
			text.WriteString(name + ": " + strings.Join(m.Header[name], ", ") + "\n")
		}
	}
	text.Write(m.Data[:min(len(m.Data), rawLimit)])
	return strings.ToValidUTF8(text.String()[:min(text.Len(), rawLimit)], "\uFFFD")
}

// change is what an event says, or why it cannot be told.
func (r *reading) change(m connectors.InboxMessage) (change.Change, []string) {
	e, err := decode(m.Header, m.Data)
	if err == nil {
		var c change.Change
		if c, err = r.read(e); err == nil {
			return c, r.columns
		}
	}
	return change.Change{Op: change.Malformed, Time: e.time, Problem: err.Error(), Raw: raw(m)}, r.columns
}

func (r *reading) read(e event) (change.Change, error) {
	if e.dataset != "" && e.dataset != r.dataset.Name {
		return change.Change{}, unusable("the attribute dataset names another dataset than the subject does", "属性 dataset 与发布主题中的数据集不一致")
	}
	row, err := e.row(r.dataset)
	if err != nil {
		return change.Change{}, err
	}
	if r.keyer == nil || !slices.Equal(r.columns, row.columns) {
		keyer, err := connectors.NewKeyer(r.dataset, row.columns)
		if err != nil {
			return change.Change{}, keyFault(r.dataset)
		}
		r.keyer, r.columns = keyer, row.columns
	}
	key, err := e.key(r.keyer, row)
	if err != nil {
		return change.Change{}, err
	}
	return change.Change{Op: e.op, Key: key, Time: e.time, Values: row.values, Null: row.null}, nil
}

// forget removes from the inbox what was read, is safe, and has been kept for long enough.
func (r *reading) forget(ctx context.Context) error {
	r.forgot = r.now()
	// I1: only what is safe on the bus goes.
	at, ok := parsePosition(r.out.Safe(r.dataset.Name))
	if !ok || at.inbox != r.inbox {
		return nil
	}
	return r.Inbox.Forget(ctx, r.dataset.Name, at.sequence, r.now().Add(-r.settings.Keep))
}
