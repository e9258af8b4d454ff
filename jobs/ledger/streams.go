package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/shirecounty/shire/jobs"
)

// bound removes the oldest runs of a job. It is asked for each run that begins, and works at every sixty-fourth of them.
func (l *Ledger) bound(ctx context.Context, r *jobs.Run) error {
	h := fnv.New32a()
	h.Write([]byte(r.ID))
	if h.Sum32()%64 != 0 {
		return nil
	}
	if err := l.runs.Purge(ctx, jetstream.WithPurgeSubject("runs."+l.opt.County+"."+r.Job+".>"), jetstream.WithPurgeKeep(runsOfJob)); err != nil {
		return fmt.Errorf("the oldest runs of %s cannot be removed: %w", r.Job, err)
	}
	return nil
}

// stretches are how far Runs looks back, from the nearest: most people want the newest runs only.
var stretches = []time.Duration{time.Hour, 24 * time.Hour, 8 * 24 * time.Hour, 60 * 24 * time.Hour, 0}

// Runs are the newest runs, the newest first.
func (l *Ledger) Runs(ctx context.Context, job string, most int) ([]jobs.Run, error) {
	filter := "runs." + l.opt.County + ".>"
	if job != "" {
		filter = "runs." + l.opt.County + "." + job + ".>"
	}
	for _, back := range stretches {
		var newest []jobs.Run // a ring would be quicker; this one is short
		err := l.read(ctx, Runs, filter, back, false, func(data []byte) error {
			var r jobs.Run
			if err := json.Unmarshal(data, &r); err != nil {
				return fmt.Errorf("a report of a run is damaged: %w", err)
			}
			if newest = append(newest, r); len(newest) > 2*most {
				newest = slices.Clone(newest[len(newest)-most:]) // I10
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if newest = newest[max(len(newest)-most, 0):]; len(newest) == most || back == 0 {
			slices.SortFunc(newest, newestFirst)
			return newest, nil
		}
	}
	return nil, nil
}

// Append adds lines to what a run has printed.
func (l *Ledger) Append(ctx context.Context, job, id string, lines []jobs.Line) error {
	data, err := json.Marshal(lines)
	if err == nil {
		_, err = l.js.Publish(ctx, l.subject("run_output", job, id), data)
	}
	if err != nil {
		return fmt.Errorf("the output of run %s cannot be kept: %w", id, err)
	}
	return nil
}

// Lines tells what a run has printed.
func (l *Ledger) Lines(ctx context.Context, job, id string, follow bool, fn func(jobs.Line) error) error {
	return l.read(ctx, Output, l.subject("run_output", job, id), 0, follow, func(data []byte) error {
		var lines []jobs.Line
		if err := json.Unmarshal(data, &lines); err != nil {
			return fmt.Errorf("the output of run %s is damaged: %w", id, err)
		}
		for _, line := range lines {
			if err := fn(line); err != nil {
				return err
			}
		}
		return nil
	})
}

// read tells the messages of a stream in their order: those that are there, or with follow also those that come until ctx
// ends. back bounds how old they are; 0 for all.
func (l *Ledger) read(ctx context.Context, stream, filter string, back time.Duration, follow bool, fn func(data []byte) error) error {
	config := jetstream.OrderedConsumerConfig{FilterSubjects: []string{filter}, DeliverPolicy: jetstream.DeliverAllPolicy, InactiveThreshold: time.Minute}
	if back > 0 {
		since := time.Now().Add(-back)
		config.DeliverPolicy, config.OptStartTime = jetstream.DeliverByStartTimePolicy, &since
	}
	c, err := l.js.OrderedConsumer(ctx, stream, config)
	if err != nil {
		return fmt.Errorf("the stream %s cannot be read: %w", stream, err)
	}
	defer l.forget(ctx, stream, c) // of a thousand readers that a server bears with, one that has read is one too many
	if !follow {
		info, err := c.Info(ctx)
		if err != nil {
			return fmt.Errorf("the stream %s cannot be read: %w", stream, err)
		}
		if info.NumPending == 0 {
			return nil
		}
	}
	messages, err := c.Messages()
	if err != nil {
		return fmt.Errorf("the stream %s cannot be read: %w", stream, err)
	}
	defer messages.Stop()
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			if ctx.Err() != nil && follow {
				return nil
			}
			return fmt.Errorf("the stream %s cannot be read: %w", stream, err)
		}
		if err := fn(msg.Data()); err != nil {
			return err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return fmt.Errorf("the stream %s cannot be read: %w", stream, err)
		}
		if !follow && meta.NumPending == 0 {
			return nil
		}
	}
}

// forget removes a consumer that has read what it wanted. If that fails, the server removes it when it has been idle for long.
func (l *Ledger) forget(ctx context.Context, stream string, c jetstream.Consumer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_ = l.js.DeleteConsumer(ctx, stream, c.CachedInfo().Name)
}

// How reports are followed: so many at a time at most, those that come within a moment together. What a follower that was
// killed had been told is told the next one after ackWait; whoever is alive takes a batch in less, or takes it twice.
const (
	followMost = 256
	followFor  = 20 * time.Millisecond
	ackWait    = 10 * time.Second
)

// Follow tells every report on a run to whoever keeps them for good, until ctx ends: at least once, also what was reported
// while nobody followed. Those that could not be taken are told again later. name is the follower's, the same at each start.
func (l *Ledger) Follow(ctx context.Context, name string, fn func([]jobs.Run) error) error {
	const again = time.Second
	c, err := l.js.CreateOrUpdateConsumer(ctx, Runs, jetstream.ConsumerConfig{
		Durable: name + "-" + l.opt.County, FilterSubject: "runs." + l.opt.County + ".>", AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: 2 * followMost, AckWait: ackWait,
	})
	if err != nil {
		return fmt.Errorf("the stream %s cannot be followed: %w", Runs, err)
	}
	messages, err := c.Messages(jetstream.PullMaxMessages(followMost))
	if err != nil {
		return fmt.Errorf("the stream %s cannot be followed: %w", Runs, err)
	}
	defer messages.Stop()
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, jetstream.ErrMsgIteratorClosed):
			return fmt.Errorf("the stream %s cannot be followed: %w", Runs, err)
		case err != nil: // such as a heartbeat that was missed while the server was away
			continue
		}
		told := []jetstream.Msg{msg}
		for len(told) < followMost {
			if msg, err = messages.Next(jetstream.NextMaxWait(followFor)); err != nil {
				break // there are no more for now, or the next look says what is amiss
			}
			told = append(told, msg)
		}
		var runs []jobs.Run
		for _, msg := range told {
			var r jobs.Run
			if json.Unmarshal(msg.Data(), &r) == nil {
				runs = append(runs, r)
			}
		}
		if len(runs) > 0 && fn(runs) != nil {
			for _, msg := range told {
				_ = msg.NakWithDelay(again) // unacknowledged it comes again in any case
			}
			continue
		}
		for _, msg := range told {
			_ = msg.Ack()
		}
	}
}
