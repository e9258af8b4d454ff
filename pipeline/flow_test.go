package pipeline_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	_ "github.com/shirecounty/shire/connectors/file"
	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/columnar"
	"github.com/shirecounty/shire/pipeline/identity"
	"github.com/shirecounty/shire/pipeline/ingest"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/calendar"
	"github.com/shirecounty/shire/schemas/clickhouse"
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

func TestMain(m *testing.M) {
	embedded.RunChildIfAsked()
	os.Exit(m.Run())
}

func TestSmoke(t *testing.T) {
	ctx := t.Context()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
	cfg, set, err := county.Load("../docs/examples/receipt/county.yaml", []string{"file"})
	if err != nil {
		t.Fatal(err)
	}
	o := embedded.Options{Dir: t.TempDir(), Version: "1.0.0", Log: log}
	for _, u := range clickhouse.Access() {
		o.ClickHouse.Users = append(o.ClickHouse.Users, embedded.User{Name: u.Name, Password: "x" + u.Name, Settings: u.Settings, Grants: u.Grants, Readonly: u.Readonly})
	}
	e, err := embedded.Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Stop(context.Background())
	nc, err := nats.Connect(e.NATS().URL, e.NATS().InProcess()...)
	if err != nil {
		t.Fatal(err)
	}
	b, err := bus.Open(ctx, nc, bus.Options{County: "000000", Replicas: 1, MaxBytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	w, err := warehouse.Connect(ctx, warehouse.Address{Native: e.ClickHouse().Native, User: clickhouse.Loader, Password: "x" + clickhouse.Loader}, b.ID(), log)
	if err != nil {
		t.Fatal(err)
	}
	h, _ := pseudonym.New(make([]byte, 32))
	cal, err := calendar.Load(calendar.National())
	if err != nil {
		t.Fatal(err)
	}
	f := pipeline.New(pipeline.Options{Bus: b, Warehouse: w, Contracts: set, Calendar: cal, Hasher: h, Resolver: identity.NewExact(h.Clone()), Log: log,
		Limits: columnar.Limits{Rows: 100000, Bytes: 32 << 20, Age: time.Second}})
	go f.Run(ctx)
	s, err := ingest.NewSource(ingest.Options{Bus: b, Config: cfg.Sources[0], Contracts: set, StateDir: filepath.Join(o.Dir, "s"), Resolve: cfg.Resolve,
		Limits: ingest.Limits{Rows: 4096, Bytes: 1 << 20, Linger: 50 * time.Millisecond}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	n, err := s.Run(ctx)
	t.Log(n, err, s.Status())
	last, _ := b.LastSequence(ctx)
	if err := f.Drain(ctx, last); err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", f.Status())
	var c, u uint64
	if err := w.Conn().QueryRow(ctx, "SELECT count(), uniqExact(case_number) FROM store.case_steps FINAL").Scan(&c, &u); err != nil {
		t.Fatal(err)
	}
	t.Log(c, u)
}
