package push

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
)

// Store keeps the events of departments.
type Store interface {
	// Put stores an event under a token that tells it from the others of its dataset. duplicate says that it is there
	// already; in either case it is safe when Put returns.
	Put(ctx context.Context, department, dataset, token string, header map[string][]string, data []byte) (duplicate bool, err error)
}

// DoorOptions are what [NewDoor] needs; all are required.
type DoorOptions struct {
	Sources   []county.Source // of every kind; those of kind push that have a secret get a webhook
	Contracts contract.Set
	Resolve   func(path string) string
	Store     Store
	Closed    func() error // why nothing is taken at present (a full disk); nil when it is
	Log       *slog.Logger
}

// Door is the webhook of all sources: POST with the source's name as the path value "source".
type Door struct {
	o       DoorOptions
	sources map[string]*entrance
	places  chan struct{} // I10: one for each request that is worked on
	now     func() time.Time
}

// entrance is one source's.
type entrance struct {
	name    string
	own     contract.Set
	secrets [][]byte
	places  chan struct{}
}

// The limits of a request (I10).
const (
	maxBody       = 8 << 20
	maxEvent      = 4 << 20
	maxEvents     = 10_000
	minSecret     = 32 // characters
	placesForAll  = 8
	placesForEach = 4 // one source must not keep the others out
	storeTimeout  = 20 * time.Second
)

// Path is where the door is, for a mux.
const Path = "/api/v1/push/{source}"

// NewDoor makes the webhook. The error says which secret cannot be used; it is an input error.
func NewDoor(o DoorOptions) (*Door, error) {
	d := &Door{o: o, sources: map[string]*entrance{}, places: make(chan struct{}, placesForAll), now: time.Now}
	owner := map[string]string{}
	for _, s := range o.Sources {
		if s.Kind != Kind {
			continue
		}
		own := contract.Set{}
		for _, name := range s.Datasets {
			own[name] = o.Contracts[name]
		}
		with, err := decodeSettings(connectors.Settings{Source: s, Contracts: own, Resolve: o.Resolve})
		if err != nil {
			return nil, err
		}
		if with.Secret == "" {
			continue
		}
		e := &entrance{name: s.Name, own: own, places: make(chan struct{}, placesForEach)}
		for key, secret := range map[string]county.Secret{"secret": with.Secret, "previous_secret": with.PreviousSecret} {
			if secret == "" {
				continue
			}
			text, err := secret.Reveal()
			switch {
			case err != nil:
				return nil, fmt.Errorf("source %s: with.%s cannot be read: %w", s.Name, key, err)
			case len(text) < minSecret:
				return nil, fmt.Errorf("source %s: with.%s has %d characters; make one of at least %d, such as: openssl rand -hex 32", s.Name, key, len(text), minSecret)
			case owner[text] != "" && owner[text] != s.Name:
				return nil, fmt.Errorf("sources %s and %s share a secret, so that one department could speak for the other; give each its own", owner[text], s.Name)
			}
			owner[text] = s.Name
			e.secrets = append(e.secrets, []byte(text))
		}
		d.sources[s.Name] = e
	}
	return d, nil
}

// Result is the answer to a request whose events are all safe.
type Result struct {
	Results []Taken `json:"results" jsonschema:"description=One for each event\\, in the order of the request"`
}

// Taken says what became of an event.
type Taken struct {
	ID    string `json:"id" jsonschema:"description=The event's id"`
	State string `json:"state" jsonschema:"enum=accepted,enum=duplicate,description=accepted: it is stored. duplicate: it was stored before"`
}

// ServeHTTP takes a request. It answers 200 when every event is safe (I1), and otherwise with a problem: of status 4xx when
// the same request will never be taken, else with the time to wait for. Nothing of a request is stored unless all of it
// can be used.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	taken, err := d.take(w, r)
	var all faults
	var f *fault
	switch {
	case errors.As(err, &all):
		refuse(w, r, all[0].fault, all...)
	case errors.As(err, &f):
		refuse(w, r, f)
	case err != nil:
		if r.Context().Err() == nil { // else the client went away
			d.o.Log.Error("the webhook cannot store what came in; the department sends it again", "source", r.PathValue("source"), "error", err)
		}
		refuse(w, r, later(faultf(http.StatusServiceUnavailable, codeUnavailable, "the events cannot be stored at the moment; send the whole request again", "暂时无法存储事件；请重新发送整个请求"), 5))
	default:
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		json.NewEncoder(w).Encode(Result{taken}) // a client that went away sends again
	}
}

// faults are those of a batch's events.
type faults []*placed

func (f faults) Error() string { return f[0].en }

// maxFaults bounds how many are told at once.
const maxFaults = 20

func (d *Door) take(w http.ResponseWriter, r *http.Request) ([]Taken, error) {
	e := d.sources[r.PathValue("source")]
	if e == nil {
		return nil, faultf(http.StatusNotFound, codeSource, "no source of this name has a webhook", "没有这个名称的数据源，或该数据源没有 webhook")
	}
	mode, err := modeOf(r.Header)
	if err != nil {
		return nil, err
	}
	signed, err := parseSignature(r.Header.Get(signatureHeader), d.now())
	if err != nil {
		return nil, err
	}
	if reason := d.o.Closed(); reason != nil {
		return nil, later(faultf(http.StatusServiceUnavailable, codeUnavailable, "the node takes nothing at present; its disk is nearly full", "节点磁盘空间不足，暂不接收数据"), 60)
	}
	for _, places := range []chan struct{}{e.places, d.places} {
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
		default:
			return nil, later(faultf(http.StatusTooManyRequests, codeBusy, "too many requests are under way; send this one again", "正在处理的请求过多；请稍后重新发送"), 1)
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			return nil, tooLarge("the request has more than 8 MiB; send fewer events at once", "请求超过 8 MiB；请减少每次发送的事件数")
		}
		return nil, faultf(http.StatusRequestTimeout, codeUnavailable, "the request did not arrive whole in time; send it again", "请求内容未能按时完整到达；请重新发送")
	}
	header := r.Header
	if mode != inHeaders {
		header = nil
	}
	if err := signed.verify(header, body, e.secrets); err != nil {
		return nil, err
	}
	letters, err := e.open(mode, header, body)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeTimeout)
	defer cancel()
	taken := make([]Taken, 0, len(letters))
	for _, l := range letters {
		duplicate, err := d.o.Store.Put(ctx, l.dataset.Department, l.dataset.Name, l.event.token(), l.header, l.data) // I1
		if err != nil {
			return nil, fmt.Errorf("event %d of %d: %w", len(taken), len(letters), err)
		}
		state := "accepted"
		if duplicate {
			state = "duplicate"
		}
		taken = append(taken, Taken{l.event.id, state})
	}
	return taken, nil
}

// mode is how a request holds its events.
type mode int

const (
	single mode = iota // one event, as JSON
	batch
	inHeaders // one event, its attributes in headers
)

func modeOf(header http.Header) (mode, error) {
	media, parameters, err := mime.ParseMediaType(header.Get("Content-Type"))
	charset := parameters["charset"]
	switch {
	case err != nil || header.Get("Content-Encoding") != "" || charset != "" && !strings.EqualFold(charset, "utf-8"):
	case media == "application/cloudevents+json":
		return single, nil
	case media == "application/cloudevents-batch+json":
		return batch, nil
	case binary(header) && media == "application/json":
		return inHeaders, nil
	}
	return 0, faultf(http.StatusUnsupportedMediaType, codeMediaType, "send application/cloudevents+json, application/cloudevents-batch+json, or application/json with ce- headers; in UTF-8 and not compressed",
		"请发送 application/cloudevents+json、application/cloudevents-batch+json，或带 ce- 请求头的 application/json；须为 UTF-8 且不压缩")
}

// letter is an event on its way into the inbox.
type letter struct {
	event   event
	dataset *contract.Dataset
	header  map[string][]string
	data    []byte
}

// open takes a request apart and proves that all of it can be used.
func (e *entrance) open(mode mode, header http.Header, body []byte) ([]letter, error) {
	switch mode {
	case inHeaders:
		own := map[string][]string{}
		for name, values := range header {
			if binaryHeader(name) {
				own[strings.ToLower(name)] = values[:1]
			}
		}
		l, err := e.letter(own, body)
		return []letter{l}, err
	case single:
		l, err := e.letter(nil, body)
		return []letter{l}, err
	}
	all, err := elements(body, maxEvents)
	if err != nil {
		return nil, err
	}
	letters := make([]letter, len(all))
	var wrong faults
	for i, text := range all {
		if letters[i], err = e.letter(nil, text); err == nil {
			continue
		}
		f := &fault{}
		errors.As(err, &f) // letter's errors are no others
		if wrong = append(wrong, &placed{f, i}); len(wrong) == maxFaults {
			break
		}
	}
	if wrong != nil {
		return nil, wrong
	}
	return letters, nil
}

// letter proves that an event can be used. The error is a *fault.
func (e *entrance) letter(header map[string][]string, data []byte) (letter, error) {
	if len(data) > maxEvent {
		return letter{}, tooLarge("the event has more than 4 MiB", "事件超过 4 MiB")
	}
	ev, err := decode(header, data)
	if err != nil {
		return letter{}, err
	}
	dataset, err := ev.use(e.own)
	if err != nil {
		return letter{}, err
	}
	return letter{ev, dataset, header, data}, nil
}
