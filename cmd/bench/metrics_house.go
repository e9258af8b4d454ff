package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	click "github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/calendar"
	"github.com/shirecounty/shire/schemas/clickhouse"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/metrics"
)

const (
	houseZone   = "Asia/Shanghai"
	houseMemory = 6 << 30
)

// house is a warehouse alone: the engine in a data directory of its own, with the real tables and views.
type house struct {
	native          string
	loader, analyst click.Conn
	set             metrics.Set
	zone            *time.Location
}

func startHouse(ctx context.Context, dir string) (*house, func(), error) {
	o := embedded.Options{Dir: dir, Version: "1.0.0", Log: slog.New(slog.DiscardHandler), NATS: embedded.NATSOptions{Disabled: true},
		ClickHouse: embedded.ClickHouseOptions{MaxMemoryBytes: houseMemory}}
	for _, u := range clickhouse.Access() {
		o.ClickHouse.Users = append(o.ClickHouse.Users, embedded.User{Name: u.Name, Password: "bench of " + u.Name, Readonly: u.Readonly, Settings: u.Settings, Grants: u.Grants})
	}
	engines, err := embedded.Start(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	stop := func() {
		late, done := context.WithTimeout(context.Background(), 30*time.Second)
		defer done()
		if err := engines.Stop(late); err != nil {
			fmt.Println("bench: the engine did not stop cleanly:", err)
		}
	}
	h := &house{native: engines.ClickHouse().Native}
	if err := h.open(ctx); err != nil {
		stop()
		return nil, nil, err
	}
	return h, stop, nil
}

func (h *house) open(ctx context.Context) (err error) {
	address := func(user string) warehouse.Address {
		return warehouse.Address{Native: h.native, User: user, Password: "bench of " + user}
	}
	w, err := warehouse.Connect(ctx, address(clickhouse.Loader), "bench", slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	h.loader = w.Conn()
	if h.analyst, err = warehouse.Open(address(clickhouse.Analyst)); err != nil {
		return err
	}
	cal, err := calendar.Load(calendar.National())
	if err != nil {
		return err
	}
	var catalogue []*contract.Dataset
	for name, sharing := range map[string]string{"free": "unconditional", "granted": "conditional", "closed": "none"} {
		catalogue = append(catalogue, &contract.Dataset{Name: name, Department: "office 1", Version: 1, Sharing: contract.Sharing{Type: sharing}})
	}
	if err := clickhouse.LoadReference(ctx, h.loader, cal, nil, slices.Values(catalogue)); err != nil {
		return err
	}
	if h.set, err = metrics.Load(); err != nil {
		return err
	}
	if h.zone, err = time.LoadLocation(houseZone); err != nil {
		return err
	}
	return clickhouse.ApplyViews(ctx, h.loader, houseZone, clickhouse.Loader, h.set)
}
