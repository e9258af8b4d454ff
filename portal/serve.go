package portal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"
)

// AddressError says that the portal cannot listen. It is a fault of the environment: the command line exits with status 3.
type AddressError struct {
	Address string
	Err     error
}

func (e *AddressError) Error() string {
	what := "it cannot be listened on"
	switch {
	case errors.Is(e.Err, syscall.EADDRINUSE):
		what = "another process listens there"
	case errors.Is(e.Err, syscall.EACCES):
		what = "this user may not listen there (a port below 1024 needs a privilege)"
	case errors.Is(e.Err, syscall.EADDRNOTAVAIL):
		what = "this machine has no such address"
	case e.Err != nil:
		what = e.Err.Error()
	}
	return fmt.Sprintf("the portal's address %s: %s -> set portal.listen in county.yaml", e.Address, what)
}

func (e *AddressError) Unwrap() error { return e.Err }

// The limits of a connection.
const (
	shutdownTimeout = 10 * time.Second
	maxHeaderBytes  = 32 << 10
)

// serverTimes bound how slow a client may be.
type serverTimes struct{ header, read, write, idle time.Duration }

// usualTimes. Writing is bounded above by the slowest figure (see figureTimeout) and its transfer.
var usualTimes = serverTimes{header: 5 * time.Second, read: 10 * time.Second, write: figureTimeout + 30*time.Second, idle: 2 * time.Minute}

// Listen opens the socket, so that a caller learns of a taken address before it starts anything else. The address is
// what clients can be told, with the port that the system chose where Options.Listen has port 0.
func (p *Portal) Listen() (net.Addr, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener == nil {
		listener, err := net.Listen("tcp", p.o.Listen)
		if err != nil {
			return nil, &AddressError{Address: p.o.Listen, Err: err}
		}
		p.listener = listener
	}
	return p.listener.Addr(), nil
}

// Serve answers requests until ctx ends; then it takes no new ones, lets those under way finish for up to 10 s, and
// returns nil. It calls [Portal.Listen] if the caller has not. It may be called once.
func (p *Portal) Serve(ctx context.Context) error {
	if _, err := p.Listen(); err != nil {
		return err
	}
	times := usualTimes
	if p.o.times != nil {
		times = *p.o.times
	}
	server := &http.Server{
		Handler:           p.handler,
		ReadHeaderTimeout: times.header,
		ReadTimeout:       times.read,
		WriteTimeout:      times.write,
		IdleTimeout:       times.idle,
		TLSConfig:         p.tls,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(p.log.Handler(), slog.LevelDebug), // broken connections are the client's affair
	}
	ended := make(chan error, 1)
	go func() {
		if p.tls != nil {
			ended <- server.ServeTLS(p.listener, "", "")
			return
		}
		ended <- server.Serve(p.listener)
	}()
	select {
	case err := <-ended:
		return fmt.Errorf("the portal stopped serving: %w", err)
	case <-ctx.Done():
	}
	p.stopServing()
	now, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(now); err != nil {
		server.Close() // a client that does not finish must not keep the node from stopping
	}
	<-ended
	return nil
}
