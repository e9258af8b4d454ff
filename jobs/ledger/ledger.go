// Package ledger keeps the ledger of jobs on JetStream: entries in a key-value bucket, runs and what they print in two
// streams that are bounded by age, number and size.
package ledger

import (
	"context"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shirecounty/shire/jobs"
)

// Names of the bucket and the streams.
const (
	Bucket = "JOBS"
	Runs   = "RUNS"
	Output = "RUN_OUTPUT"
)

// What is kept, at most (I10): the history of years is in the warehouse, in ops.runs.
const (
	keepRuns   = 400 * 24 * time.Hour
	keepOutput = 30 * 24 * time.Hour
	// runsOfJob is how many runs of one job are kept; when a job has half as many again, the oldest go.
	runsOfJob   = 1000
	bytesRuns   = 512 << 20
	bytesOutput = 256 << 20
)

// Options of a ledger.
type Options struct {
	County   string // division code
	Replicas int
}

// Ledger is a county's ledger of jobs.
type Ledger struct {
	js      jetstream.JetStream
	opt     Options
	entries jetstream.KeyValue
	runs    jetstream.Stream
	output  jetstream.Stream
}

var _ jobs.Ledger = (*Ledger)(nil)

// Open makes what is missing and connects to it.
func Open(ctx context.Context, nc *nats.Conn, opt Options) (*Ledger, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("JetStream is not usable: %w", err)
	}
	l := &Ledger{js: js, opt: opt}
	l.entries, err = js.KeyValue(ctx, Bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		l.entries, err = js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: Bucket, Description: "jobs: when each was decided, what waits and runs", Replicas: opt.Replicas, History: 1})
	}
	if err != nil {
		return nil, fmt.Errorf("the bucket %s cannot be opened: %w", Bucket, err)
	}
	for _, s := range []struct {
		stream   *jetstream.Stream
		name     string
		subject  string
		age      time.Duration
		bytes    int64
		ofOneRun int64
	}{
		{&l.runs, Runs, "runs.>", keepRuns, bytesRuns, 1},
		{&l.output, Output, "run_output.>", keepOutput, bytesOutput, -1},
	} {
		*s.stream, err = js.Stream(ctx, s.name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			*s.stream, err = js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
				Name: s.name, Subjects: []string{s.subject}, Retention: jetstream.LimitsPolicy, Storage: jetstream.FileStorage, Discard: jetstream.DiscardOld,
				Replicas: opt.Replicas, MaxAge: s.age, MaxBytes: s.bytes, MaxMsgsPerSubject: s.ofOneRun, AllowDirect: true,
			})
		}
		if err != nil {
			return nil, fmt.Errorf("the stream %s cannot be opened: %w", s.name, err)
		}
	}
	if err := l.entries.PurgeDeletes(ctx, jetstream.DeleteMarkersOlderThan(time.Hour)); err != nil {
		return nil, fmt.Errorf("the bucket %s cannot be tidied: %w", Bucket, err)
	}
	return l, nil
}

// key is an entry's name in the bucket, which counties share.
func (l *Ledger) key(name string) string { return l.opt.County + "." + name }

// Get reads an entry.
func (l *Ledger) Get(ctx context.Context, key string) (jobs.Entry, error) {
	e, err := l.entries.Get(ctx, l.key(key))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return jobs.Entry{Key: key}, nil
	}
	if err != nil {
		return jobs.Entry{}, fmt.Errorf("the entry %s cannot be read: %w", key, err)
	}
	return jobs.Entry{Key: key, Value: e.Value(), Revision: e.Revision()}, nil
}

// Put writes a value if the entry is at a revision.
func (l *Ledger) Put(ctx context.Context, key string, value []byte, revision uint64) (written uint64, err error) {
	if revision == 0 {
		written, err = l.entries.Create(ctx, l.key(key), value)
	} else {
		written, err = l.entries.Update(ctx, l.key(key), value, revision)
	}
	var api *jetstream.APIError
	switch {
	case errors.Is(err, jetstream.ErrKeyExists), errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence:
		return 0, fmt.Errorf("the entry %s is not at revision %d: %w", key, revision, jobs.ErrConflict)
	case err != nil:
		return 0, fmt.Errorf("the entry %s cannot be written: %w", key, err)
	}
	return written, nil
}

// Delete removes an entry. A marker stays until the ledger is opened again an hour later.
func (l *Ledger) Delete(ctx context.Context, key string) error {
	if err := l.entries.Purge(ctx, l.key(key)); err != nil {
		return fmt.Errorf("the entry %s cannot be removed: %w", key, err)
	}
	return nil
}

// Watch tells every entry and then every change.
func (l *Ledger) Watch(ctx context.Context, fn func(jobs.Entry)) error {
	w, err := l.entries.Watch(ctx, l.key(">"))
	if err != nil {
		return fmt.Errorf("the bucket %s cannot be watched: %w", Bucket, err)
	}
	defer w.Stop()
	prefix := l.key("")
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-w.Updates():
			switch {
			case !ok && ctx.Err() != nil:
				return nil
			case !ok:
				return fmt.Errorf("the bucket %s is no longer told: the connection was closed", Bucket)
			case e == nil:
				fn(jobs.Entry{})
			default:
				entry := jobs.Entry{Key: strings.TrimPrefix(e.Key(), prefix), Revision: e.Revision()}
				if e.Operation() == jetstream.KeyValuePut {
					entry.Value = e.Value()
				}
				fn(entry)
			}
		}
	}
}

// tokens make the due time of a run a part of a subject.
var tokens = base32.StdEncoding.WithPadding(base32.NoPadding)

func (l *Ledger) subject(kind, job, id string) string {
	_, due, _ := strings.Cut(id, "@")
	return strings.Join([]string{kind, l.opt.County, job, tokens.EncodeToString([]byte(due))}, ".")
}

// headerEvent numbers the reports on a run.
const headerEvent = "Shire-Event"

// Report keeps a report, unless a newer one is kept.
func (l *Ledger) Report(ctx context.Context, r jobs.Run) error {
	subject := l.subject("runs", r.Job, r.ID)
	for {
		last, err := l.runs.GetLastMsgForSubject(ctx, subject)
		var sequence uint64
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
		case err != nil:
			return fmt.Errorf("run %s cannot be reported: %w", r.ID, err)
		default:
			sequence = last.Sequence
			if event, err := strconv.ParseUint(last.Header.Get(headerEvent), 10, 64); err == nil && event >= r.Event {
				return nil
			}
		}
		data, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("run %s cannot be reported: %w", r.ID, err)
		}
		_, err = l.js.PublishMsg(ctx, &nats.Msg{Subject: subject, Data: data, Header: nats.Header{headerEvent: {strconv.FormatUint(r.Event, 10)}}},
			jetstream.WithExpectLastSequencePerSubject(sequence))
		var api *jetstream.APIError
		if errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence {
			continue // somebody else reported meanwhile
		}
		if err != nil {
			return fmt.Errorf("run %s cannot be reported: %w", r.ID, err)
		}
		if sequence == 0 {
			return l.bound(ctx, &r)
		}
		return nil
	}
}

// Last is how a run stands.
func (l *Ledger) Last(ctx context.Context, job, id string) (*jobs.Run, error) {
	msg, err := l.runs.GetLastMsgForSubject(ctx, l.subject("runs", job, id))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("run %s cannot be read: %w", id, err)
	}
	r := &jobs.Run{}
	if err := json.Unmarshal(msg.Data, r); err != nil {
		return nil, fmt.Errorf("the report of run %s is damaged: %w", id, err)
	}
	return r, nil
}
