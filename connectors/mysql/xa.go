package mysql

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/go-mysql-org/go-mysql/replication"
)

// preparedTx is an XA transaction. The binlog holds its rows where it was prepared, and much later only a word on whether
// they came to be. Few rows are kept until then; for many, that part of the binlog is read again.
type preparedTx struct {
	prepared
	events []*replication.BinlogEvent
	size   int
	rows   bool // of our tables
	whole  bool // events are all of them
}

// keptXA bounds the rows of one prepared transaction that are kept in memory, mostKeptXA such transactions (I10).
const (
	keptXA     = 256 << 10
	mostKeptXA = 64
)

// wait says that the rows of the present transaction wait for a word that comes later.
func (r *run) wait() { r.tx.waits = &preparedTx{whole: true} }

func (p *preparedTx) keep(e *replication.BinlogEvent) error {
	p.rows = true
	if p.size += len(e.RawData); p.size > keptXA {
		p.events, p.whole = nil, false
	}
	if p.whole {
		p.events = append(p.events, e)
	}
	return nil
}

// pending are the XA transactions that wait, in the order of their ids.
func (r *run) pending() (all []prepared) {
	for _, id := range slices.Sorted(maps.Keys(r.prepared)) {
		all = append(all, r.prepared[id].prepared)
	}
	return all
}

// prepareXA is the end of the group in which an XA transaction was prepared, or of one that was committed in one phase.
func (r *run) prepareXA(ctx context.Context, e *replication.BinlogEvent) error {
	onePhase, id, ok := parseXA(e)
	if !ok {
		return errors.New("an XA transaction in the binlog cannot be taken apart")
	}
	if w := r.tx.waits; w != nil && w.rows {
		w.prepared = prepared{XID: id, Before: r.tx.before, GTID: r.tx.gtid.String()}
		if len(r.prepared) >= mostKeptXA {
			w.events, w.whole = nil, false
		}
		r.prepared[id] = w
		if onePhase {
			if err := r.commitXA(ctx, id); err != nil {
				return err
			}
		}
	}
	return r.finish(ctx)
}

// parseXA reads the event that ends the group: one phase or two, and the id in its parts.
func parseXA(e *replication.BinlogEvent) (onePhase bool, id string, ok bool) {
	if len(e.RawData) < replication.EventHeaderSize+13 {
		return false, "", false
	}
	body := e.RawData[replication.EventHeaderSize:]
	format, first, second := binary.LittleEndian.Uint32(body[1:]), int(binary.LittleEndian.Uint32(body[5:])), int(binary.LittleEndian.Uint32(body[9:]))
	if first < 0 || second < 0 || first > 64 || second > 64 || len(body) < 13+first+second {
		return false, "", false
	}
	data := body[13:]
	return body[0] != 0, fmt.Sprintf("X'%x',X'%x',%d", data[:first], data[first:first+second], int32(format)), true
}

var idOfXA = regexp.MustCompile(`(?i)^\s*XA\s+(?:COMMIT|ROLLBACK)\s+(X'[0-9a-f]*',\s*X'[0-9a-f]*',\s*-?\d+)`)

// endXA is the word on a prepared transaction.
func (r *run) endXA(ctx context.Context, statement string, commit bool) error {
	found := idOfXA.FindStringSubmatch(statement)
	if found == nil {
		return errors.New("the end of an XA transaction in the binlog cannot be taken apart")
	}
	id := "X'" + strings.ToLower(strings.ReplaceAll(found[1], " ", ""))[2:]
	id = strings.ReplaceAll(id, ",x'", ",X'")
	if r.prepared[id] == nil {
		return nil // no row of our tables
	}
	if commit {
		return r.commitXA(ctx, id)
	}
	delete(r.prepared, id)
	return nil
}

// commitXA hands on the rows of a prepared transaction as part of the present one.
func (r *run) commitXA(ctx context.Context, id string) error {
	p := r.prepared[id]
	defer delete(r.prepared, id)
	r.tx.waits = nil
	if !slices.ContainsFunc(r.datasets, func(d *dataset) bool { return d.skip != math.MaxInt64 }) {
		return nil
	}
	if p.whole && p.rows {
		for _, e := range p.events {
			if err := r.rows(ctx, e, e.Event.(*replication.RowsEvent)); err != nil {
				return err
			}
		}
		return nil
	}
	return r.reread(ctx, p.prepared)
}

// reread reads the part of the binlog that holds a prepared transaction.
func (r *run) reread(ctx context.Context, p prepared) error {
	behind, err := parseGTIDs(r.server.flavor, p.Before)
	if err != nil {
		return err
	}
	d, err := r.open(ctx, behind, r.settings.ServerID+1)
	if err != nil {
		return err
	}
	defer d.close()
	for inside := false; ; {
		e, err := d.next(ctx)
		if code(err) == binlogFatal && saysGone(err.Error()) {
			return &gap{datasets: r.datasets, reason: "an XA transaction was committed whose rows the server no longer has (they were purged)"}
		}
		if err != nil {
			return err
		}
		switch event := e.Event.(type) {
		case *replication.MariadbGTIDEvent:
			inside = mariaGTID(e, event).String() == p.GTID
		case *replication.GTIDEvent:
			g := gtid{source: [16]byte(event.SID), number: uint64(event.GNO)}
			inside = g.String() == p.GTID
		case *replication.RowsEvent:
			if inside {
				if err := r.rows(ctx, e, event); err != nil {
					return err
				}
			}
		case *replication.GenericEvent:
			if inside && e.Header.EventType == replication.XA_PREPARE_LOG_EVENT {
				return nil
			}
		}
	}
}
