package postgres

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// A transaction is sent to a subscriber when its commit is in the log; that other sessions see it comes a moment later, or
// much later where commits wait for a standby. unseen are the transactions that were handed on and are not yet known to be
// seen, in the order of their commits. Whoever reads the table itself waits until there are none: what is read is
// then never older than what was said. A transaction that was seen once is seen for ever, so the list stays short.
type unseen struct {
	transactions []transaction
}

type transaction struct {
	xid    uint32
	commit lsn
}

// most is how many are kept before it is worth a query to find that they are seen.
const most = 4096

func (u *unseen) add(xid uint32, commit lsn) {
	u.transactions = append(u.transactions, transaction{xid, commit})
}

// look asks the server which are seen by now.
func (u *unseen) look(ctx context.Context, side *pgx.Conn) error {
	if len(u.transactions) == 0 {
		return nil
	}
	s, err := currentSnapshot(ctx, side)
	if err != nil {
		return err
	}
	u.transactions = slices.DeleteFunc(u.transactions, func(t transaction) bool { return s.sees(t.xid) })
	return nil
}

// bound is the commit of the first transaction that is not known to be seen. Nothing from there on is confirmed, so that
// the next run meets it again and knows of it.
func (u *unseen) bound() (lsn, bool) {
	if len(u.transactions) == 0 {
		return 0, false
	}
	return u.transactions[0].commit, true
}

// wait returns when all are seen, or patience ends, or ctx. It says whether all are seen.
func (u *unseen) wait(ctx context.Context, side *pgx.Conn, patience time.Duration) (bool, error) {
	deadline := time.Now().Add(patience)
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		if err := u.look(ctx, side); err != nil || len(u.transactions) == 0 {
			return err == nil, err
		}
		if time.Now().After(deadline) {
			return false, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// snapshot is what a statement of the server sees.
type snapshot struct {
	low, high uint64 // all before low are seen as they ended, none from high on
	running   []uint64
}

func currentSnapshot(ctx context.Context, side *pgx.Conn) (snapshot, error) {
	var text string
	// The older name: servers from 12 on have it.
	if err := side.QueryRow(ctx, "SELECT txid_current_snapshot()::text").Scan(&text); err != nil {
		return snapshot{}, fmt.Errorf("ask which transactions are seen: %w", plain(err))
	}
	return parseSnapshot(text)
}

func parseSnapshot(text string) (s snapshot, err error) {
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return s, fmt.Errorf("%q is not a snapshot", text)
	}
	var bad error
	number := func(t string) uint64 {
		n, err := strconv.ParseUint(t, 10, 64)
		if err != nil {
			bad = fmt.Errorf("%q is not a snapshot", text)
		}
		return n
	}
	s.low, s.high = number(parts[0]), number(parts[1])
	if parts[2] != "" {
		for t := range strings.SplitSeq(parts[2], ",") {
			s.running = append(s.running, number(t))
		}
	}
	return s, bad
}

// sees tells whether a transaction that has committed is seen. The stream's 32-bit number means the one nearest to the
// snapshot: two that are alive at once are never half the circle apart.
func (s snapshot) sees(xid uint32) bool {
	full := s.high + uint64(int64(int32(xid-uint32(s.high))))
	return full < s.low || full < s.high && !slices.Contains(s.running, full)
}
