package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/sharing"
)

func (c *Corrections) subject() string {
	return c.opt.Bus.ChangesSubject(contract.OwnDepartment, contract.Corrections)
}

// catchUp reads the acts that are new on the bus. c.mu is held.
func (c *Corrections) catchUp(ctx context.Context) error {
	return takeNew(ctx, c.opt.Bus, c.subject(), &c.through, c.take)
}

// take folds the acts of one message.
func (c *Corrections) take(msg *bus.Message) error {
	batch := read(msg)
	if batch == nil {
		return nil // whoever published it, it is no act; the flow has it in quarantine
	}
	defer batch.Record.Release()
	columns := batch.Columns()
	for i := range batch.Len() {
		value := func(name string) string {
			k := slices.Index(columns, name)
			if k < 0 {
				return ""
			}
			return strings.Clone(batch.Values(k).Value(i))
		}
		at, err := time.Parse(time.RFC3339Nano, value("acted_at"))
		number, err2 := strconv.Atoi(value("number"))
		e := sharing.CorrectionEvent{Correction: value("correction"), Act: sharing.Act(value("act")), At: at, Department: value("department"),
			Dataset: value("shared_dataset"), Field: value("field"), Record: value("record"), Seen: value("seen"), Owner: value("owner")}
		var err3 error
		if v := value("record_version"); v != "" {
			e.Version, err3 = strconv.ParseUint(v, 10, 64)
		}
		had := c.all[e.Correction]
		if err := errors.Join(err, err2, err3); err != nil || batch.Op(i) != change.Create || number != len(c.sealed[e.Correction])+1 || (had == nil) != (e.Act == sharing.Report) {
			return fmt.Errorf("message %d of the bus is no act about an error that can follow those before it: somebody else writes to %s; find out who, and take the message off the bus: %w",
				msg.Sequence, c.subject(), errors.Join(err, errNoAct))
		}
		c.all[e.Correction] = sharing.FoldCorrection(had, e)
		c.sealed[e.Correction] = append(c.sealed[e.Correction], value("sealed"))
	}
	return nil
}

// do does an act and returns the report after it. c.mu is held.
func (c *Corrections) do(ctx context.Context, e sharing.CorrectionEvent, by string, said Said) (*sharing.ErrorReport, error) {
	w, err := c.opt.Bus.ChangesWriter(ctx, c.subject())
	if err != nil {
		return nil, err
	}
	for {
		if err := c.catchUp(ctx); err != nil {
			return nil, err
		}
		if last, _ := w.Last(); last != c.through {
			if err := w.Reload(ctx); err != nil {
				return nil, err
			}
			if last, _ := w.Last(); last != c.through {
				continue // an act came between the two looks
			}
		}
		had := c.all[e.Correction]
		e.At = time.Now().UTC()
		if had != nil && e.At.Before(had.Since) {
			e.At = had.Since // the clocks of two machines differ; the order is that of the bus
		}
		var requests []*sharing.Request
		if e.Act == sharing.Report {
			if requests, err = c.opt.Requests(ctx); err != nil {
				return nil, err
			}
		}
		accepted, err := c.opt.World().AcceptCorrection(had, e, requests)
		if err == nil && e.Act == sharing.Report && e.Version == 0 {
			err = &sharing.Refusal{Code: "unknown_record", Text: "there is no such record", Zh: "没有这条记录"} // told to who may see the field, if there were one
		}
		if err != nil {
			return nil, err
		}
		row, err := c.change(accepted, by, said)
		if err != nil {
			return nil, err
		}
		_, err = publishOwn(ctx, w, contract.Corrections, correctionColumns, row)
		switch {
		case errors.Is(err, bus.ErrFenced): // somebody else acted meanwhile
			if err := w.Reload(ctx); err != nil {
				return nil, err
			}
		case err != nil:
			return nil, err
		default:
			if err := c.catchUp(ctx); err != nil {
				return nil, err
			}
			return c.all[e.Correction], nil
		}
	}
}

var correctionColumns = []string{"correction", "number", "act", "acted_at", "department", "acted_by", "shared_dataset", "field", "record", "seen", "record_version", "owner", "sealed"}

func (c *Corrections) change(e sharing.CorrectionEvent, by string, said Said) (change.Change, error) {
	number := len(c.sealed[e.Correction]) + 1
	sealed, err := c.seal(e.Correction, number, said)
	if err != nil {
		return change.Change{}, err
	}
	version := ""
	if e.Act == sharing.Report {
		version = strconv.FormatUint(e.Version, 10)
	}
	row := change.Change{Op: change.Create, Key: e.Correction + change.KeySeparator + strconv.Itoa(number), Row: 1, Time: e.At,
		Values: []string{e.Correction, strconv.Itoa(number), string(e.Act), e.At.Format(time.RFC3339Nano), e.Department, by,
			e.Dataset, e.Field, e.Record, e.Seen, version, e.Owner, sealed}}
	row.Null = make([]bool, len(row.Values))
	for i, v := range row.Values {
		row.Null[i] = v == ""
	}
	return row, nil
}
