package main

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"path/filepath"
	"sync"
	"time"

	"github.com/shirecounty/shire/deploy/testing/servers"
	"github.com/shirecounty/shire/pipeline/columnar"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
)

const (
	commitRate   = 2_000 // transactions of one change a second
	freshAge     = 100 * time.Millisecond
	freshP50     = 300 // ms
	freshP99     = 1_000
	freshPolling = 5 * time.Millisecond
)

// freshnessFigures is how old a change is when a query sees it.
type freshnessFigures struct {
	version string
	commits int
	seconds float64
	late    latency // from the return of COMMIT until a query saw the row
}

func measureFreshness(ctx context.Context, o options, dir string) (*freshnessFigures, error) {
	server, err := servers.StartPostgres()
	if err != nil {
		return nil, err
	}
	defer server.Stop()
	db, err := sql.Open("pgx", server.URL("postgres"))
	if err != nil {
		return nil, err
	}
	defer db.Close()
	f := &freshnessFigures{commits: commitRate * min(o.seconds, 30)}
	if err := db.QueryRowContext(ctx, "SHOW server_version").Scan(&f.version); err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, "CREATE TABLE t0 (id bigint PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())"); err != nil {
		return nil, err
	}
	d, err := contract.Parse("t0.yaml", fmt.Appendf(nil, captureContract, 0), "Asia/Shanghai")
	if err != nil {
		return nil, err
	}
	source := county.Source{Name: "fresh", Kind: "postgres", Datasets: []string{"t0"}, With: map[string]any{
		"address": server.Address, "database": "postgres", "user": "postgres", "tables": []any{map[string]any{"table": "public.t0", "dataset": "t0"}},
	}}
	s, stop, err := startStream(ctx, filepath.Join(dir, "freshness"), contract.Set{d.Name: d}, source, columnar.Limits{Rows: 40_000, Bytes: 16 << 20, Age: freshAge})
	if err != nil {
		return nil, err
	}
	defer stop()
	following, cancel := context.WithCancel(ctx)
	var followed sync.WaitGroup
	followed.Go(func() { _ = s.source.Follow(following) })
	defer followed.Wait()
	defer cancel()
	return f, f.measure(ctx, db, s)
}

// measure commits rows with rising ids at a fixed rate, and asks all the while for the highest id that is there.
func (f *freshnessFigures) measure(ctx context.Context, db *sql.DB, s *stream) error {
	warm := commitRate * 3 // commits that are not counted: connections, tables and the snapshot come into being
	total := warm + f.commits
	committed := make([]time.Time, total+1)
	var mu sync.Mutex
	failed := make(chan error, 1)
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	began := time.Now()
	go func() {
		for i := 1; i <= total; i++ {
			if wait := time.Until(began.Add(time.Duration(i) * time.Second / commitRate)); wait > 0 {
				time.Sleep(wait)
			}
			if _, err := conn.ExecContext(ctx, "INSERT INTO t0 (id) VALUES ($1)", i); err != nil {
				failed <- err
				return
			}
			mu.Lock()
			committed[i] = time.Now()
			mu.Unlock()
		}
	}()
	var late []time.Duration
	seen := 0
	for seen < total {
		select {
		case err := <-failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(freshPolling):
		}
		var highest int64
		if err := s.warehouse.Conn().QueryRow(ctx, "SELECT toInt64(max(toUInt64OrZero(case_number))) FROM store.case_steps").Scan(&highest); err != nil {
			return err
		}
		now := time.Now()
		mu.Lock()
		for ; seen < int(highest); seen++ {
			if id := seen + 1; id > warm {
				late = append(late, now.Sub(committed[id]))
			}
		}
		mu.Unlock()
		if time.Since(began) > time.Duration(total/commitRate+120)*time.Second {
			return fmt.Errorf("%d of %d changes were seen after %v", seen, total, time.Since(began).Round(time.Second))
		}
	}
	mu.Lock()
	f.seconds = committed[total].Sub(committed[warm]).Seconds()
	mu.Unlock()
	f.late = latencyOf(late)
	fmt.Printf("freshness: p50 %.0f ms, p99 %.0f ms, most %.0f ms at %.0f commits/s\n", f.late.P50, f.late.P99, f.late.Max, float64(f.commits)/f.seconds)
	return nil
}

func (f *freshnessFigures) section(o options) section {
	return section{titleFreshness, fmt.Sprintf(`
One client commits transactions of one row in a PostgreSQL %s, %s a second, each when it is due. Logical replication,
packing, fenced publishing, JetStream, contract and load follow, and beside them a query asks again and again for the
newest row. Counted from the return of the COMMIT until a query saw the row, %s commits over %.0f s after 3 s of warming
up; a message lingers 50 ms at most (the default) and a load %d ms (flow.load_age).

%s
| from commit to query | ms | bound |
|---|---|---|
| median | %.0f | at most %d: %s |
| 99%% | %.0f | at most %d: %s |
| greatest | %.0f | |
| commits a second | %.0f | %d |
`,
		f.version, thousands(commitRate), thousands(f.commits), f.seconds, freshAge.Milliseconds(), conditions(o, "freshness", "One run.", engineVersions()...),
		f.late.P50, freshP50, verdict(f.late.P50 <= freshP50), f.late.P99, freshP99, verdict(f.late.P99 <= freshP99), f.late.Max,
		math.Round(float64(f.commits)/f.seconds), commitRate)}
}
