//go:build unix

package embedded

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"syscall"
	"time"
)

// loopback is the only address that embedded engines listen on.
const loopback = "127.0.0.1"

// Free ports are chosen below the range from which Linux takes the local ports of outgoing connections (32768 and up) and
// Kubernetes its node ports (30000 and up): the port of a child that is being restarted must not be taken meanwhile.
const firstFreePort, freePorts = 20000, 10000

func address(port int) string { return net.JoinHostPort(loopback, strconv.Itoa(port)) }

// choosePort returns want if that is a port that can be listened on, and a free one if want is 0.
func choosePort(ctx context.Context, want int, engine, setting string) (int, error) {
	if want != 0 {
		return want, waitForPort(ctx, want, engine, setting)
	}
	var err error
	for range 100 {
		port := firstFreePort + rand.IntN(freePorts)
		if err = tryPort(port); err == nil {
			return port, nil
		}
	}
	return 0, &EnvError{
		What:  fmt.Sprintf("no free port for %s was found in 100 tries: %v", engine, err),
		Where: fmt.Sprintf("%s, ports %d to %d", loopback, firstFreePort, firstFreePort+freePorts-1),
		Do:    "Pin a port with the setting " + setting,
		Err:   errors.Join(ErrPortInUse, err),
	}
}

// waitForPort allows a port a moment to become free: after a kill, the child of the killed process may still hold it.
func waitForPort(ctx context.Context, port int, engine, setting string) error {
	const patience, pause = 2 * time.Second, 50 * time.Millisecond
	var err error
	for range int(patience / pause) {
		if err = tryPort(port); !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
	}
	if err == nil {
		return nil
	}
	return portError(port, engine, setting, err)
}

func portError(port int, engine, setting string, err error) error {
	what := fmt.Sprintf("%s cannot listen on its port: %v", engine, err)
	if errors.Is(err, syscall.EADDRINUSE) {
		what = "the port for " + engine + " is in use by another process"
	}
	return &EnvError{
		What:  what,
		Where: address(port),
		Do:    fmt.Sprintf("Stop that process, pin another port with the setting %s, or leave it out: then a free one is chosen", setting),
		Err:   fmt.Errorf("%w: %w", ErrPortInUse, err),
	}
}

func tryPort(port int) error {
	listener, err := net.Listen("tcp", address(port))
	if err != nil {
		return err
	}
	return listener.Close()
}
