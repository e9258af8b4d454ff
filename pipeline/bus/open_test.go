package bus_test

import (
	"log/slog"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline/bus"
)

// Processes that open a server's first bus at the same moment all get the same one.
func TestOpenAtOnceIsOneBus(t *testing.T) {
	e, err := embedded.Start(t.Context(), embedded.Options{Dir: t.TempDir(), Version: "1.0.0", Log: slog.New(slog.DiscardHandler),
		ClickHouse: embedded.ClickHouseOptions{Disabled: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Stop(t.Context())
	var ids [8]string
	var opening sync.WaitGroup
	for i := range ids {
		opening.Go(func() {
			nc, err := nats.Connect(e.NATS().URL, e.NATS().InProcess()...)
			if err != nil {
				t.Error(err)
				return
			}
			defer nc.Close()
			b, err := bus.Open(t.Context(), nc, bus.Options{County: "331099", Replicas: 1})
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = b.ID()
		})
	}
	opening.Wait()
	for _, id := range ids {
		if id == "" || id != ids[0] {
			t.Fatalf("the buses are %q", ids)
		}
	}
}
