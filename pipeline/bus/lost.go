package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
)

// HeaderLost stands on a message that takes the place of one which the bus has lost.
const HeaderLost = "Shire-Lost"

// lostDataset is what such messages belong to. They carry no change, so nothing of it is ever loaded.
const lostDataset = "lost_messages"

// IsLost tells whether the message takes the place of a lost one.
func (m *Message) IsLost() bool { return m.Header.Get(HeaderLost) != "" }

// MakeUp finds out whether the bus has lost its end, though it had acknowledged it, as a machine that loses its power may.
// loaded is the last message that the warehouse knows of. New messages would take the sequences of lost ones, which are
// the versions of rows, and disappear behind what the warehouse has (I4); so messages without changes are put in their
// place, up to the later of loaded and the last recorded range, and one at least, so that the gap ends with such a message. It returns how many messages were lost, as far as anybody
// knows of them.
func (b *Bus) MakeUp(ctx context.Context, loaded uint64) (lost uint64, err error) {
	info, err := b.changes.Info(ctx)
	if err != nil {
		return 0, fmt.Errorf("the stream %s does not answer: %w", Changes, err)
	}
	through, err := b.recordedThrough(ctx)
	if err != nil {
		return 0, err
	}
	through = max(through, loaded)
	last := info.State.LastSeq
	// Where the server has kept how far it was, the lost messages are a gap at the end; one message behind it ends it.
	for at := last; at >= max(info.State.FirstSeq, 1) && at > 0; at-- {
		if _, err := b.changes.GetMsg(ctx, at); err == nil {
			break
		} else if !errors.Is(err, jetstream.ErrMsgNotFound) {
			return 0, fmt.Errorf("message %d of %s cannot be read: %w", at, Changes, err)
		}
		lost++
	}
	if info.State.Msgs == 0 && last > 0 {
		lost = last // nothing is left, so the stream begins behind its end
	}
	if lost > 0 {
		through = max(through, last+1)
	}
	if last >= through {
		return 0, nil
	}
	empty := change.NewBuilder("shire", contract.OwnDepartment, lostDataset, "", nil)
	defer empty.Release()
	batch := empty.Build()
	defer batch.Record.Release()
	data, err := batch.Encode()
	if err != nil {
		return 0, err
	}
	w, err := b.ChangesWriter(ctx, b.ChangesSubject(contract.OwnDepartment, lostDataset))
	if err != nil {
		return 0, err
	}
	if lost == 0 {
		lost = through - last
	}
	for at := last; at < through; {
		header := nats.Header{}
		header.Set(HeaderLost, "1")
		header.Set(HeaderRows, "0")
		if at, err = w.Publish(ctx, header, data); err != nil {
			return lost, err
		}
	}
	return lost, nil
}

// recordedThrough is the last message of the last recorded range.
func (b *Bus) recordedThrough(ctx context.Context) (uint64, error) {
	ranges, err := b.writer(ctx, b.ledger, "ledger."+b.opt.County+".range")
	if err != nil {
		return 0, err
	}
	_, header := ranges.Last()
	if header == nil {
		return 0, nil
	}
	return strconv.ParseUint(header.Get(HeaderLast), 10, 64)
}
