//go:build !unix

package postgres

import (
	"context"
	"net"
)

func dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, address)
}
