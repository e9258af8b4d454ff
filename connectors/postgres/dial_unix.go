//go:build unix

package postgres

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// blocking is a TCP connection that is read by system calls that wait. The runtime's poller is woken by every segment, and a
// server that sends each row by itself makes that dearer than reading and packing the rows.
type blocking struct {
	*os.File
	descriptor    int
	local, remote net.Addr

	mu     sync.Mutex
	read   *time.Timer // of the deadlines
	write  *time.Timer
	closed bool
}

var _ net.Conn = (*blocking)(nil)

func dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return conn, nil
	}
	descriptor, err := unpolled(tcp)
	if err != nil {
		return nil, err
	}
	name := "connection to " + address
	return &blocking{File: os.NewFile(uintptr(descriptor), name), descriptor: descriptor, local: conn.LocalAddr(), remote: conn.RemoteAddr()}, nil
}

// unpolled takes a connection away from the runtime's poller: it closes conn and returns another descriptor of the same.
func unpolled(conn *net.TCPConn) (descriptor int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, errors.Join(err, conn.Close())
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
		if descriptor, failed = syscall.Dup(int(fd)); failed == nil {
			syscall.CloseOnExec(descriptor)
		}
	})
	if err := errors.Join(err, failed, conn.Close()); err != nil {
		return 0, err
	}
	return descriptor, syscall.SetNonblock(descriptor, false)
}

func (b *blocking) LocalAddr() net.Addr  { return b.local }
func (b *blocking) RemoteAddr() net.Addr { return b.remote }

// end wakes whoever waits in Read or Write.
func (b *blocking) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed { // the descriptor may be another's by then
		_ = syscall.Shutdown(b.descriptor, syscall.SHUT_RDWR) // it may be down already
	}
}

// SetReadDeadline ends the connection at the given time; there is no going on after it.
func (b *blocking) SetReadDeadline(t time.Time) error { return b.arm(&b.read, t) }

// SetWriteDeadline does the same, and leaves the other deadline alone.
func (b *blocking) SetWriteDeadline(t time.Time) error { return b.arm(&b.write, t) }

// SetDeadline sets both.
func (b *blocking) SetDeadline(t time.Time) error {
	return errors.Join(b.arm(&b.read, t), b.arm(&b.write, t))
}

func (b *blocking) arm(timer **time.Timer, t time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if *timer != nil {
		(*timer).Stop()
		*timer = nil
	}
	if !t.IsZero() && !b.closed {
		*timer = time.AfterFunc(time.Until(t), b.end)
	}
	return nil
}

func (b *blocking) Close() error {
	b.end()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, timer := range []*time.Timer{b.read, b.write} {
		if timer != nil {
			timer.Stop()
		}
	}
	b.closed = true
	return b.File.Close()
}
