package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/sharing"
)

// Exchange is where departments ask each other for data. What they do is a change like any other: it goes to the bus, and
// requests and grants are what the acts on it come to. Two processes may act at once; none overlooks what the other did, since
// each has read everything on the subject before it accepts an act, and the bus refuses it when something came in between (I2).
type Exchange struct {
	bus   *bus.Bus
	world func() sharing.World

	mu       sync.Mutex // one act, or one look at what is new, at a time
	through  uint64     // sequence of the last act that was read
	requests map[string]*sharing.Request
	acts     map[string][]Act
	listed   []*sharing.Request // requests by their numbers; nil when they have changed since

	looks sync.Mutex
	next  *look // that has not begun; nil when nobody waits for one
}

// look is a look at the bus for all who asked before it began.
type look struct {
	done     chan struct{}
	requests []*sharing.Request
	err      error
}

// Act is an act as it stands on the bus.
type Act struct {
	sharing.Event
	Number int    // among those of its request, from 1
	By     string // who acted, by name: for the two departments and the lead department alone (I7)
}

// NewExchange makes an exchange. world gives what requests are judged by, as it is at that moment.
func NewExchange(b *bus.Bus, world func() sharing.World) *Exchange {
	return &Exchange{bus: b, world: world, requests: map[string]*sharing.Request{}, acts: map[string][]Act{}}
}

func (x *Exchange) subject() string {
	return x.bus.ChangesSubject(contract.OwnDepartment, contract.Acts)
}

// catchUp reads the acts that are new on the bus. x.mu is held.
func (x *Exchange) catchUp(ctx context.Context) error {
	return takeNew(ctx, x.bus, x.subject(), &x.through, x.take)
}

// takeNew gives what is new on a subject to take, message after message. through is the last one that was taken.
func takeNew(ctx context.Context, b *bus.Bus, subject string, through *uint64, take func(*bus.Message) error) error {
	last, err := b.LastOn(ctx, subject)
	if err != nil || last <= *through {
		return err
	}
	r, err := b.ReadSubject(ctx, subject, *through+1)
	if err != nil {
		return err
	}
	defer r.Close()
	for *through < last {
		msg, err := r.Next(ctx, 30*time.Second)
		if err != nil {
			return fmt.Errorf("the acts on %s cannot be read: %w", subject, err)
		}
		if err := take(msg); err != nil {
			return err
		}
		*through = msg.Sequence
	}
	return nil
}

// take folds the acts of one message.
func (x *Exchange) take(msg *bus.Message) error {
	batch := read(msg)
	if batch == nil {
		return nil // whoever published it, it is no act; the flow has it in quarantine
	}
	defer batch.Record.Release()
	columns := batch.Columns()
	for i := range batch.Len() {
		value := func(name string) string {
			k := slices.Index(columns, name)
			if k < 0 {
				return ""
			}
			return strings.Clone(batch.Values(k).Value(i))
		}
		at, err := time.Parse(time.RFC3339Nano, value("acted_at"))
		number, err2 := strconv.Atoi(value("number"))
		a := Act{Number: number, By: value("acted_by"), Event: sharing.Event{Request: value("request"), Act: sharing.Act(value("act")), At: at,
			Department: value("department"), Reason: value("reason"), Ground: value("ground"), Owner: value("owner"), Type: value("sharing_type")}}
		if terms := value("terms"); terms != "" && err == nil {
			a.Terms = &sharing.Terms{}
			err = json.Unmarshal([]byte(terms), a.Terms)
		}
		had := x.requests[a.Request]
		if err := errors.Join(err, err2); err != nil || batch.Op(i) != change.Create || number != len(x.acts[a.Request])+1 || had == nil && (a.Act != sharing.Submit || a.Terms == nil) {
			return fmt.Errorf("message %d of the bus is no act of sharing that can follow those before it: somebody else writes to %s; find out who, and take the message off the bus: %w",
				msg.Sequence, x.subject(), errors.Join(err, errNoAct))
		}
		x.requests[a.Request] = sharing.Fold(had, a.Event)
		x.listed = nil
		x.acts[a.Request] = append(x.acts[a.Request], a)
	}
	return nil
}

var errNoAct = errors.New("not an act")

// Do does an act in somebody's name and returns the request after it. An act is never dated before the one it follows. The error is a *sharing.Refusal when it may not be done; then
// nothing was published.
func (x *Exchange) Do(ctx context.Context, e sharing.Event, by string) (*sharing.Request, error) {
	if by = strings.TrimSpace(by); by == "" || utf8.RuneCountInString(by) > 100 {
		return nil, &sharing.Refusal{Code: "no_name", Text: "whoever acts gives a name of at most 100 characters", Zh: "办理人须有姓名，不超过 100 个字"}
	}
	if e.Request == "" || len(e.Request) > 60 || utf8.RuneCountInString(e.Reason) > 2000 || utf8.RuneCountInString(e.Ground) > 2000 {
		return nil, &sharing.Refusal{Code: "too_long", Text: "the number of the request has at most 60 characters, reason and ground 2000 each", Zh: "申请编号不超过 60 个字符，理由和依据各不超过 2000 字"}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	w, err := x.bus.ChangesWriter(ctx, x.subject())
	if err != nil {
		return nil, err
	}
	for {
		if err := x.catchUp(ctx); err != nil {
			return nil, err
		}
		if last, _ := w.Last(); last != x.through {
			if err := w.Reload(ctx); err != nil {
				return nil, err
			}
			if last, _ := w.Last(); last != x.through {
				continue // an act came between the two looks
			}
		}
		had := x.requests[e.Request]
		if had != nil && e.At.Before(had.Since) {
			e.At = had.Since // the clocks of two machines differ; the order is that of the bus
		}
		accepted, err := x.world().Accept(had, e)
		if err != nil {
			return nil, err
		}
		a := Act{Event: accepted, Number: len(x.acts[e.Request]) + 1, By: by}
		c, err := actChange(a)
		if err != nil {
			return nil, err
		}
		_, err = publishOwn(ctx, w, contract.Acts, actColumns, c)
		switch {
		case errors.Is(err, bus.ErrFenced): // somebody else acted meanwhile: perhaps on this request
			if err := w.Reload(ctx); err != nil {
				return nil, err
			}
		case err != nil:
			return nil, err
		default:
			if err := x.catchUp(ctx); err != nil {
				return nil, err
			}
			return x.requests[e.Request], nil
		}
	}
}

var actColumns = []string{"request", "number", "act", "acted_at", "department", "acted_by", "shared_dataset", "owner", "sharing_type", "terms", "reason", "ground"}

func actChange(a Act) (change.Change, error) {
	number, terms, dataset := strconv.Itoa(a.Number), "", ""
	if a.Terms != nil {
		text, err := json.Marshal(a.Terms)
		if err != nil {
			return change.Change{}, fmt.Errorf("write the terms of a request: %w", err)
		}
		terms, dataset = string(text), a.Terms.Dataset
	}
	c := change.Change{Op: change.Create, Key: a.Request + change.KeySeparator + number, Row: 1, Time: a.At,
		Values: []string{a.Request, number, string(a.Act), a.At.UTC().Format(time.RFC3339Nano), a.Department, a.By, dataset, a.Owner, a.Type, terms, a.Reason, a.Ground}}
	c.Null = make([]bool, len(c.Values))
	for i, v := range c.Values {
		c.Null[i] = v == ""
	}
	return c, nil
}

// lookTimeout bounds one look at the bus: somebody waits at a counter.
const lookTimeout = 5 * time.Second

// Requests are all requests as they stand at this moment, by their numbers: every act that was on the bus when it was called counts,
// whoever did it, so that a grant that was revoked a moment ago is revoked (I8). Those who ask while a look is under way share the
// next one, which begins after all of them have asked. What it returns is not to be changed.
func (x *Exchange) Requests(ctx context.Context) ([]*sharing.Request, error) {
	x.looks.Lock()
	l := x.next
	if l == nil {
		l = &look{done: make(chan struct{})}
		x.next = l
		go x.look(l)
	}
	x.looks.Unlock()
	select {
	case <-l.done:
		return l.requests, l.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (x *Exchange) look(l *look) {
	defer close(l.done)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.looks.Lock()
	x.next = nil // who asks from here on asks for a later one: the bus is about to be asked
	x.looks.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
	defer cancel()
	if l.err = x.catchUp(ctx); l.err != nil {
		return
	}
	if x.listed == nil {
		x.listed = make([]*sharing.Request, 0, len(x.requests))
		for _, id := range slices.Sorted(maps.Keys(x.requests)) {
			x.listed = append(x.listed, x.requests[id])
		}
	}
	l.requests = x.listed
}

// Acts are the acts of a request in their order; none when there is no such request.
func (x *Exchange) Acts(ctx context.Context, request string) ([]Act, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.catchUp(ctx); err != nil {
		return nil, err
	}
	return slices.Clone(x.acts[request]), nil
}
