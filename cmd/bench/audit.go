package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline/audit"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

const (
	auditWriters = 32 // requests at once
	leastProven  = 200_000
)

// auditFigures is what the audit log costs who waits for it, and how fast it is proven.
type auditFigures struct {
	entries  int
	writing  map[string]*auditWriting      // by how the server writes through
	proving  map[audit.Algorithm][]float64 // entries a second
	cpu      map[audit.Algorithm][]float64 // entries for a second of the processor
	megabyte map[audit.Algorithm]int64     // of the export
}

// auditWriting is how accesses were written.
type auditWriting struct {
	rate []float64       // accesses a second
	wait []time.Duration // of each, sorted
}

var auditSync = []string{"as embedded by default", "sync: always"}

func measureAudit(ctx context.Context, o options, dir string) (*auditFigures, error) {
	f := &auditFigures{entries: o.rows, writing: map[string]*auditWriting{}, proving: map[audit.Algorithm][]float64{}, cpu: map[audit.Algorithm][]float64{}, megabyte: map[audit.Algorithm]int64{}}
	for i, sync := range auditSync {
		w := &auditWriting{}
		for round := range o.rounds {
			if err := w.measure(ctx, filepath.Join(dir, fmt.Sprintf("audit-%d-%d", i, round)), i == 1, max(o.rows/20, 1000)); err != nil {
				return nil, err
			}
		}
		slices.Sort(w.wait)
		f.writing[sync] = w
		fmt.Printf("audit, %s: %.0f accesses/s, p99 %v\n", sync, spreadOf(w.rate).median, percentile(w.wait, .99))
	}
	for _, a := range []audit.Algorithm{audit.SHA256, audit.SM3} {
		if err := f.prove(ctx, a, filepath.Join(dir, "audit."+string(a)), o.rounds); err != nil {
			return nil, err
		}
		fmt.Printf("audit, %s: %.0f entries/s proven\n", a, spreadOf(f.proving[a]).median)
	}
	return f, nil
}

var auditAccess = audit.Access{Caller: "portal/review", Clerk: "clerk", Purpose: "identity review", CaseNumber: "339921-2026-000001", Persons: []pseudonym.ID{{1}},
	Fields: []string{"name", "id_number", "birth_date", "sex", "address", "phone"}, Decision: "granted"}

// withAudit runs fn with a log of its own, on a server of its own.
func withAudit(ctx context.Context, dir string, always bool, a audit.Algorithm, fn func(*audit.Log, audit.Keys) error) (err error) {
	engines, err := embedded.Start(ctx, embedded.Options{Dir: dir, Version: "1.0.0", Log: slog.New(slog.DiscardHandler), ClickHouse: embedded.ClickHouseOptions{Disabled: true},
		NATS: embedded.NATSOptions{SyncAlways: always}})
	if err != nil {
		return err
	}
	defer func() {
		late, done := context.WithTimeout(context.Background(), 10*time.Second)
		defer done()
		err = errors.Join(err, engines.Stop(late), os.RemoveAll(dir))
	}()
	nc, err := nats.Connect(engines.NATS().URL, engines.NATS().InProcess()...)
	if err != nil {
		return err
	}
	defer nc.Close()
	key, err := audit.LoadOrCreateKey(dir, audit.Ed25519)
	if err != nil {
		return err
	}
	keys, err := audit.OwnKeys(dir)
	if err != nil {
		return err
	}
	hasher, err := pseudonym.New([]byte(strings.Repeat("b", pseudonym.MinKey)))
	if err != nil {
		return err
	}
	l, err := audit.Open(ctx, nc, audit.Options{County: "339921", Hasher: hasher, Key: key, Hash: a, Log: slog.Default()})
	if err != nil {
		return err
	}
	return fn(l, keys)
}

// measure has auditWriters write n accesses, each of which waits for its own.
func (w *auditWriting) measure(ctx context.Context, dir string, always bool, n int) error {
	return withAudit(ctx, dir, always, audit.SHA256, func(l *audit.Log, _ audit.Keys) error {
		if err := l.Record(ctx, auditAccess); err != nil { // the beginning is signed
			return err
		}
		waits := make([][]time.Duration, auditWriters)
		failed := make([]error, auditWriters)
		var group sync.WaitGroup
		began := time.Now()
		for g := range auditWriters {
			group.Go(func() {
				for range n / auditWriters {
					a := auditAccess
					a.At = time.Now()
					if failed[g] = l.Record(ctx, a); failed[g] != nil {
						return
					}
					waits[g] = append(waits[g], time.Since(a.At))
				}
			})
		}
		group.Wait()
		took := time.Since(began)
		all := slices.Concat(waits...)
		w.rate, w.wait = append(w.rate, float64(len(all))/took.Seconds()), append(w.wait, all...)
		return errors.Join(failed...)
	})
}

// prove fills a log, exports it, and proves the file.
func (f *auditFigures) prove(ctx context.Context, a audit.Algorithm, dir string, rounds int) error {
	return withAudit(ctx, dir, false, a, func(l *audit.Log, keys audit.Keys) error {
		const persons = 1000 // of an access, so that the log is filled soon
		look := auditAccess
		look.At, look.Persons = time.Now(), make([]pseudonym.ID, persons)
		for range f.entries / persons {
			if err := l.Record(ctx, look); err != nil {
				return err
			}
		}
		path := filepath.Join(dir, "export")
		out, err := os.Create(path)
		if err != nil {
			return err
		}
		err = audit.NewProjection(l, nil, slog.Default()).Export(ctx, out) // what never was in ClickHouse needs none
		if err = errors.Join(err, out.Close()); err != nil {
			return err
		}
		for range rounds {
			before, err := ownCPU()
			if err != nil {
				return err
			}
			rate, size, err := proven(ctx, path, keys, f.entries/persons*persons)
			if err != nil {
				return err
			}
			after, err := ownCPU()
			if err != nil {
				return err
			}
			f.proving[a], f.megabyte[a] = append(f.proving[a], rate), size>>20
			f.cpu[a] = append(f.cpu[a], float64(f.entries/persons*persons)/(after-before).Seconds())
		}
		return nil
	})
}

// proven proves an export of so many entries and tells how many those were a second.
func proven(ctx context.Context, path string, keys audit.Keys, entries int) (rate float64, size int64, err error) {
	in, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer in.Close()
	began := time.Now()
	report, _, err := audit.VerifyFile(ctx, in, keys, nil)
	took := time.Since(began)
	if err == nil {
		err = report.Err()
	}
	if err != nil {
		return 0, 0, err
	}
	if report.Entries != uint64(entries) || report.Signed != uint64(entries) {
		return 0, 0, fmt.Errorf("%d of %d entries were proven, %d are signed", report.Entries, entries, report.Signed)
	}
	info, err := in.Stat()
	return float64(entries) / took.Seconds(), info.Size(), err
}

func (f *auditFigures) section(o options) section {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	var rows strings.Builder
	for _, sync := range auditSync {
		w := f.writing[sync]
		fmt.Fprintf(&rows, "| %s: accesses a second | %s | |\n", sync, spreadOf(w.rate).whole())
		fmt.Fprintf(&rows, "| %s: wait, median and 99th percentile of %s | %.2f ms, %.2f ms | |\n", sync, thousands(len(w.wait)), ms(percentile(w.wait, .5)), ms(percentile(w.wait, .99)))
	}
	for _, a := range []audit.Algorithm{audit.SHA256, audit.SM3} {
		s := spreadOf(f.proving[a])
		fmt.Fprintf(&rows, "| entries proven for a second of the processor, %s | %s | |\n", a, spreadOf(f.cpu[a]).whole())
		fmt.Fprintf(&rows, "| **entries proven a second, %s** (a file of %d MB) | **%s** | over %s: %s |\n", a, f.megabyte[a], s.whole(), thousands(leastProven), verdict(s.median > leastProven))
	}
	return section{titleAudit, fmt.Sprintf(`
%d requests at once, each of which waits until its access is acknowledged by JetStream (file storage, in the same process); and
an export of %s entries, read from the file and proven: every hash, every link, every checkpoint.

%s
| | median (least to greatest) | bound |
|---|---|---|
%s`, auditWriters, thousands(f.entries), conditions(o, "audit", fmt.Sprintf("%d times.", o.rounds), engineVersions()[1:]...), rows.String())}
}
