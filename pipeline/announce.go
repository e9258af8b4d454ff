package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/identity"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// LinkEvent tells that a record belongs to another person or organisation: a CloudEvent. A message of the stream IDENTITY
// is a batch of them.
type LinkEvent struct {
	SpecVersion string    `json:"specversion"`
	ID          string    `json:"id"` // the record, and the place in the stream of the change: the same however often it is told
	Type        string    `json:"type"`
	Source      string    `json:"source"`
	Time        time.Time `json:"time"`
	Data        LinkData  `json:"data"`
}

// LinkData is what a LinkEvent tells. Nothing in it is personal (I7).
type LinkData struct {
	About    string        `json:"about"`
	Record   pseudonym.ID  `json:"record"`
	Previous pseudonym.ID  `json:"previous"`
	Party    pseudonym.ID  `json:"party"`
	Rule     string        `json:"rule"`
	Weight   *float64      `json:"weight,omitempty"` // bits
	A        *pseudonym.ID `json:"record_a,omitempty"`
	B        *pseudonym.ID `json:"record_b,omitempty"`
	Model    string        `json:"model"`
}

// mostEvents is how many events one message holds: well below what the bus takes.
const mostEvents = 4000

// announce tells subscribers of the range's merges and splits. Each message names the range and its place in it, so that a
// replay knows what was published (I2, I3).
func (f *Flow) announce(ctx context.Context, s *span) error {
	if len(s.links) == 0 {
		return nil
	}
	w, err := f.opt.Bus.LinksWriter(ctx)
	if err != nil {
		return err
	}
	for part, links := 0, s.links; len(links) > 0; part++ {
		n := min(mostEvents, len(links))
		if err := publishLinks(ctx, w, fmt.Sprintf("%020d-%020d/%06d", s.First, s.Last, part), links[:n]); err != nil {
			return err
		}
		links = links[n:]
	}
	return nil
}

func publishLinks(ctx context.Context, w *bus.Writer, mark string, links []identity.Link) error {
	if _, header := w.Last(); header.Get(bus.HeaderRange) >= mark {
		return nil // published before the process was stopped
	}
	events := make([]LinkEvent, len(links))
	for i, l := range links {
		events[i] = LinkEvent{
			SpecVersion: "1.0", ID: fmt.Sprintf("%s@%d", l.Record, l.At), Type: "shire.identity." + l.Kind, Source: "shire/identity", Time: l.Time,
			Data: LinkData{About: l.About, Record: l.Record, Previous: l.Previous, Party: l.Party, Rule: l.Rule, Model: l.Model},
		}
		if l.Weighed {
			bits := float64(l.Weight) / 1000
			events[i].Data.Weight = &bits
		}
		if !l.A.IsZero() {
			events[i].Data.A, events[i].Data.B = &links[i].A, &links[i].B
		}
	}
	data, err := json.Marshal(events)
	if err != nil {
		return fmt.Errorf("tell of merges and splits: %w", err)
	}
	h := nats.Header{}
	h.Set(bus.HeaderRange, mark)
	h.Set(bus.HeaderLast, mark)
	h.Set(bus.HeaderRows, strconv.Itoa(len(events)))
	h.Set("content-type", "application/cloudevents-batch+json")
	_, err = w.Publish(ctx, h, data)
	return err
}
