package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver of the load
	"github.com/nats-io/nats.go"

	_ "github.com/shirecounty/shire/connectors/postgres" // the kind that is measured
	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/deploy/testing/servers"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/ingest"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
)

const (
	captureTables = 4         // that the load writes to, as pgbench's own script does
	largeRows     = 5_000_000 // of one transaction
	largeMemory   = 150       // MiB that the process may need for it
	pgPrograms    = "/usr/lib/postgresql/*/bin/"
)

// captureFigures is what a PostgreSQL's changes cost to capture.
type captureFigures struct {
	version      string
	changes      int
	shire, peer  []float64 // changes a second
	ratio, noise []float64
	large        largeFigures // the bus in another process, as a node with a NATS cluster has it
	embedded     largeFigures // the bus in the same process
}

// largeFigures is one transaction of largeRows rows.
type largeFigures struct {
	Rows   uint64
	Rate   float64 // changes a second
	Memory memory
}

func measureCapture(ctx context.Context, o options, dir string) (*captureFigures, error) {
	server, err := servers.StartPostgres("max_wal_size=4GB")
	if err != nil {
		return nil, err
	}
	defer server.Stop()
	db, err := sql.Open("pgx", server.URL("postgres"))
	if err != nil {
		return nil, err
	}
	defer db.Close()
	f := &captureFigures{changes: o.changes}
	if err := db.QueryRowContext(ctx, "SHOW server_version").Scan(&f.version); err != nil {
		return nil, err
	}
	if err := prepareCapture(ctx, db); err != nil {
		return nil, err
	}
	c, stop, err := startCapture(ctx, filepath.Join(dir, "capture"), server.Address, "capture", "")
	if err != nil {
		return nil, err
	}
	defer stop()
	if _, err := c.Run(ctx); err != nil { // makes publication and slot, and takes the snapshot
		return nil, err
	}
	for _, slot := range []string{"peer", "again"} {
		if _, err := db.ExecContext(ctx, "SELECT pg_create_logical_replication_slot($1, 'pgoutput')", slot); err != nil {
			return nil, err
		}
	}
	for round := range o.rounds + 1 {
		end, err := pgbenchLike(ctx, db, o.changes)
		if err != nil {
			return nil, err
		}
		rate := func(run func() error) (float64, error) {
			began := time.Now()
			err := run()
			return float64(o.changes) / time.Since(began).Seconds(), err
		}
		peer, err := rate(func() error { return recvlogical(ctx, server, "peer", end) })
		if err != nil {
			return nil, err
		}
		shire, err := rate(func() error {
			n, err := c.Run(ctx)
			if err == nil && n != uint64(o.changes) {
				err = fmt.Errorf("%d changes were captured of %d", n, o.changes)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		again, err := rate(func() error { return recvlogical(ctx, server, "again", end) })
		if err != nil {
			return nil, err
		}
		fmt.Printf("capture, round %d: shire %.0f/s, pg_recvlogical %.0f/s and %.0f/s\n", round, shire, peer, again)
		if round == 0 {
			continue
		}
		f.shire, f.peer = append(f.shire, shire), append(f.peer, peer)
		f.ratio, f.noise = append(f.ratio, shire/peer), append(f.noise, again/peer)
	}
	return f, f.measureLarge(ctx, db, dir, server.Address)
}

// prepareCapture makes the tables of the load and of the large transaction.
func prepareCapture(ctx context.Context, db *sql.DB) error {
	for i := range captureTables + 1 {
		if _, err := db.ExecContext(ctx, fmt.Sprintf("CREATE TABLE t%d (id bigint PRIMARY KEY, branch int NOT NULL, balance numeric(12,2) NOT NULL, at timestamptz NOT NULL DEFAULT now(), filler text NOT NULL DEFAULT repeat('x', 40))", i)); err != nil {
			return err
		}
		// A first row, so that the bus knows of the snapshot: the next run streams alone.
		if _, err := db.ExecContext(ctx, fmt.Sprintf("INSERT INTO t%d (id, branch, balance) VALUES (0, 1, 0)", i)); err != nil {
			return err
		}
	}
	// As pgbench's own script: in each transaction three updates and an insert.
	_, err := db.ExecContext(ctx, fmt.Sprintf(`CREATE PROCEDURE work(n int) LANGUAGE plpgsql AS $$
		DECLARE last bigint := (SELECT coalesce(max(id), 0) FROM t%d);
		BEGIN
			FOR i IN 1..n/4 LOOP
				INSERT INTO t0 (id, branch, balance) VALUES (i %% 1000, 1, i) ON CONFLICT (id) DO UPDATE SET balance = excluded.balance;
				INSERT INTO t1 (id, branch, balance) VALUES (i %% 100, 1, i) ON CONFLICT (id) DO UPDATE SET balance = excluded.balance;
				INSERT INTO t2 (id, branch, balance) VALUES (i %% 10, 1, i) ON CONFLICT (id) DO UPDATE SET balance = excluded.balance;
				INSERT INTO t%[1]d (id, branch, balance) VALUES (last + i, i, 1);
				COMMIT;
			END LOOP;
		END $$`, captureTables-1))
	return err
}

// pgbenchLike makes n changes; the result is where they end.
func pgbenchLike(ctx context.Context, db *sql.DB, n int) (end string, err error) {
	if _, err := db.ExecContext(ctx, "CALL work($1)", n); err != nil {
		return "", err
	}
	err = db.QueryRowContext(ctx, "SELECT pg_current_wal_flush_lsn()").Scan(&end)
	return end, err
}

// recvlogical is the physical limit: PostgreSQL's own client takes the same changes and throws them away.
func recvlogical(ctx context.Context, server *servers.Postgres, slot, end string) error {
	programs, err := filepath.Glob(pgPrograms + "pg_recvlogical")
	if err != nil || len(programs) == 0 {
		return errors.Join(err, errors.New("pg_recvlogical is not installed; run deploy/testing/install.sh"))
	}
	cmd := exec.CommandContext(ctx, programs[len(programs)-1], "-d", server.URL("postgres"), "--slot", slot, "--start", "--endpos", end, "--no-loop",
		"-o", "proto_version=1", "-o", "publication_names=shire_capture", "-f", "/dev/null", "-F", "0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pg_recvlogical: %w\n%s", err, out)
	}
	return nil
}

const captureContract = `dataset: t%d
department: bank
owner: {zh: 行, en: Bank}
title: {zh: 表, en: Table}
version: 1
key: [id]
sharing: {type: conditional}
fields:
  - {name: id, type: identifier, required: true, sensitivity: internal}
  - {name: at, type: timestamp, sensitivity: open}
emits:
  - table: case_steps
    columns: {case_number: id, step: id, activity: {value: x}, started_at: at}
`

// startCapture is a source of kind postgres on a bus: at an address, or one of its own. The source capture reads the tables
// of the load, any other the table of the large transaction.
func startCapture(ctx context.Context, dir, address, name, natsURL string) (*ingest.Source, func(), error) {
	log := slog.New(slog.DiscardHandler)
	stop := func() {}
	var reach []nats.Option
	if natsURL == "" {
		engines, err := embedded.Start(ctx, embedded.Options{Dir: dir, Version: "1.0.0", Log: log, ClickHouse: embedded.ClickHouseOptions{Disabled: true}})
		if err != nil {
			return nil, nil, err
		}
		natsURL, reach = engines.NATS().URL, engines.NATS().InProcess()
		stop = func() {
			late, done := context.WithTimeout(context.Background(), 10*time.Second)
			defer done()
			if err := engines.Stop(late); err != nil {
				fmt.Println("bench: the engine did not stop cleanly:", err)
			}
		}
	}
	nc, err := nats.Connect(natsURL, reach...)
	if err != nil {
		stop()
		return nil, nil, err
	}
	stopEngines := stop
	stop = func() {
		nc.Close()
		stopEngines()
	}
	source := county.Source{Name: name, Kind: "postgres", With: map[string]any{"address": address, "database": "postgres", "user": "postgres"}}
	first, tables := 0, captureTables
	if name != "capture" {
		first, tables = captureTables, 1
	}
	set := contract.Set{}
	var list []any
	for i := first; i < first+tables; i++ {
		d, err := contract.Parse("t.yaml", fmt.Appendf(nil, captureContract, i), "Asia/Shanghai")
		if err != nil {
			stop()
			return nil, nil, err
		}
		set[d.Name] = d
		source.Datasets = append(source.Datasets, d.Name)
		list = append(list, map[string]any{"table": "public." + d.Name, "dataset": d.Name})
	}
	source.With["tables"] = list
	b, err := bus.Open(ctx, nc, bus.Options{County: "330127", Replicas: 1})
	if err != nil {
		stop()
		return nil, nil, err
	}
	s, err := ingest.NewSource(ingest.Options{
		Bus: b, Config: source, Contracts: set, StateDir: filepath.Join(dir, "state"), Resolve: func(p string) string { return p }, Log: log,
		Limits: ingest.Limits{Rows: 4096, Bytes: 1 << 20, Linger: 50 * time.Millisecond},
	})
	if err != nil {
		stop()
		return nil, nil, err
	}
	return s, stop, nil
}

// measureLarge captures one transaction twice, in processes whose memory is looked at.
func (f *captureFigures) measureLarge(ctx context.Context, db *sql.DB, dir, address string) error {
	outside, err := embedded.Start(ctx, embedded.Options{Dir: filepath.Join(dir, "outside"), Version: "1.0.0", Log: slog.New(slog.DiscardHandler), ClickHouse: embedded.ClickHouseOptions{Disabled: true}})
	if err != nil {
		return err
	}
	defer outside.Stop(context.WithoutCancel(ctx))
	bus := outside.NATS()
	url := strings.Replace(bus.URL, "nats://", "nats://"+bus.User+":"+bus.Password+"@", 1)
	runs := []struct {
		name, url string
		into      *largeFigures
	}{{"large", url, &f.large}, {"large_embedded", "", &f.embedded}}
	for _, r := range runs {
		if err := runLargeProcess(ctx, dir, address, r.name, r.url, nil); err != nil { // makes the slot
			return err
		}
	}
	if _, err := db.ExecContext(ctx, fmt.Sprintf("INSERT INTO t%d (id, branch, balance) SELECT i, 1, i FROM generate_series(1, %d) AS i", captureTables, largeRows)); err != nil {
		return err
	}
	for _, r := range runs {
		if err := runLargeProcess(ctx, dir, address, r.name, r.url, r.into); err != nil {
			return err
		}
		if r.into.Rows != largeRows {
			return fmt.Errorf("%d rows were captured of a transaction of %d", r.into.Rows, largeRows)
		}
		fmt.Printf("%s, a transaction of %d rows: %.0f/s, peak %.0f MiB, of it own %.0f and files %.0f\n", r.name, largeRows, r.into.Rate, r.into.Memory.Peak, r.into.Memory.Own, r.into.Memory.Mapped)
	}
	return nil
}

func runLargeProcess(ctx context.Context, dir, address, name, url string, into *largeFigures) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, "capture", filepath.Join(dir, name), address, name)
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), "GOMEMLIMIT=96MiB", "BENCH_NATS="+url)
	out, err := cmd.Output()
	if err != nil || into == nil {
		return err
	}
	return json.Unmarshal(out, into)
}

// runLarge is such a process: connector, packing, and where no address is in the environment the bus.
func runLarge(ctx context.Context, dir, address, name string) error {
	s, stop, err := startCapture(ctx, dir, address, name, os.Getenv("BENCH_NATS"))
	if err != nil {
		return err
	}
	defer stop()
	seen := watch(os.Getpid())
	began := time.Now()
	n, err := s.Run(ctx)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(largeFigures{Rows: n, Rate: float64(n) / time.Since(began).Seconds(), Memory: seen()})
}

func (f *captureFigures) section(o options) section {
	ratio := spreadOf(f.ratio)
	return section{titleCapture, fmt.Sprintf(`
%s changes of %d tables in transactions of four (three updates and an insert, as pgbench has them) from a PostgreSQL %s
into JetStream: decoded, keyed, packed, published with fencing and acknowledged, on a file stream. Beside it the physical
limit, PostgreSQL's own %s with pgoutput to /dev/null, on the same changes.

%s
| | median (least to greatest) | bound |
|---|---|---|
| Shire | %s thousand changes/s | |
| pg_recvlogical | %s thousand changes/s | |
| **Shire / pg_recvlogical** | **%s** | at least 0.7: %s |
| noise: pg_recvlogical / pg_recvlogical | %s | |
| a transaction of %s rows | %.0f thousand changes/s | |
| peak memory of the process meanwhile, the bus in another process | %.0f MiB | under %d: %s |
| the same with the embedded bus in the process | %.0f MiB | |

Both processes ran with GOMEMLIMIT=96MiB. What the embedded bus adds are nats-server's caches of the blocks that it has just
written, which it keeps for some seconds; they are bounded by what can be written in that time, not by the transaction.
`,
		thousands(f.changes), captureTables, f.version, "`pg_recvlogical`", conditions(o, "capture", pairsAfterOne(o.rounds), engineVersions()...),
		spreadOf(f.shire).over(1000).whole(), spreadOf(f.peer).over(1000).whole(), ratio, verdict(ratio.median >= .7), spreadOf(f.noise),
		thousands(largeRows), f.large.Rate/1000, f.large.Memory.Peak, largeMemory, verdict(f.large.Memory.Peak < largeMemory), f.embedded.Memory.Peak)}
}
