package warehouse

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/shirecounty/shire/schemas/metrics"
)

// preparation is what figures are read from in a large county.
type preparation struct {
	metrics.Prepared
	asOf, first *time.Time
	began       time.Time // loads up to here are in the figures
}

// prepared is the last preparation, nil when there is none by the present definitions: then the views answer.
func (f *Figures) prepared(ctx context.Context) (*preparation, error) {
	var p preparation
	err := f.conn.QueryRow(ctx, "SELECT number, metrics, ifNull(process_from, 0), as_of, first_applied_at, began_at FROM prepared.state WHERE definitions = ? ORDER BY number DESC LIMIT 1", f.definitions).
		Scan(&p.Number, &p.Metrics, &p.ProcessFrom, &p.asOf, &p.first, &p.began)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ask the warehouse what is prepared: %w", err)
	}
	return &p, nil
}
