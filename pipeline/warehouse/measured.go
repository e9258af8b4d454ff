package warehouse

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/shirecounty/shire/schemas/catalogue"
)

// Measure tells how fresh each dataset is and how much of it waits in quarantine. conn may be the analyst's.
func Measure(ctx context.Context, conn driver.Conn) (map[string]catalogue.Measured, error) {
	var rows []struct {
		Dataset     string    `ch:"dataset"`
		Last        time.Time `ch:"last"`
		Rows        uint64    `ch:"loaded"`
		Quarantined uint64    `ch:"quarantined"`
	}
	err := conn.Select(ctx, &rows, `SELECT toString(dataset) AS dataset, max(at) AS last, sum(loaded) AS loaded, sum(quarantined) AS quarantined
FROM
(
    SELECT part.1 AS dataset, max(finished_at) AS at, sum(part.2) AS loaded, toUInt64(0) AS quarantined
    FROM ops.loads ARRAY JOIN CAST(dataset_rows, 'Array(Tuple(String, UInt64))') AS part
    GROUP BY dataset
    UNION ALL
    SELECT toString(dataset), toDateTime64(0, 6, 'UTC'), toUInt64(0), count()
    FROM ops.quarantine WHERE state = 'waiting'
    GROUP BY dataset
)
GROUP BY dataset`)
	if err != nil {
		return nil, fmt.Errorf("what was loaded of each dataset cannot be read: %w", err)
	}
	out := make(map[string]catalogue.Measured, len(rows))
	for _, r := range rows {
		m := catalogue.Measured{Rows: r.Rows, Quarantined: r.Quarantined}
		if last := r.Last.UTC(); last.Unix() > 0 {
			m.LastLoad = &last
		}
		out[r.Dataset] = m
	}
	return out, nil
}
