package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/shirecounty/shire/schemas/change"
)

// shapes is the bucket of the shapes that were accepted.
const shapes = "SHAPES"

// Shape is what is known of the columns of a dataset's source. It is kept on the bus, so that a source that was changed
// while nobody looked is found to be changed by whoever looks next.
type Shape struct {
	Columns map[string]string `json:"columns,omitempty"` // that were accepted, with their types; "" where the source tells none
	Drift   []Drifted         `json:"drift,omitempty"`   // that somebody should look at
}

// Drifted is a drift, and what came of it.
type Drifted struct {
	change.Drift
	Reaction string    `json:"reaction"` // evolve, freeze, quarantine
	Since    time.Time `json:"since"`
	Contract string    `json:"contract"` // hash of the contract that asked for it
}

// Shape is the shape of a dataset; the zero value when none was kept.
func (b *Bus) Shape(ctx context.Context, dataset string) (Shape, error) {
	var s Shape
	entry, err := b.shapes.Get(ctx, b.shapeKey(dataset))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(entry.Value(), &s)
	}
	if err != nil {
		return s, fmt.Errorf("the columns that were accepted for %s cannot be read: %w", dataset, err)
	}
	return s, nil
}

// KeepShape keeps the shape of a dataset. Whoever reads the source does, and nobody else. Like Publish, it tries again while
// the server does not answer, until ctx ends.
func (b *Bus) KeepShape(ctx context.Context, dataset string, s Shape) error {
	data, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("the columns of %s cannot be kept: %w", dataset, err)
	}
	for backoff := 50 * time.Millisecond; ; backoff = min(2*backoff, 5*time.Second) {
		if _, err = b.shapes.Put(ctx, b.shapeKey(dataset), data); err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("the columns of %s cannot be kept: %w", dataset, ctx.Err())
		}
		if final(err) {
			return fmt.Errorf("the columns of %s cannot be kept: %w", dataset, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(backoff):
		}
	}
}

func (b *Bus) shapeKey(dataset string) string { return b.opt.County + "." + dataset }
