package retention

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
)

// Speaker has records said again.
type Speaker interface {
	WhileFollowed(ctx context.Context, fn func(context.Context) error) error
	Resend(ctx context.Context, dataset string, keys []string) error
}

// Source is what retention has to know of the source of a dataset.
type Source struct {
	Speaker Speaker // nil when it cannot say single records again
	// Keeps tells of a message, by its first and last position, that has to stay although every record in it was said anew.
	// nil: of none.
	Keeps func(first, last change.Position) bool
}

// Accesses is the log of accesses to personal data.
type Accesses interface {
	// Cut takes the entries before a time off the log and returns how many; with dry it only counts them. A log that is not
	// whole is not cut.
	Cut(ctx context.Context, before, now time.Time, dry bool) (uint64, error)
}

// Retention deletes by rule. A run that is repeated finds nothing more to do; one that is interrupted leaves nothing half
// deleted that could mislead, and the next one goes on.
type Retention struct {
	Rules      Rules
	Bus        *bus.Bus
	Warehouse  *warehouse.Warehouse
	Identities interface{ Compact() error } // state that holds values of records
	Accesses   Accesses
	Loaded     func(ctx context.Context, sequence uint64) error
	Source     func(dataset string) Source
	// Backed tells when the newest backup that ended well began; zero when there is none.
	Backed func(ctx context.Context) (time.Time, error)
	Now    func() time.Time
	Dir    string // for what is worked out, while it is
}

var _ jobs.Worker = (*Retention)(nil)

// onDisk is how long ago a word must have been said to count: a power failure takes what is younger (docs/durability.md).
const onDisk = time.Hour

// run is one run of the rules.
type run struct {
	*Retention
	id     string
	now    time.Time
	output io.Writer
	counts map[string]uint64
}

// Do applies one rule after the other. A rule that fails does not keep the others from being applied.
func (r *Retention) Do(ctx context.Context, t jobs.Task, output io.Writer) (jobs.Result, error) {
	x := &run{r, t.Run, r.Now(), output, map[string]uint64{}}
	var failed []error
	for _, rule := range []struct {
		name  string
		days  int
		apply func(context.Context, time.Time) error
	}{
		{"waiting_days", r.Rules.WaitingDays, x.dropWaiting},
		{"changes_days", r.Rules.ChangesDays, x.compactChanges},
		{"settled_days", r.Rules.SettledDays, x.lines(warehouse.SettledLines)},
		{"runs_days", r.Rules.RunsDays, x.lines(warehouse.RunLines)},
		{"loads_days", r.Rules.LoadsDays, x.lines(warehouse.LoadLines)},
		{"accesses_days", r.Rules.AccessesDays, x.cutAccesses},
		{"deleted_days", r.Rules.DeletedDays, x.purgeDeleted},
	} {
		if rule.days == 0 {
			continue
		}
		if err := rule.apply(ctx, before(x.now, rule.days)); err != nil {
			fmt.Fprintf(output, "%s: %v\n", rule.name, err)
			failed = append(failed, fmt.Errorf("%s: %w", rule.name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	result := jobs.Result{Counts: x.counts, Message: x.sentence()}
	if err := errors.Join(failed...); err != nil {
		return result, fmt.Errorf("not every rule could be applied: %s: %w", strings.ReplaceAll(err.Error(), "\n", "; "), err)
	}
	return result, nil
}

func (x *run) sentence() string {
	verb := "deleted"
	if x.Rules.DryRun {
		verb = "to be deleted (dry run, nothing was)"
	}
	return fmt.Sprintf("%s: %d messages of the bus, %d rows in quarantine with %d messages, %d lines of logs, %d accesses, %d personal rows",
		verb, x.counts["messages"], x.counts["waiting"], x.counts["refused_messages"], x.counts["lines"], x.counts["accesses"], x.counts["personal_rows"])
}

// note counts what a rule deleted from a place, says it, and writes it down.
func (x *run) note(ctx context.Context, count, rule, place string, n uint64, cut time.Time) error {
	x.counts[count] += n
	if n == 0 {
		return nil
	}
	if x.Rules.DryRun {
		fmt.Fprintf(x.output, "%s: %d of %s would go\n", rule, n, place)
		return nil
	}
	fmt.Fprintf(x.output, "%s: %d of %s are gone\n", rule, n, place)
	return x.Warehouse.RecordErasure(ctx, warehouse.Erasure{Run: x.id, Rule: rule, Place: place, Amount: n, Before: cut, At: x.now})
}

// versionAt is the smallest version that a change had which reached the county at a time or after it.
func (x *run) versionAt(ctx context.Context, cut time.Time) (uint64, error) {
	sequence, err := x.Bus.SequenceAt(ctx, cut)
	return change.Version(sequence, 0), err
}

// dropWaiting gives up rows that have waited for too long, and erases the bytes of all rows that no longer wait. How long a
// row has waited is counted from when it first came: each retry makes its line in quarantine younger.
func (x *run) dropWaiting(ctx context.Context, cut time.Time) error {
	version, err := x.versionAt(ctx, cut)
	if err != nil {
		return err
	}
	reason := fmt.Sprintf("retention: it waited for more than %d days", x.Rules.WaitingDays)
	f := warehouse.Filter{BeforeVersion: version, Limit: 10_000}
	for {
		rows, err := warehouse.ListQuarantine(ctx, x.Warehouse.Conn(), f)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			break
		}
		last := rows[len(rows)-1]
		f.AfterDataset, f.AfterVersion = last.Dataset, last.Version
		if !x.Rules.DryRun {
			sequence, err := pipeline.Requeue(ctx, x.Bus, rows, reason)
			if err == nil {
				err = x.Loaded(ctx, sequence)
			}
			if err != nil {
				return err
			}
		}
		if err := x.note(ctx, "waiting", "waiting_days", "ops.quarantine", uint64(len(rows)), cut); err != nil {
			return err
		}
	}
	return x.eraseRefused(ctx, version, cut)
}

// eraseRefused erases messages of the quarantine's stream of which no row waits: all of them are older than what may wait.
func (x *run) eraseRefused(ctx context.Context, version uint64, cut time.Time) error {
	_, _, subjects, err := x.Bus.Subjects(ctx)
	if err != nil {
		return err
	}
	for _, subject := range subjects {
		var erased uint64
		err := x.Bus.WalkRefused(ctx, subject, change.SequenceOf(^uint64(0)), func(m *bus.Message) error {
			if m.Time.After(cut) {
				return nil
			}
			b, err := change.Decode(m.Data)
			if err != nil {
				return nil // nobody knows which rows these are
			}
			defer b.Record.Release()
			for i := range b.Len() {
				if b.Version(0, i) >= version {
					return nil
				}
			}
			erased++
			if x.Rules.DryRun {
				return nil
			}
			return x.Bus.EraseRefused(ctx, m.Sequence)
		})
		if noted := x.note(ctx, "refused_messages", "waiting_days", subject, erased, cut); err == nil {
			err = noted
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// errNoBackup says why nothing was erased from the bus.
var errNoBackup = errors.New("no backup has ended well yet, and without one the state of identities could not be made again once the bus has lost its past; nothing was erased from the bus")

// compactChanges erases old messages of the bus that nobody needs any more.
func (x *run) compactChanges(ctx context.Context, cut time.Time) error {
	backed, err := x.Backed(ctx)
	if err != nil {
		return err
	}
	if backed.IsZero() {
		return errNoBackup
	}
	// What is erased must be loaded, in a backup with what was made of it, and so must be the newer words that replace it.
	settled := x.now.Add(-onDisk)
	if backed.Before(settled) {
		settled = backed
	}
	through, err := x.Bus.LoadedThrough(ctx)
	if err != nil {
		return err
	}
	sequence, err := x.Bus.SequenceAt(ctx, settled)
	if err != nil {
		return err
	}
	through = min(through, max(sequence, 1)-1)
	old, err := x.Bus.SequenceAt(ctx, cut)
	if err != nil {
		return err
	}
	old = min(max(old, 1)-1, through)
	changes, retries, _, err := x.Bus.Subjects(ctx)
	if err != nil {
		return err
	}
	for _, subject := range changes {
		if err := x.compactSubject(ctx, subject, old, through, cut); err != nil {
			return err
		}
	}
	return x.eraseRetries(ctx, retries, old, cut)
}

func (x *run) compactSubject(ctx context.Context, subject string, old, settled uint64, cut time.Time) error {
	department, dataset := bus.Place(subject)
	if department == contract.OwnDepartment {
		return nil // verdicts and models: who decided what stays, and there is little of it
	}
	source := x.Source(dataset)
	c := compaction{log: x.Bus, subject: subject, old: old, settled: settled, dir: x.Dir, dry: x.Rules.DryRun}
	if source.Keeps != nil {
		c.keeps = func(b *change.Batch) bool { return source.Keeps(b.First, b.Last) }
	}
	var again []string
	if x.Rules.SayAgain > 0 && source.Speaker != nil {
		c.again = func(key string) bool {
			again = append(again, strings.Clone(key))
			return len(again) < x.Rules.SayAgain
		}
	}
	done, err := c.run(ctx)
	if noted := x.note(ctx, "messages", "changes_days", subject, done.erased, cut); err == nil {
		err = noted
	}
	if err != nil {
		return err
	}
	if done.kept > 0 {
		fmt.Fprintf(x.output, "changes_days: %d old messages of %s stay: nothing newer was said of some of their records\n", done.kept, subject)
	}
	return x.sayAgain(ctx, source.Speaker, dataset, again)
}

// sayAgain has records said anew that live in old messages alone, so that these can go at the next run.
func (x *run) sayAgain(ctx context.Context, s Speaker, dataset string, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	x.counts["said_again"] += uint64(len(keys))
	if x.Rules.DryRun {
		fmt.Fprintf(x.output, "say_again: source of %s would be asked for %d records\n", dataset, len(keys))
		return nil
	}
	const atOnce = 1000
	err := s.WhileFollowed(ctx, func(ctx context.Context) error {
		for from := 0; from < len(keys); from += atOnce {
			if err := s.Resend(ctx, dataset, keys[from:min(from+atOnce, len(keys))]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("the source of %s could not say its records again: %w", dataset, err)
	}
	fmt.Fprintf(x.output, "say_again: %d records of %s were said again\n", len(keys), dataset)
	return nil
}

// eraseRetries erases what came back from quarantine: it was read once, and nobody comes back to it. The newest message of the
// stream stays: a bus that ends with a gap is one that has lost its end (bus.MakeUp).
func (x *run) eraseRetries(ctx context.Context, subjects []string, old uint64, cut time.Time) error {
	newest, err := x.Bus.LastSequence(ctx)
	if err != nil {
		return err
	}
	for _, subject := range subjects {
		var erased uint64
		err := x.Bus.Walk(ctx, subject, min(old, max(newest, 1)-1), func(m *bus.Message) error {
			erased++
			if x.Rules.DryRun {
				return nil
			}
			return x.Bus.Erase(ctx, m.Sequence)
		})
		if noted := x.note(ctx, "messages", "changes_days", subject, erased, cut); err == nil {
			err = noted
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// lines deletes old lines of a log.
func (x *run) lines(of warehouse.Lines) func(context.Context, time.Time) error {
	return func(ctx context.Context, cut time.Time) error {
		n, err := x.Warehouse.DeleteLines(ctx, of, cut, x.Rules.DryRun)
		if err != nil {
			return err
		}
		return x.note(ctx, "lines", string(of), of.View(), n, cut)
	}
}

// cutAccesses takes the oldest rows off the log of accesses.
func (x *run) cutAccesses(ctx context.Context, cut time.Time) error {
	n, err := x.Accesses.Cut(ctx, cut, x.now, x.Rules.DryRun)
	if err != nil {
		return err
	}
	return x.note(ctx, "accesses", "accesses_days", "audit.accesses", n, cut)
}

// purgeDeleted removes what is left of records that their department has deleted.
func (x *run) purgeDeleted(ctx context.Context, cut time.Time) error {
	version, err := x.versionAt(ctx, cut)
	if err != nil {
		return err
	}
	for _, table := range warehouse.PersonalTables() {
		n, err := x.Warehouse.PurgeDeleted(ctx, table, version, x.Rules.DryRun)
		if err != nil {
			return err
		}
		if err := x.note(ctx, "personal_rows", "deleted_days", table, n, cut); err != nil {
			return err
		}
	}
	if x.Rules.DryRun {
		return nil
	}
	// A record that was deleted is out of the state at once, and out of its files when they are merged.
	if err := x.Identities.Compact(); err != nil {
		return fmt.Errorf("the state of identities could not be rid of deleted records: %w", err)
	}
	return nil
}
