package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline/bus"
)

// packs are the changes in a message that are measured: a quiet department's, 64 KiB's, and the largest by default.
var packs = []int{1, 128, 4096}

// durabilityFigures is what it costs that a message is on the disk before it is acknowledged. By packs.
type durabilityFigures struct {
	changes       int
	usual, always [][]float64 // changes a second, published with fencing
	ratio, noise  [][]float64
}

func measureDurability(ctx context.Context, o options, dir string) (*durabilityFigures, error) {
	f := &durabilityFigures{changes: o.changes}
	open := func(name string, always bool) (*bus.Bus, func(), error) {
		engines, err := embedded.Start(ctx, embedded.Options{Dir: filepath.Join(dir, name), Version: "1.0.0", Log: slog.New(slog.DiscardHandler),
			ClickHouse: embedded.ClickHouseOptions{Disabled: true}, NATS: embedded.NATSOptions{SyncAlways: always}})
		if err != nil {
			return nil, nil, err
		}
		nc, err := nats.Connect(engines.NATS().URL, engines.NATS().InProcess()...)
		if err != nil {
			return nil, nil, err
		}
		b, err := bus.Open(ctx, nc, bus.Options{County: "330127", Replicas: 1})
		return b, func() {
			nc.Close()
			late, done := context.WithTimeout(context.Background(), 10*time.Second)
			defer done()
			if err := engines.Stop(late); err != nil {
				fmt.Println("bench: the engine did not stop cleanly:", err)
			}
		}, err
	}
	usual, stop, err := open("usual", false)
	if err != nil {
		return nil, err
	}
	defer stop()
	always, stopAlways, err := open("always", true)
	if err != nil {
		return nil, err
	}
	defer stopAlways()
	for _, pack := range packs {
		n := min(o.changes, pack*4000)
		var u, a, ratio, noise []float64
		for round := range o.rounds + 1 {
			var rates [3]float64
			for i, b := range []*bus.Bus{usual, always, usual} {
				if rates[i], err = publishPacked(ctx, b, pack, n); err != nil {
					return nil, err
				}
			}
			fmt.Printf("durability, %d in a message, round %d: default %.0f/s and %.0f/s, always %.0f/s\n", pack, round, rates[0], rates[2], rates[1])
			if round > 0 {
				u, a = append(u, rates[0]), append(a, rates[1])
				ratio, noise = append(ratio, rates[1]/rates[0]), append(noise, rates[2]/rates[0])
			}
		}
		f.usual, f.always, f.ratio, f.noise = append(f.usual, u), append(f.always, a), append(f.ratio, ratio), append(f.noise, noise)
	}
	return f, nil
}

// publishPacked publishes n changes, pack of them in a message, each message after the acknowledgement of the one before.
func publishPacked(ctx context.Context, b *bus.Bus, pack, n int) (float64, error) {
	w, err := b.ChangesWriter(ctx, b.ChangesSubject("service_hall", "steps"))
	if err != nil {
		return 0, err
	}
	data := payload(0, pack)
	began := time.Now()
	for sent := 0; sent < n; sent += pack {
		if _, err := w.Publish(ctx, nats.Header{}, data); err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

func (f *durabilityFigures) section(o options) section {
	var rows string
	for i, pack := range packs {
		rows += fmt.Sprintf("| %s | %s | %s | **%s** | %s |\n", thousands(pack), spreadOf(f.usual[i]).over(1000), spreadOf(f.always[i]).over(1000), spreadOf(f.ratio[i]), spreadOf(f.noise[i]))
	}
	return section{titleDurability, fmt.Sprintf(`
Up to %s changes published with fencing, each message after the acknowledgement of the one before: with the default, by
which JetStream writes through every two minutes, and with %s, by which a message is on the disk before it is
acknowledged (docs/durability.md).

%s
| changes in a message | default, thousand changes/s | always, thousand changes/s | always / default | noise |
|---|---|---|---|---|
%s
Packing is what makes it affordable: the cost is one write to the disk for a message, however many changes it carries.
`, thousands(f.changes), "`engines.nats.sync: always`", conditions(o, "durability", pairsAfterOne(o.rounds), engineVersions()...), rows)}
}
