package portal

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
)

func TestAddressTaken(t *testing.T) {
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	w := newWorld(t, func(o *Options) { o.Listen = other.Addr().String() })
	err = w.Serve(t.Context())
	var taken *AddressError
	if !errors.As(err, &taken) || taken.Address != other.Addr().String() || !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("%T %v", err, err)
	}
	if text := err.Error(); !strings.Contains(text, taken.Address) || !strings.Contains(text, "another process listens there -> set portal.listen in county.yaml") {
		t.Error(text)
	}
}

// A request under way when the portal is told to stop gets its answer.
func TestServeFinishesWhatIsUnderWay(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Listen = "127.0.0.1:0" })
	w.figures.slow = make(chan struct{})
	address, err := w.Listen()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- w.Serve(ctx) }()

	answered := make(chan int, 1)
	go func() {
		response, err := http.Get("http://" + address.String() + "/api/v1/metrics/citizen_time")
		if err != nil {
			answered <- 0
			return
		}
		defer response.Body.Close()
		io.Copy(io.Discard, response.Body)
		answered <- response.StatusCode
	}()
	<-w.figures.started()
	stop()
	close(w.figures.slow)
	if status := <-answered; status != 200 {
		t.Errorf("the request under way got %d", status)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", address.String()); err == nil {
		c.Close()
		t.Error("the portal still listens")
	}
}
