package mysql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// view begins a transaction whose view of the tables includes every transaction that was handed on, and all that was
// committed when the session began. The stream stands still until it is closed.
func (r *run) view(ctx context.Context) (closed func(), err error) {
	closed = func() { r.server.conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK") }
	for deadline := time.Now().Add(time.Minute); ; {
		included, err := r.beginView(ctx)
		if err != nil {
			return nil, fmt.Errorf("a consistent view of the tables cannot be had: %w", err)
		}
		if included {
			return closed, nil
		}
		// What the binlog holds is committed in the tables a moment later.
		closed()
		if time.Now().After(deadline) {
			return nil, errors.New("the server does not show in its tables what it wrote to its binlog a minute ago; see whether it waits for a replica (semi-synchronous replication)")
		}
		select {
		case <-time.After(2 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

const consistent = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"

func (r *run) beginView(ctx context.Context) (included bool, err error) {
	conn := r.server.conn
	if r.server.flavor == mysqlFlavor {
		// A GTID is in this set only when its transaction is committed, and the view is taken after it was read.
		var text string
		if err := conn.QueryRowContext(ctx, "SELECT @@GLOBAL.gtid_executed").Scan(&text); err != nil {
			return false, err
		}
		executed, err := parseGTIDs(mysqlFlavor, text)
		if err != nil {
			return false, err
		}
		_, err = conn.ExecContext(ctx, consistent)
		return r.state.within(executed) && r.end.done.within(executed), err
	}
	// MariaDB says to which place in the binlog the view belongs.
	if _, err := conn.ExecContext(ctx, consistent); err != nil {
		return false, err
	}
	rows, err := conn.QueryContext(ctx, "SHOW STATUS LIKE 'binlog_snapshot_%'")
	if err != nil {
		return false, err
	}
	defer rows.Close()
	var at place
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return false, err
		}
		switch strings.ToLower(name) {
		case "binlog_snapshot_file":
			at.file = value
		case "binlog_snapshot_position":
			at.offset, _ = strconv.ParseUint(value, 10, 64)
		}
	}
	if err := rows.Err(); err != nil {
		return false, err
	}
	if at.file == "" {
		return false, errors.New("the server does not say where in the binlog the view stands")
	}
	return !at.before(r.end.at) && !at.before(r.handedOn()), nil
}

// handedOn is the place behind the last transaction that was handed on.
func (r *run) handedOn() place {
	if r.last.In == "" {
		return place{}
	}
	return r.reached
}

// chunk reads the next rows of a snapshot. They stand where the stream stands: what comes later comes behind them.
func (r *run) chunk(ctx context.Context, d *dataset) error {
	if d.rows {
		return r.sweep(ctx, d)
	}
	if r.told[problem{d.Name, d.table.String(), "table_missing"}] {
		r.complete(d) // there are none
		return nil
	}
	k, err := d.keyset()
	if err != nil {
		return fmt.Errorf("the table %s: %w", d.table, err)
	}
	if len(d.key) > 0 && (len(d.key) != len(k.columns) || slices.ContainsFunc(d.key, func(s string) bool { return !safeLiteral.MatchString(s) })) {
		d.key = nil // written for another key: from the beginning
	}
	closed, err := r.view(ctx)
	if err != nil {
		return err
	}
	say := func(rows []held, end bool) error {
		for i, h := range rows {
			if d.key = h.key; end && i == len(rows)-1 {
				r.complete(d)
			}
			if err := r.stand(ctx, d, d.now.names(), h.Change); err != nil {
				return err
			}
		}
		return nil
	}
	p, err := r.server.page(ctx, &d.relation, k, d.key, d.resumed, r.settings.Chunk, func(rows []held) error { return say(rows, false) })
	closed()
	d.resumed = false
	if err != nil {
		return fmt.Errorf("snapshot of the table %s: %w", d.table, err)
	}
	if err := say(p.rows, p.end); err != nil {
		return err
	}
	if p.end && len(p.rows) == 0 {
		r.complete(d)
	}
	return nil
}

// complete says that all rows of the table were read.
func (r *run) complete(d *dataset) {
	d.key, d.rows, d.done = nil, true, d.round == 0
	d.at.restart()
}
