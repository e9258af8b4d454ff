//go:build unix

package postgres

import (
	"net"
	"testing"
	"time"
)

func TestDeadlinesWakeAReader(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for name, wake := range map[string]func(net.Conn){
		"close": func(c net.Conn) { c.Close() },
		"deadline": func(c net.Conn) {
			c.SetDeadline(time.Now().Add(10 * time.Millisecond))
			c.SetWriteDeadline(time.Time{}) // leaves the reader's alone
		},
	} {
		conn, err := dial(t.Context(), "tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		peer, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		buffer := make([]byte, 16)
		if n, err := peer.Read(buffer); err != nil || string(buffer[:n]) != "hello" {
			t.Fatal(n, err)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := conn.Read(make([]byte, 16))
			ended <- err
		}()
		wake(conn)
		select {
		case err := <-ended:
			if err == nil {
				t.Errorf("%s: something was read", name)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("%s does not wake who reads", name)
		}
		conn.Close()
		peer.Close()
	}
}
