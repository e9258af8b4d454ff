package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Mark is how far the ledger says that the loads are finished.
type Mark struct {
	Through uint64 `json:"through"` // every message of CHANGES up to here is loaded
	Entry   uint64 `json:"entry"`   // the range entry of LEDGER that was finished last
}

// Done reads the mark as it stands now.
func (b *Bus) Done(ctx context.Context) (Mark, error) {
	d, err := b.lastDone(ctx)
	return Mark(d), err
}

// Rewind has the ledger say that no more than the mark is finished, as is true when the warehouse is from that moment: the
// ranges that were recorded since are loaded again, as recorded (I3). No flow may run meanwhile.
func (b *Bus) Rewind(ctx context.Context, m Mark) error {
	now, err := b.Done(ctx)
	if err != nil {
		return err
	}
	if now == m {
		return nil
	}
	if now.Through < m.Through {
		return fmt.Errorf("the ledger has loads finished up to message %d only, and the warehouse is from a later moment, message %d", now.Through, m.Through)
	}
	done, err := b.writer(ctx, b.ledger, "ledger."+b.opt.County+".done")
	if err != nil {
		return err
	}
	data, err := json.Marshal(doneEntry(m))
	if err != nil {
		return fmt.Errorf("rewind the ledger: %w", err)
	}
	header := nats.Header{}
	header.Set(HeaderLast, fmt.Sprint(m.Through))
	_, err = done.Publish(ctx, header, data)
	return err
}

// Counties are the division codes of the counties whose loads are in the ledger.
func (b *Bus) Counties(ctx context.Context) ([]string, error) {
	stream, err := b.js.Stream(ctx, Ledger)
	if err != nil {
		return nil, fmt.Errorf("the stream %s cannot be read: %w", Ledger, err)
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter("ledger.*.range"))
	if err != nil {
		return nil, fmt.Errorf("the stream %s does not answer: %w", Ledger, err)
	}
	var out []string
	for subject := range info.State.Subjects {
		out = append(out, strings.Split(subject, ".")[1])
	}
	slices.Sort(out)
	return out, nil
}
