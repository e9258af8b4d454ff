package warehouse

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Loads sums up the load log.
type Loads struct {
	Rows uint64
	Last *time.Time // when the newest load was finished; nil before the first
}

// SumLoads reads what was loaded since the warehouse exists. conn may be the analyst's.
func SumLoads(ctx context.Context, conn driver.Conn) (Loads, error) {
	var l Loads
	var last time.Time
	if err := conn.QueryRow(ctx, "SELECT sum(rows), max(finished_at) FROM ops.loads").Scan(&l.Rows, &last); err != nil {
		return l, fmt.Errorf("the load log cannot be read: %w", err)
	}
	if last.Unix() > 0 {
		l.Last = &last
	}
	return l, nil
}
