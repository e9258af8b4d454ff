package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// anySequence asks for no fence.
const anySequence = ^uint64(0)

// state signs a statement and writes it. It follows the given message of the subject, or any.
func (l *Log) state(ctx context.Context, s Statement, follows uint64) error {
	s.County, s.Time = l.options.County, time.Now()
	s, err := s.signed(l.options.Key)
	if err != nil {
		return err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	options := []jetstream.PublishOpt{jetstream.WithRetryAttempts(0)}
	if follows != anySequence {
		options = append(options, jetstream.WithExpectLastSequencePerSubject(follows))
	}
	if _, err := l.js.PublishMsg(ctx, &nats.Msg{Subject: signedSubject(l.options.County), Data: text}, options...); err != nil {
		return fmt.Errorf("a signed statement cannot be written to the audit log: %w", err)
	}
	if l.options.HandOut != "" {
		if err := s.handOut(l.options.HandOut); err != nil {
			l.options.Log.Warn("a checkpoint of the audit log could not be handed out; the next one is tried again", "error", err)
		}
	}
	return nil
}

// newestCheckpoint is how far the chain was signed.
func (l *Log) newestCheckpoint(ctx context.Context) (Place, error) {
	msg, err := l.stream.GetLastMsgForSubject(ctx, signedSubject(l.options.County))
	if err != nil {
		return Place{}, fmt.Errorf("the newest checkpoint of the audit log cannot be read: %w", err)
	}
	s, err := parseStatement(msg.Data)
	if err != nil || s.Kind == Cut {
		return l.begin, nil // then one too many is made
	}
	return Place{s.Sequence, s.Hash}, nil
}

// tell writes a checkpoint of the chain's end. One that fails is made up for by the next: nobody waits for it.
func (l *Log) tell(ctx context.Context) {
	if err := l.checkpoint(ctx); err != nil {
		l.options.Log.Warn("the audit log could not be signed; it is tried again", "error", err)
	}
}

// checkpoint writes one unless there is one of this end.
func (l *Log) checkpoint(ctx context.Context) error {
	if l.end == l.told {
		return nil
	}
	s := Statement{Kind: Checkpoint, Sequence: l.end.Sequence, Hash: l.end.Hash, Count: l.end.Sequence - l.begin.Sequence}
	if err := l.state(ctx, s, anySequence); err != nil {
		return err
	}
	l.told = l.end
	return nil
}

// Checkpoint signs how far the chain has come, unless that is signed already.
func (l *Log) Checkpoint(ctx context.Context) error {
	l.writer.Lock()
	defer l.writer.Unlock()
	l.known = false // others write too
	if err := l.find(ctx); err != nil {
		return err
	}
	return l.checkpoint(ctx)
}

// HandOut makes a checkpoint and appends the newest one to a file, for somebody else to keep: what is cut off the log's end
// behind it shows by it.
func (l *Log) HandOut(ctx context.Context, file string) (Statement, error) {
	if err := l.Checkpoint(ctx); err != nil {
		return Statement{}, err
	}
	var newest *Statement
	err := l.eachStatement(ctx, func(text []byte) error {
		if s, err := parseStatement(text); err == nil && s.Kind != Cut && (newest == nil || s.Sequence >= newest.Sequence) {
			newest = &s
		}
		return nil
	})
	if err == nil && newest == nil {
		err = errors.New("the audit log has no checkpoint")
	}
	if err != nil {
		return Statement{}, err
	}
	if err := newest.handOut(file); err != nil {
		return Statement{}, fmt.Errorf("the checkpoint cannot be written to %s: %w", file, err)
	}
	return *newest, nil
}

// stopTimeout bounds the last checkpoint.
const stopTimeout = 2 * time.Second

// Run makes a checkpoint every CheckpointEvery and a last one when ctx ends.
func (l *Log) Run(ctx context.Context) error {
	timer := time.NewTicker(l.options.CheckpointEvery)
	defer timer.Stop()
	for {
		last := false
		select {
		case <-ctx.Done():
			last = true
		case <-timer.C:
		}
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		err := l.Checkpoint(late)
		cancel()
		if err != nil {
			l.options.Log.Warn("the audit log could not be signed; it is tried again", "error", err)
		}
		if last {
			return nil
		}
	}
}
