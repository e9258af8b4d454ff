package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/shirecounty/shire/portal"
)

// A running node answers other shire processes of this machine over its own bus: they ask, it does, because its
// connectors hold the sources' positions.

const (
	askLoad      = "load"
	askStatus    = "status"
	askReconcile = "reconcile"
)

func controlSubject(division, ask string) string { return "control." + division + "." + ask }

type loadRequest struct {
	Sources []string `json:"sources"`
}

// reply is what comes back: a result, or a sentence on why there is none.
type reply struct {
	Result json.RawMessage `json:"result,omitempty"`
	Error  string          `json:"error,omitempty"`
}

// serveControl answers until the returned function is called.
func serveControl(n *node, h *health) (stop func(), err error) {
	ctx, cancel := context.WithCancel(context.Background())
	answers := map[string]func(data []byte) (any, error){
		askLoad: func(data []byte) (any, error) {
			var r loadRequest
			if err := json.Unmarshal(data, &r); err != nil {
				return nil, err
			}
			if err := knownSources(n.setup, r.Sources); err != nil {
				return nil, fmt.Errorf("the running node: %w", err)
			}
			began := time.Now()
			l, err := n.loadSources(ctx, n.chosen(r.Sources), nil)
			if err == nil {
				err = n.prepare(ctx)
			}
			if err == nil {
				l.Seconds = time.Since(began).Seconds()
			}
			return l, err
		},
		askStatus:    func([]byte) (any, error) { return h.Status(ctx) },
		askReconcile: func(data []byte) (any, error) { return n.answerReconcile(ctx, data) },
		askClients:   h.answerClients,
		askKeys:      func([]byte) (any, error) { return n.answerKeys(ctx) },
		askReseal:    func([]byte) (any, error) { return n.answerReseal(ctx) },
		askDrop:      func(data []byte) (any, error) { return n.answerDrop(ctx, data) },
		askLift:      func(data []byte) (any, error) { return h.answerLift(ctx, data) },
	}
	var subscriptions []*nats.Subscription
	stop = func() {
		cancel()
		for _, s := range subscriptions {
			if err := s.Unsubscribe(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
				slog.Debug("a control subject could not be left", "error", err)
			}
		}
	}
	for ask, answer := range answers {
		s, err := n.engines.nc.Subscribe(controlSubject(n.config.County.Division, ask), func(m *nats.Msg) {
			go func() { // a load takes long, and status has to be answered meanwhile
				if err := m.Respond(encodeReply(answer(m.Data))); err != nil {
					slog.Warn("a control request could not be answered", "error", err)
				}
			}()
		})
		if err != nil {
			stop()
			return nil, fmt.Errorf("listen for control requests: %w", err)
		}
		subscriptions = append(subscriptions, s)
	}
	return stop, nil
}

func encodeReply(result any, err error) []byte {
	var r reply
	if err != nil {
		r.Error = err.Error()
	} else if r.Result, err = json.Marshal(result); err != nil {
		r.Error = err.Error()
	}
	data, err := json.Marshal(r)
	if err != nil {
		return []byte(`{"error":"the answer cannot be encoded"}`)
	}
	return data
}

// ask sends a request to the node that runs on the data directory and decodes its answer.
func (a *app) ask(ctx context.Context, s *setup, what string, request, result any) error {
	e, _, err := a.attach(s)
	if err != nil {
		return err
	}
	defer e.stop()
	return a.askOver(ctx, s, e, what, request, result)
}

// askOver sends a request to the node that serves the county on a bus.
func (a *app) askOver(ctx context.Context, s *setup, e *engines, what string, request, result any) error {
	data, err := json.Marshal(request)
	if err != nil {
		return err
	}
	msg, err := e.nc.RequestWithContext(ctx, controlSubject(s.config.County.Division, what), data)
	if errors.Is(err, nats.ErrNoResponders) {
		return inputf("the process that uses %s is not a running platform of county %s (it may be another load); try again when it has ended", a.data, s.config.County.Division)
	}
	if err != nil {
		return fmt.Errorf("the running node did not answer: %w", err)
	}
	var r reply
	if err := json.Unmarshal(msg.Data, &r); err != nil {
		return fmt.Errorf("the running node's answer cannot be read: %w", err)
	}
	if r.Error != "" {
		return errors.New(r.Error)
	}
	return json.Unmarshal(r.Result, result)
}

// loadByRunning lets the running node load.
func (a *app) loadByRunning(ctx context.Context, s *setup, names []string) error {
	a.say("a node runs on %s; it loads", a.data)
	var l loaded
	if err := a.ask(ctx, s, askLoad, loadRequest{Sources: names}, &l); err != nil {
		return err
	}
	return a.reportLoad(&l)
}

// statusByRunning asks the running node.
func (a *app) statusByRunning(ctx context.Context, s *setup) (portal.Status, error) {
	var st portal.Status
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err := a.ask(ctx, s, askStatus, struct{}{}, &st)
	return st, err
}
