package ingest

import (
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/shirecounty/shire/pipeline/bus"
)

// wire is the network between a client and the engine; while it is held, nothing comes through.
type wire struct {
	mu   sync.Mutex
	free *sync.Cond
	held bool
}

func (w *wire) hold(held bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = held
	w.free.Broadcast()
}

func (w *wire) carry(to, from net.Conn) {
	defer to.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		w.mu.Lock()
		for w.held {
			w.free.Wait()
		}
		w.mu.Unlock()
		if _, failed := to.Write(buf[:n]); failed != nil || err != nil {
			return
		}
	}
}

// openOverWire is a bus that is reached over a wire.
func openOverWire(t testing.TB) (*bus.Bus, *nats.Conn, *wire) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{}
	w.free = sync.NewCond(&w.mu)
	t.Cleanup(func() { w.hold(false); listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", strings.TrimPrefix(engine.URL, "nats://"))
			if err != nil {
				client.Close()
				return
			}
			go w.carry(server, client)
			go w.carry(client, server)
		}
	}()
	nc, err := nats.Connect("nats://"+listener.Addr().String(), nats.UserInfo(engine.User, engine.Password))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return openOn(t, nc), nc, w
}
