package upkeep

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/pipeline/reconcile"
	"github.com/shirecounty/shire/schemas/change"
)

// Source is a source that runs, or can be run, in this process.
type Source interface {
	// WhileFollowed runs fn while the source is followed.
	WhileFollowed(ctx context.Context, fn func(context.Context) error) error
	// Resend has the connector say records again and returns when they are safe on the bus (I1).
	Resend(ctx context.Context, dataset string, keys []string) error
}

// Snapshot has datasets of a source said anew, record by record, while the source goes on. It needs no label in county.yaml
// and leaves no state behind: each record is asked for by its key and joins the stream in order with the changes in flight, so
// a run that dies is simply run again.
type Snapshot struct {
	Name     string
	Datasets []string
	Source   Source
	Surveyor connectors.Surveyor
	Dir      string // for the keys, while it runs
	// Check compares one dataset with the warehouse, which knows of records that the source no longer has, and repairs it.
	Check func(ctx context.Context, dataset string) (*reconcile.Report, error)
}

var _ jobs.Worker = (*Snapshot)(nil)

const (
	keysAtOnce = 1000    // that a source is asked for
	tellEvery  = 100_000 // records
)

// Do says every record of the datasets again.
func (s *Snapshot) Do(ctx context.Context, _ jobs.Task, output io.Writer) (jobs.Result, error) {
	var said, repaired uint64
	err := s.Source.WhileFollowed(ctx, func(ctx context.Context) error {
		for _, dataset := range s.Datasets {
			n, err := s.say(ctx, dataset, output)
			said += n
			if err != nil {
				return fmt.Errorf("dataset %s, after %d records: %w", dataset, n, err)
			}
			report, err := s.Check(ctx, dataset)
			if err != nil {
				return fmt.Errorf("dataset %s was said again and cannot be compared: %w", dataset, err)
			}
			repaired += uint64(report.Repaired)
			fmt.Fprintln(output, report)
			if !report.Equal {
				return fmt.Errorf("dataset %s was said again, and still: %w", dataset, ErrDiffers)
			}
		}
		return nil
	})
	result := jobs.Result{Counts: map[string]uint64{"records": said, "repaired": repaired}}
	if err != nil {
		return result, err
	}
	result.Message = fmt.Sprintf("source %s said %d records again, and is equal to the warehouse", s.Name, said)
	return result, nil
}

// say has one dataset said again. First its keys are read, quickly: to ask for records meanwhile would hold the source's
// reading transaction open.
func (s *Snapshot) say(ctx context.Context, dataset string, output io.Writer) (said uint64, err error) {
	keys, err := newSpool(s.Dir)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, keys.close()) }()
	err = s.Surveyor.Survey(ctx, dataset, nil, func(_ []string, c change.Change) error {
		if c.Op == change.Malformed {
			return nil // it has no key; what is to say of it was said when it was read
		}
		return keys.add(c.Key)
	})
	if err != nil {
		return 0, err
	}
	fmt.Fprintf(output, "%s: %d records are there to be said again\n", dataset, keys.n)
	err = keys.each(keysAtOnce, func(chunk []string) error {
		if err := s.Source.Resend(ctx, dataset, chunk); err != nil {
			return err
		}
		before := said
		said += uint64(len(chunk))
		if said/tellEvery != before/tellEvery {
			fmt.Fprintf(output, "%s: %d of %d records are said again\n", dataset, said, keys.n)
		}
		return ctx.Err()
	})
	return said, err
}

// spool keeps keys on the disk, so that their number does not matter (I10). They are personal data: only the owner of the
// process may read the file, and it goes at once (I7).
type spool struct {
	file *os.File
	out  *bufio.Writer
	n    uint64
}

func newSpool(dir string) (*spool, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("there is no room for the keys of a snapshot: %w", err)
	}
	file, err := os.CreateTemp(dir, "keys-") // 0600
	if err != nil {
		return nil, fmt.Errorf("there is no room for the keys of a snapshot: %w", err)
	}
	// Without its name it goes with the process, however that ends. Not every system lets a file go that is open; there close
	// removes it.
	_ = os.Remove(file.Name())
	return &spool{file: file, out: bufio.NewWriter(file)}, nil
}

func (s *spool) add(key string) error {
	s.n++
	var head [binary.MaxVarintLen64]byte
	if _, err := s.out.Write(head[:binary.PutUvarint(head[:], uint64(len(key)))]); err != nil {
		return fmt.Errorf("the keys of a snapshot cannot be written: %w", err)
	}
	if _, err := s.out.WriteString(key); err != nil {
		return fmt.Errorf("the keys of a snapshot cannot be written: %w", err)
	}
	return nil
}

// each calls fn with up to most keys at a time.
func (s *spool) each(most int, fn func([]string) error) error {
	if err := s.out.Flush(); err != nil {
		return fmt.Errorf("the keys of a snapshot cannot be written: %w", err)
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("the keys of a snapshot cannot be read: %w", err)
	}
	in := bufio.NewReader(s.file)
	chunk := make([]string, 0, most)
	for range s.n {
		size, err := binary.ReadUvarint(in)
		if err != nil {
			return fmt.Errorf("the keys of a snapshot cannot be read: %w", err)
		}
		key := make([]byte, size)
		if _, err := io.ReadFull(in, key); err != nil {
			return fmt.Errorf("the keys of a snapshot cannot be read: %w", err)
		}
		if chunk = append(chunk, string(key)); len(chunk) == most {
			if err := fn(chunk); err != nil {
				return err
			}
			chunk = chunk[:0]
		}
	}
	if len(chunk) == 0 {
		return nil
	}
	return fn(chunk)
}

func (s *spool) close() error {
	err := s.file.Close()
	if gone := os.Remove(s.file.Name()); gone != nil && !errors.Is(gone, os.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return err
}
